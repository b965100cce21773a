"""The judge of bricks on plain numbers, and the constants it and the clutch stand on."""

import numpy as np
import pytest

from envs.block_dismantling import clutch
from envs.block_dismantling.assessment import DROP_SPEED, REST_SPEED, REST_TICKS, BrickJudge
from envs.block_dismantling.bins import BIN_HALF_SIZE
from envs.block_dismantling.contacts import Touch
from envs.block_dismantling.state import NO_BRICK

TRAYS = ((0.2, 0.2), (0.2, -0.2))
RULE = {"red": 0, "blue": 1}
IN_LEFT, IN_RIGHT, ON_TABLE = (0.2, 0.2, 0.01), (0.2, -0.2, 0.01), (0.0, 0.0, 0.01)
STILL = (0.0,) * 6


def touch(touched=False, force=0.0):
    return Touch((NO_BRICK, NO_BRICK), (touched,), force)


def red_judge():
    return BrickJudge(("red",), TRAYS)


def update(judge, pos=IN_LEFT, speed=STILL, touched=False, attached=False, force=0.0):
    return judge.update([pos], [speed], touch(touched, force), [attached], RULE)[0]


def states(judge, ticks, **values):
    return [update(judge, **values) for _ in range(ticks)]


def test_a_brick_is_sorted_after_it_has_lain_still_for_a_while():
    judge = red_judge()
    assert states(judge, REST_TICKS) == ["detached"] * (REST_TICKS - 1) + ["sorted"]
    assert judge.sorted == [True] and judge.drops == 0


def test_a_touched_brick_is_not_sorted_and_a_touch_starts_the_count_again():
    judge = red_judge()
    assert states(judge, 3 * REST_TICKS, touched=True) == ["detached"] * 3 * REST_TICKS
    states(judge, REST_TICKS - 1)
    assert update(judge, touched=True) == "detached" and judge.sorted == [False]
    assert states(judge, REST_TICKS)[-2:] == ["detached", "sorted"]
    assert update(judge, touched=True) == "detached" and judge.sorted == [False]


def test_the_tray_of_another_colour_does_not_count():
    judge = red_judge()
    assert states(judge, REST_TICKS, pos=IN_RIGHT)[-1] == "misplaced" and judge.sorted == [False]
    blue = BrickJudge(("blue",), TRAYS)
    assert states(blue, REST_TICKS, pos=IN_RIGHT)[-1] == "sorted" and blue.sorted == [True]


def test_only_inside_a_tray_counts():
    judge = red_judge()
    assert states(judge, 2 * REST_TICKS, pos=ON_TABLE)[-1] == "detached"
    inside, outside = (0.2 + BIN_HALF_SIZE - 1e-6, 0.2, 0), (0.2 + BIN_HALF_SIZE + 1e-6, 0.2, 0)
    assert judge.bin_of(inside) == 0 and judge.bin_of(outside) == NO_BRICK
    assert judge.bin_of(IN_RIGHT) == 1


def test_an_attached_or_moving_brick_is_not_sorted():
    judge = red_judge()
    assert states(judge, 2 * REST_TICKS, attached=True)[-1] == "attached"
    assert states(judge, 2 * REST_TICKS, speed=(2 * REST_SPEED, *STILL[1:]))[-1] == "detached"
    turning = (0.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    assert states(judge, 2 * REST_TICKS, speed=turning)[-1] == "detached"


def test_a_fall_is_one_drop_however_long_it_takes():
    judge, falling = red_judge(), (0.0, 0.0, -2 * DROP_SPEED, 0.0, 0.0, 0.0)
    states(judge, 6, pos=ON_TABLE, speed=falling)
    assert judge.drops == 1
    update(judge, pos=ON_TABLE)
    assert judge.drops == 1
    states(judge, 3, pos=ON_TABLE, speed=falling)
    assert judge.drops == 2
    states(judge, 3, pos=ON_TABLE)
    states(judge, 3, pos=IN_LEFT, speed=falling)  # into a tray is where it belongs
    states(judge, 3, pos=ON_TABLE, speed=(0.0, 0.0, 2 * DROP_SPEED, 0.0, 0.0, 0.0))
    assert judge.drops == 2


def test_the_largest_force_is_kept():
    judge = red_judge()
    for force in (1.0, 7.5, 3.0):
        update(judge, force=force)
    assert judge.peak_force == 7.5


def test_a_restored_judge_goes_on_as_it_was():
    judge = red_judge()
    falling = (0.0, 0.0, -2 * DROP_SPEED, 0.0, 0.0, 0.0)
    update(judge, pos=ON_TABLE, speed=falling, force=2.0)
    books = judge.snapshot()
    states(judge, 9)
    judge.restore(books)
    update(judge, pos=ON_TABLE, speed=falling)
    assert (judge.drops, judge.sorted, judge.peak_force) == (1, [False], 2.0)
    assert states(judge, REST_TICKS)[-2:] == ["detached", "sorted"]


def test_a_stud_holds_what_its_page_says():
    # Own choice: 4.8 N for a full 2x2 face, as the module says; no published figure is claimed.
    assert clutch.STUD_FORCE == 1.2 and clutch.SHEAR_FACTOR == 3.0
    face = clutch.Interface(0, 1, np.zeros(3), 4, np.array([0.016, 0.016]))
    assert face.tension_limit == pytest.approx(4.8)
    assert face.peel_limits == pytest.approx([4.8 * 0.016] * 2)
