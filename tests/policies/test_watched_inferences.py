"""Events that wait for an inference fire under a Gymnasium policy, too."""

import gymnasium as gym
import numpy as np

from envs import ENV_IDS
from policies.chunk_policy import ChunkPolicy
from xr0_sim.runtime import Constant, NaiveAsync
from xr0_sim.types import ActionChunk


class Still:
    horizon, needs_images, capabilities = 30, False, frozenset()

    def reset(self, episode_seed):
        pass

    def infer(self, observation, prefix, noise_seed):
        return ActionChunk(np.tile(observation.robot.command, (30, 1)), observation.tick)


def test_a_watched_environment_knows_the_inferences_under_way():
    policy = ChunkPolicy(Still(), NaiveAsync(10), Constant(0.1))
    env = policy.watch(gym.make(ENV_IDS["block_dismantling"], observation="state"))
    events = ["move_light@inference:after_capture", "move_light@inference:before_handover#2"]
    observation, _ = env.reset(seed=0, options={"events": events})
    fired = []
    for _ in range(25):
        action, _ = policy.predict(observation)
        observation, *_, info = env.step(action)
        fired += [event.tick for event in info["events"]]
    # Captures in ticks 0 and 13, ten executed rows after the first chunk came in tick 3.
    assert fired == [1, 15] and info["pending_events"] == ()
    env.close()
