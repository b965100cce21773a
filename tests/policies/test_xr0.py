"""XR-0 behind the chunk port, and chunk models as Gymnasium policies; untrained, at nano size."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv, VecTransposeImage

from assets import CHECKPOINT_DIR, checkpoint_names
from envs import ENV_IDS
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.robot.actions import JOINT_HIGH, JOINT_LOW
from policies import ChunkPolicy, XR0Policy
from policies.xr0.chunk_model import DECODINGS, XR0ChunkModel
from policies.xr0.execution import execution_horizon_for
from policies.xr0.loading import load_chunk_model
from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.checkpoints.shipped import NORMALIZER_FILE, save_head, save_vlm
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.runtime import Constant, NaiveAsync, PrefixAsync, Sync
from xr0_sim.types import ChunkRequest

HORIZON = 30
TICKS = 20
NOTHING = np.zeros((0, 14))


@pytest.fixture(scope="module")
def policy_model():
    config = preset_config("nano", action_length=HORIZON, state_layout="motion", prefix_max=6)
    found = random_policy_model(config, seed=3)
    for weights in found.model.parameters():
        # Checkpoints store half precision.
        weights.data = weights.data.half().float()
    return found


@pytest.fixture(scope="module")
def model(policy_model):
    return XR0ChunkModel(policy_model, temperature=1.0)


@pytest.fixture(scope="module")
def observations():
    """Four moments of two scenes, with instructions of different lengths."""
    env = BlockDismantlingEnv(n_bricks=2, image_size=64)
    found = []
    for seed, text in ((0, None), (1, "red left")):
        env.reset_scene(seed, {"instruction": text} if text else None)
        for _ in range(2):
            found.append(env.observe())
            for _ in range(5):
                env.advance(env.robot_state().command + 0.02)
    return found


def make_env(**kwargs):
    settings = {"n_bricks": 2, "observation": "pixels", "image_size": 64, "world": "0.1"} | kwargs
    env = gymnasium.make(ENV_IDS["block_dismantling"], max_episode_steps=TICKS, **settings)
    assert env.spec.max_episode_steps == TICKS
    return env


def prefix_of(observation, length):
    steps = 0.01 * np.arange(1, length + 1)[:, None]
    return (observation.robot.command + steps * np.linspace(-1, 1, 14)).clip(JOINT_LOW, JOINT_HIGH)


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("length", [0, 1, 6])
def test_a_chunk_repeats_its_prefix_and_stays_in_range(
    policy_model, observations, decoding, length
):
    model = XR0ChunkModel(policy_model, decoding)
    for seen in observations:
        prefix = prefix_of(seen, length)
        chunk = model.infer(seen, prefix, (0, length))
        assert chunk.first_tick == seen.tick
        assert chunk.actions.shape == (model.horizon, 14) == (HORIZON, 14)
        assert np.array_equal(chunk.actions[:length], prefix)
        assert np.isfinite(chunk.actions).all()
        assert (chunk.actions >= JOINT_LOW - 1e-9).all()
        assert (chunk.actions <= JOINT_HIGH + 1e-9).all()
        assert np.abs(np.diff(chunk.actions[length:], axis=0)).max() > 1e-4


def test_the_decodings_read_different_halves_and_the_same_jaw(policy_model, observations):
    seen = observations[0]
    joint, tool = (XR0ChunkModel(policy_model, name) for name in DECODINGS)
    a, b = (m.infer(seen, NOTHING, (0, 0)).actions for m in (joint, tool))
    assert np.array_equal(a[:, [6, 13]], b[:, [6, 13]])
    assert not np.allclose(a, b, atol=1e-3)


def test_a_batch_is_its_rows(policy_model, observations):
    """In joint deltas: an arm near a singularity would magnify the batch's rounding."""
    model = XR0ChunkModel(policy_model, "joint")
    lengths = (0, 6, 2, 0)
    requests = [
        ChunkRequest(seen, prefix_of(seen, n), (7, i))
        for i, (seen, n) in enumerate(zip(observations, lengths, strict=True))
    ]
    assert len({len(seen.instruction) for seen in observations}) > 1
    together = model.infer_batch(requests)
    for chunk, request in zip(together, requests, strict=True):
        alone = model.infer(request.observation, request.prefix, request.noise_seed)
        assert np.allclose(chunk.actions, alone.actions, rtol=0, atol=2e-5)
        assert chunk.first_tick == request.observation.tick
    assert not np.allclose(together[0].actions, together[3].actions, atol=1e-3)


