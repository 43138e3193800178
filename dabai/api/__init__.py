"""The HTTP interface: devices, facts, changes, and the desk's JSON."""
