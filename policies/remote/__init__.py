"""Policies over a websocket: the wire of openpi, a server, and the client as a chunk model.

``wire`` (frames) and ``messages`` (what stands in them) are the protocol, ``description`` says what
a server offers; ``session`` and ``server`` are one end, ``connection``, ``chunk_model`` and
``policy`` the other. Nothing is ever unpickled, at either end.
"""
