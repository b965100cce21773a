"""A simulator in a process of its own, in another Python environment than ours.

``channel`` carries frames over a socket, ``process`` is the program that the other Python runs,
``client`` starts it and asks it. Nothing is ever unpickled, at either end.
"""
