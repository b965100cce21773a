"""A released checkpoint as a policy: by path, with a robot type and views, or one clear line."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from released_files import write_released

from envs import ENV_IDS
from experiments.options.network_options import WeightOptions
from policies import XR0Policy
from policies.xr0.loading import load_chunk_model
from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.vlm.tokenizer import build_tokenizer, prompt_corpus, save_tokenizer
from xr0_sim.runtime import Sync

BOTH, ONE, JOINTS = range(28), range(7), [*range(6, 13), *range(20, 27)]


def write_types(path, **types):
    rng = np.random.default_rng(9)
    values = {}
    for name, active in types.items():
        mean, std = np.zeros((4, 32)), np.zeros((4, 32))
        mean[:, list(active)] = 0.01 * rng.normal(size=(4, len(active)))
        std[:, list(active)] = rng.uniform(0.01, 0.03, size=(4, len(active)))
        values[name] = {"mean": mean.tolist(), "std": std.tolist()}
    (path / "preprocessor_config.json").write_text(json.dumps({"action_config": values}))


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    path = tmp_path_factory.mktemp("released")
    write_released(path)
    write_types(path, two_arms=BOTH, one_arm=ONE, two_by_joints=JOINTS)
    save_tokenizer(build_tokenizer(prompt_corpus()), path)
    return path


@pytest.fixture(scope="module")
def seen():
    settings = {"n_bricks": 2, "observation": "pixels", "image_size": 64}
    env = gymnasium.make(ENV_IDS["block_dismantling"], **settings)
    return env.reset(seed=0)[0]


@pytest.mark.parametrize("robot_type", ["two_arms", "two_by_joints"])
def test_a_robot_type_with_two_arms_drives_this_robot(released, seen, robot_type):
    policy = XR0Policy(released, robot_type=robot_type, strategy=Sync(2))
    action, _ = policy.predict(seen)
    assert action.shape == (14,) and np.isfinite(action).all()
    model = policy.chunk_model
    assert (model.horizon, model.prefix_max, model.task, model.head) == (4, 0, None, "released")
    assert model.image_size == 288


def test_views_are_an_option(released, seen):
    answers = [
        XR0Policy(released, robot_type="two_arms", strategy=Sync(2), views=views).predict(seen)[0]
        for views in (None, ("base",), ("ego=base",), ("left_wrist", "base"), ("# Far View=base",))
    ]
    assert len({a.tobytes() for a in answers}) == 5
    for views in (("bsae",), (), ("base", "base"), ("ego=bsae",), ("eggo=base",), ("ego",)):
        with pytest.raises(ConfigError, match=r"view|camera"):
            XR0Policy(released, robot_type="two_arms", views=views)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "expected one named out of two_arms, two_by_joints"),
        ({"robot_type": "one_arm"}, "moves two arms .* one_arm moves left_tool_pos"),
        ({"robot_type": "two_armz"}, "did you mean 'two_arms'"),
        ({"robot_type": "two_arms", "head": "sync"}, "a single expert"),
    ],
)
def test_what_cannot_drive_this_robot_is_one_line(released, options, expected):
    with pytest.raises(ConfigError, match=expected) as caught:
        XR0Policy(released, **options)
    assert "\n" not in str(caught.value)


def test_statistics_decide(released, tmp_path):
    write_released(tmp_path)
    with pytest.raises(CheckpointError, match=r"preprocessor_config.json"):
        load_chunk_model(tmp_path)
    write_types(tmp_path, one_arm=ONE)
    with pytest.raises(ConfigError, match=r"none that fits; one_arm moves"):
        load_chunk_model(tmp_path)


def test_the_command_line_names_it(released):
    options = WeightOptions(checkpoint=str(released), robot_type="two_arms", views=("base",))
    weights = options.weights_of("towel_folding", "xr0", Sync(), None, None)
    assert (weights.head, weights.robot_type, weights.views) == ("released", "two_arms", ("base",))
    assert weights.precision == "float32" and len(weights.digest) == 16
    with pytest.raises(ConfigError, match=r"two arms"):
        WeightOptions(checkpoint=str(released), robot_type="one_arm").weights_of(
            "towel_folding", "xr0", Sync(), None, None
        )
    for option in ({"robot_type": "two_arms"}, {"views": ("base",)}):
        with pytest.raises(ConfigError, match=r"only released checkpoints"):
            WeightOptions(**option).weights_of("towel_folding", "xr0", Sync(), None, None)
        with pytest.raises(ConfigError, match=r"only released checkpoints"):
            load_chunk_model("towel_folding", **option)
