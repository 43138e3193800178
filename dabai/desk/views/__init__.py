"""Views of the desk, one file per domain. Thin: read the request, ask a query or an action, show."""
