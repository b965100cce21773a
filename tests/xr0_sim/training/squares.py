"""A synthetic store: coloured squares on a table, and chunks that reach for the named one.

The base camera looks straight down on 0.77 m of table (6 mm a pixel at 128 px); the wrist cameras
see a quarter of that around each tool. The left tool reaches the named square within the chunk and
closes its jaw; the right arm rests. Joints are a linear map of the tool position, so that forward
kinematics is exact.
"""

from __future__ import annotations

import numpy as np

from xr0_sim.data.chunk_schema import StoreMeta
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.model.auxiliary.grounding_spec import GroundingSpec
from xr0_sim.types import RobotState

COLORS = {
    "red": (230, 60, 50),
    "green": (60, 180, 75),
    "blue": (60, 90, 220),
    "yellow": (240, 200, 40),
    "orange": (240, 130, 40),
    "purple": (150, 70, 190),
}
TABLE_SPAN = 0.77
WRIST_ZOOM = 4.0
JOINT_MAP = np.array([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
QUAT = np.array([[0.5, 0.5, 0.5, -0.5], [0.5, -0.5, 0.5, 0.5]])


def grounding_spec(colors):
    points = [("target", 0), ("target", 1), *((color, 0) for color in colors)]
    return GroundingSpec(
        regressions=(("target_xy", 2),), classes=(("color", len(colors)),), points=tuple(points)
    )


def draw(size, centres_px, halves_px, colors, background, rng):
    """One image of anti-aliased squares with sensor noise."""
    axis = np.arange(size, dtype=np.float32) + 0.5
    image = np.empty((size, size, 3), np.float32)
    image[:] = background
    for centre, half, color in zip(centres_px, halves_px, colors, strict=True):
        cover = np.clip(half[:, None] + 0.5 - np.abs(axis - centre[:, None]), 0, 1)
        alpha = (cover[1][:, None] * cover[0][None, :])[..., None]
        image += alpha * (np.asarray(color, np.float32) - image)
    image += rng.normal(0, 2.0, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def sample(seed, size=128, horizon=30, colors=tuple(COLORS)):
    """Keyword arguments of `ChunkWriter.add` for one scene."""
    rng = np.random.default_rng(seed)
    slots = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2)
    xy = (slots[rng.permutation(16)[: len(colors)]] + rng.uniform(0.25, 0.75, (len(colors), 2))) / 4
    xy = (xy - 0.5) * 0.86 * TABLE_SPAN
    halves = rng.uniform(0.018, 0.030, (len(colors), 2))
    target = int(rng.integers(len(colors)))
    tool = np.array([[*rng.uniform(-0.3, 0.3, 2), 0.15], [0.3, -0.35, 0.2]])
    background = rng.uniform(90, 200, 3)
    paint = [np.array(COLORS[c]) * rng.uniform(0.85, 1.08) for c in colors]

    def view(centre, zoom):
        scale = size * zoom / TABLE_SPAN
        centres = (xy - centre) * scale + size / 2
        return draw(size, centres, halves * scale, paint, background, rng), centres / size

    base, uv_base = view(np.zeros(2), 1.0)
    wrist, uv_wrist = view(tool[0, :2], WRIST_ZOOM)
    other, _ = view(tool[1, :2], WRIST_ZOOM)
    progress = np.linspace(0, 1, horizon + 1)[1:]
    smooth = progress**2 * (3 - 2 * progress)
    goal = np.array([*xy[target], 0.02])
    path = np.repeat(tool[None], horizon, 0)
    path[:, 0] += smooth[:, None] * (goal - tool[0])
    joints = path @ JOINT_MAP.T
    jaw = np.stack([np.where(progress > 0.9, 0.0, 1.0), np.ones(horizon)], -1)
    actions = np.concatenate([joints, jaw[..., None]], -1).reshape(horizon, 14)
    state_joints = tool @ JOINT_MAP.T
    command = np.concatenate([state_joints, np.ones((2, 1))], -1).ravel()
    values = {"target_xy": xy[target] / 0.4, "color": target}
    values |= {"target@0": uv_base[target], "target@1": uv_wrist[target]}
    values |= {f"{color}@0": uv_base[i] for i, color in enumerate(colors)}
    vector, mask = grounding_spec(colors).pack(values)
    return {
        "images": np.stack([base, wrist, other]),
        "robot": RobotState(state_joints, np.zeros((2, 6)), np.ones(2), tool, QUAT, command),
        "instruction": f"Reach for the {colors[target]} square and touch it.",
        "actions": actions,
        "action_tools": np.concatenate([path, np.broadcast_to(QUAT, (horizon, 2, 4))], -1),
        "valid_steps": horizon,
        "episode_seed": seed,
        "tick": 0,
        "source": "demo",
        "grounding": vector,
        "grounding_mask": mask,
    }


def build_store(root, count, size=128, horizon=30, colors=tuple(COLORS), first_seed=0):
    """Writes ``count`` scenes and returns the directory."""
    spec = grounding_spec(colors)
    meta = StoreMeta(
        horizon=horizon, image_size=size, grounding_dim=spec.width, grounding=spec.to_dict()
    )
    with ChunkWriter(root, meta, "main", shard_samples=1024) as writer:
        for seed in range(first_seed, first_seed + count):
            writer.add(**sample(seed, size, horizon, colors))
            writer.end_episode()
    return root
