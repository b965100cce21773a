"""Policies over a websocket: the wire of openpi, a server, and the client as a chunk model.

Frames are those of `xr0_sim.wire`. ``messages`` says what stands in them, ``description`` what a
server offers; ``session`` and ``server`` are one end, ``connection``, ``chunk_model`` and
``policy`` the other. Nothing is ever unpickled, at either end.
"""
