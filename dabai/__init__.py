"""Dabai runs a district health system's whole outbreak response: facts in, due lists and figures out."""
