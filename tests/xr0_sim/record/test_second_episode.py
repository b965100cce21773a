"""One tick log watches several episodes, one after the other."""

from __future__ import annotations

from xr0_sim.record import TickLog
from xr0_sim.runtime.episode_ports import EpisodeStart


def test_a_new_episode_begins_with_an_empty_log():
    log = TickLog()
    log.on_reset(EpisodeStart(1, {}, 30))
    log._rows.append(())
    log.on_reset(EpisodeStart(2, {}, 50))
    table = log.table()
    assert len(table) == 0 and table.meta == {"seed": 2, "control_hz": 50}
