"""A task of one's own: run it with ``--plugin docs/examples/my_task.py --env three_bricks``."""

from envs import register_gym_id
from envs.block_dismantling.env import BlockDismantlingEnv
from envs.task_spec import TaskSpec
from xr0_sim.registry import tasks


class ThreeBricks(BlockDismantlingEnv):
    """Three bricks or more, layer on layer; one sorted brick is enough."""

    def __init__(self, n_objects: int = 3, **kwargs):
        super().__init__(n_bricks=n_objects, layout="layered", **kwargs)

    def advance(self, action):
        """Ends as soon as one brick is sorted."""
        reward, terminated, truncated, info = super().advance(action)
        info["success"] = "sorted" in info["bricks"]
        return reward, terminated or info["success"], truncated, info


tasks.add(
    "three_bricks",
    TaskSpec(
        env=ThreeBricks,
        env_kwargs={"n_objects": 3},
        time_limit_s=30.0,
        pieces="bricks",
        count=lambda info: info["bricks"].count("sorted"),
        events="envs.block_dismantling.events",
        expert="policies.scripted.blocks.expert:BlockExpert",
        gym_id="own/ThreeBricks-v0",
    ),
    source="own",
)
register_gym_id("three_bricks")
