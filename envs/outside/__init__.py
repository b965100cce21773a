"""Single-arm tasks of other projects, played in a process of their own, behind our runtime.

The simulator (`xr0_sim.outside.simulator`) knows robot, scene and success. Time, events, faults of
cameras, instruction and the record of an episode are ours, so that strategies, latencies, tick
logs, films and studies are those of every other task. ``reading`` says how a single-arm robot
stands in values made for two arms.
"""