def test_the_noise_seed_decides(policy_model, model, observations):
    seen = observations[1]
    first, again, other = (
        model.infer(seen, NOTHING, noise).actions for noise in ((5, 2), (5, 2), (5, 3))
    )
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other, atol=1e-3)
    calm = XR0ChunkModel(policy_model, temperature=0.0)
    once, twice = (calm.infer(seen, NOTHING, noise).actions for noise in ((5, 2), (5, 3)))
    assert once.tobytes() == twice.tobytes()
    with pytest.raises(ConfigError, match=r"temperature: expected 0 \.\. 1, got 1.5"):
        XR0ChunkModel(policy_model, temperature=1.5)
    model.reset(99)
    assert model.infer(seen, NOTHING, (5, 2)).actions.tobytes() == first.tobytes()


def test_a_prefix_and_the_pictures_change_what_follows(model, observations):
    seen = observations[0]
    plain = model.infer(seen, NOTHING, (0, 0)).actions
    behind = model.infer(seen, prefix_of(seen, 4), (0, 0)).actions
    assert np.abs(plain[4:] - behind[4:]).max() > 1e-6
    dark = {name: np.zeros_like(image) for name, image in seen.images.items()}
    blind = type(seen)(seen.tick, seen.time_ns, seen.robot, dark, seen.instruction)
    assert np.abs(plain - model.infer(blind, NOTHING, (0, 0)).actions).max() > 1e-6


def test_missing_pictures_are_one_clear_error(model, observations):
    seen = observations[0]
    images = {name: image for name, image in seen.images.items() if name != "left_wrist"}
    partly = type(seen)(seen.tick, seen.time_ns, seen.robot, images, seen.instruction)
    with pytest.raises(ConfigError, match="missing left_wrist; capture with images=True") as caught:
        model.infer(partly, NOTHING, (0, 0))
    assert "\n" not in str(caught.value)
    env = make_env(observation="state")
    observation, _ = env.reset(seed=0)
    with pytest.raises(ConfigError, match="make the environment with observation='pixels'"):
        ChunkPolicy(model).predict(observation)


def test_unknown_names_get_a_suggestion(policy_model, checkpoint):
    with pytest.raises(ConfigError, match="did you mean 'joint'"):
        XR0ChunkModel(policy_model, "joints")
    with pytest.raises(ConfigError, match="did you mean 'sync'"):
        load_chunk_model(checkpoint, "snyc")
    with pytest.raises((ConfigError, CheckpointError), match="nowhere"):
        load_chunk_model("nowhere")


