"""Replays what a district did, through the same public interfaces that phones, laboratories and desks use.

The driver imports nothing of the server (a test checks it): what it knows of the contract it has written down itself.
It builds a roster (``people``), decides what really happens to every swab (``field``, ``mishaps``, ``custody``), keeps
that as a ledger of its own (``ledger``), turns it into what phones report (``reports``) and sends it with the noise of
the real world (``phones``, ``senders``), while it does the laboratory's and the desk's work (``setting_up``, ``day``).
In the end it reads the system's records back and compares them with the ledger person by person, and with the
published figures (``verdict``).
"""