@pytest.fixture(scope="module")
def checkpoint(policy_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("nano")
    save_vlm(path, policy_model.config, policy_model.model.vlm)
    save_head(path, "sync", policy_model.config, policy_model.model.expert)
    policy_model.normalizer.save(path / NORMALIZER_FILE)
    return path


def test_a_saved_policy_answers_with_the_same_bits(model, checkpoint, observations):
    loaded = load_chunk_model(checkpoint, "sync", temperature=1.0)
    assert (loaded.horizon, loaded.image_size, loaded.prefix_max) == (HORIZON, 64, 6)
    for seen in observations[:2]:
        wanted = model.infer(seen, prefix_of(seen, 3), (1, 1)).actions
        assert loaded.infer(seen, prefix_of(seen, 3), (1, 1)).actions.tobytes() == wanted.tobytes()


def test_a_compiled_policy_answers_the_same(checkpoint, observations):
    plain, compiled = (
        load_chunk_model(checkpoint, "sync", "joint", temperature=1.0, compile=c)
        for c in (False, True)
    )
    for seen in observations[:2]:
        wanted = plain.infer(seen, prefix_of(seen, 3), (1, 1)).actions
        found = compiled.infer(seen, prefix_of(seen, 3), (1, 1)).actions
        assert np.allclose(found, wanted, rtol=0, atol=2e-5)
    assert not np.array_equal(found, wanted), "something was compiled"


class Recorder:
    """A policy that keeps what another one answers, per environment."""

    def __init__(self, policy):
        self.policy, self.actions = policy, []

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        actions, state = self.policy.predict(observation, state, episode_start, deterministic)
        self.actions.append(actions)
        return actions, state

    def lane(self, index):
        return np.array(self.actions)[:, index]


def evaluate(policy, seeds, episodes):
    """What a policy does in environments of consecutive `seeds`, in SB3's own evaluation."""
    vector = DummyVecEnv([make_env for _ in seeds])
    vector.seed(seeds[0])
    recorder = Recorder(policy)
    rewards, lengths = evaluate_policy(
        recorder, vector, episodes, return_episode_rewards=True, warn=False
    )
    vector.close()
    assert len(rewards) == len(lengths) == episodes and set(lengths) == {TICKS}
    return recorder


def test_sb3_evaluates_it_on_a_single_environment(checkpoint):
    env = make_env()
    mean, spread = evaluate_policy(XR0Policy(checkpoint), env, n_eval_episodes=2, warn=False)
    assert np.isfinite([mean, spread]).all() and 0 < mean < TICKS


def test_shipped_policies_look_again_when_it_suits_their_task():
    for name in checkpoint_names():
        for given in (name, CHECKPOINT_DIR / name):
            assert XR0Policy(given).strategy == Sync(execution_horizon_for(name))
    assert XR0Policy("towel_folding", strategy=Sync(5)).strategy == Sync(5)


@pytest.mark.parametrize(
    ("strategy", "latency_s"),
    [(Sync(5), 0.0), (NaiveAsync(5), 0.1), (PrefixAsync(5), 0.1)],
    ids=["sync", "naive", "prefix"],
)
def test_a_vectorised_evaluation_repeats_single_ones(model, strategy, latency_s):
    def policy(first_env=0):
        return ChunkPolicy(model, strategy, Constant(latency_s), seed=11, first_env=first_env)

    together = evaluate(policy(), (40, 41), 4)
    lanes = [together.lane(i) for i in range(2)]
    assert lanes[0].shape == (2 * TICKS, 14) and not np.array_equal(*lanes)
    for index, seed in enumerate((40, 41)):
        alone = evaluate(policy(index), (seed,), 2)
        assert alone.lane(0).tobytes() == lanes[index].tobytes()


@pytest.mark.parametrize(
    ("strategy", "latency_s"), [(Sync(5), 0.0), (PrefixAsync(5), 0.1)], ids=["sync", "prefix"]
)
def test_one_pass_for_all_environments_does_what_single_passes_do(
    policy_model, strategy, latency_s, monkeypatch
):
    """In joint deltas: an arm near a singularity would magnify the batch's rounding."""
    model = XR0ChunkModel(policy_model, "joint", temperature=1.0)
    sizes = []
    infer_batch = model.infer_batch
    monkeypatch.setattr(
        model, "infer_batch", lambda asked: sizes.append(len(asked)) or infer_batch(asked)
    )
    lanes = {}
    for batched in (False, True):
        sizes.clear()
        policy = ChunkPolicy(model, strategy, Constant(latency_s), seed=11, batched=batched)
        recorder = evaluate(policy, (40, 41, 42), 3)
        lanes[batched] = np.array(recorder.actions)
        assert set(sizes) == {3 if batched else 1}
    assert lanes[True].shape == (TICKS, 3, 14)
    gaps = np.abs(lanes[True] - lanes[False]).max(axis=(1, 2))
    assert gaps[:5].max() < 2e-5, "one chunk"
    assert gaps.max() < 1e-2, "rounding, magnified from chunk to chunk; 4e-3 on some processors"
    with pytest.raises(ConfigError, match="expected a model with infer_batch, got object"):
        ChunkPolicy(object(), batched=True)


def test_episodes_and_seeds_differ_and_a_reset_repeats_them(model):
    policy = ChunkPolicy(model, Sync(5), seed=1)
    first = evaluate(policy, (40,), 2).lane(0)
    on = evaluate(policy, (40,), 2).lane(0)
    policy.reset()
    again = evaluate(policy, (40,), 2).lane(0)
    policy.reset(seed=2)
    other = evaluate(policy, (40,), 2).lane(0)
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first[:TICKS], on[:TICKS]) and not np.allclose(first, other)


def test_channel_first_pictures_are_the_same_pictures(model):
    vector = DummyVecEnv([make_env] * 2)
    vector.seed(3)
    plain = vector.reset()
    turned = VecTransposeImage(vector).transpose_observations(plain)
    assert turned["image_base"].shape == (2, 3, 64, 64)
    answers = [ChunkPolicy(model).predict(seen)[0] for seen in (plain, turned)]
    vector.close()
    assert answers[0].shape == (2, 14) and answers[0].dtype == np.float32
    assert np.array_equal(*answers)


def test_a_single_observation_needs_no_episode_start(model):
    env = make_env()
    observation, _ = env.reset(seed=0)
    policy = ChunkPolicy(model, Sync(5))
    for _ in range(7):
        action, state = policy.predict(observation, "kept")
        assert env.action_space.contains(action) and state == "kept"
        observation, _, _, _, _ = env.step(action)


def test_latency_holds_the_robot_still_at_first(model):
    env = make_env()
    observation, _ = env.reset(seed=0)
    policy = ChunkPolicy(model, Sync(5), Constant(0.1))
    actions = []
    for tick in range(5):
        action, _ = policy.predict(observation, episode_start=np.array([tick == 0]))
        actions.append(action)
        observation, _, _, _, _ = env.step(action)
    assert np.array_equal(actions[0], actions[1]) and np.array_equal(actions[0], actions[2])
    assert not np.array_equal(actions[2], actions[3])
