"""How a scene looks in one episode: camera poses, light, table and dyes, drawn by the seed.

Nothing of it touches the physics or the task's own draws: the same seed gives the same scene and
the same motion under any looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.episode_streams import SceneStream, scene_rng
from envs.scene.cameras import MJ_CAMERAS, displace_camera
from xr0_sim.fields import CheckedFields, check_range
from xr0_sim.registry import looks
from xr0_sim.rotations import quat_from_rotvec, quat_rotate

TABLE_TEXTURE = "wood"
KEY_LIGHT, FILL_LIGHT = "key", "fill"


@dataclass(frozen=True)
class Looks(CheckedFields):
    """How far an episode's looks may be from the nominal ones; each is drawn uniformly.

    Attributes:
        camera_shift_m: Displacement of every policy camera along each axis [m].
        camera_turn_deg: Its turn about each axis [°].
        fov_deg: Change of its vertical field of view [°].
        light_turn_deg: Turn of the lights about each axis [°].
        light_stops: Change of their strength, and of the ambient light's [stops].
        table_tint: Change of the table's colour, as a share of white in every channel.
        table_grain: Contrast of the table's pattern, as a share of white.
        dye_hue_deg: Change of the hue of bricks or towel [°].
        dye_value: Change of their brightness and saturation, as a share.
    """

    camera_shift_m: float = 0.0
    camera_turn_deg: float = 0.0
    fov_deg: float = 0.0
    light_turn_deg: float = 0.0
    light_stops: float = 0.0
    table_tint: float = 0.0
    table_grain: float = 0.0
    dye_hue_deg: float = 0.0
    dye_value: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name, most, unit in (
            ("camera_shift_m", 0.2, "m"),
            ("camera_turn_deg", 20.0, "°"),
            ("fov_deg", 15.0, "°"),
            ("light_turn_deg", 90.0, "°"),
            ("light_stops", 3.0, "stops"),
            ("table_tint", 0.5, ""),
            ("table_grain", 0.5, ""),
            # Beyond it red is called orange, and a sentence names the wrong brick.
            ("dye_hue_deg", 8.0, "°"),
            ("dye_value", 0.3, ""),
        ):
            check_range(self, name, 0.0, most, unit)

    @property
    def plain(self) -> bool:
        """Whether nothing changes."""
        return not any(getattr(self, field.name) for field in fields(self))

    def scaled(self, share: float) -> Looks:
        """Every range times a share."""
        return Looks(**{field.name: share * getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True)
class Dye:
    """Parts of a scene that change their colour together, by their ids in the model.

    Attributes:
        geoms: Of geoms with a colour of their own.
        materials: Of materials.
        textures: Of textures.
    """

    geoms: Sequence[int] = ()
    materials: Sequence[int] = ()
    textures: Sequence[int] = ()


def dress(model: mujoco.MjModel, spread: Looks, dyes: Sequence[Dye], seed: int) -> None:
    """Gives a compiled scene the looks of an episode; to be called before its first picture.

    Args:
        model: The scene.
        spread: How far they may go.
        dyes: What the task dyes, always in the same order.
        seed: Seed of the episode.
    """
    if spread.plain:
        return
    rng = scene_rng(seed, SceneStream.LOOKS)
    # The order is fixed: a field at 0 draws like any other, so that fields can be told apart.
    for name in MJ_CAMERAS.values():
        shift, turn = rng.uniform(-1.0, 1.0, (2, 3))
        displace_camera(
            model, name, spread.camera_shift_m * shift, math.radians(spread.camera_turn_deg) * turn
        )
        model.cam_fovy[model.camera(name).id] += spread.fov_deg * rng.uniform(-1.0, 1.0)
    _light(model, spread, rng)
    _lay_table(model, spread, rng)
    for dye in dyes:
        hue, value, saturation = rng.uniform(-1.0, 1.0, 3) * (
            spread.dye_hue_deg / 360,
            spread.dye_value,
            spread.dye_value,
        )
        _apply(model, dye, hue, 1 + value, 1 + saturation)


def _light(model: mujoco.MjModel, spread: Looks, rng: np.random.Generator) -> None:
    for name in (KEY_LIGHT, FILL_LIGHT):
        index = model.light(name).id
        turn = quat_from_rotvec(math.radians(spread.light_turn_deg) * rng.uniform(-1.0, 1.0, 3))
        # The key light goes round what it shines on.
        model.light_pos[index] = quat_rotate(turn, model.light_pos[index])
        model.light_dir[index] = quat_rotate(turn, model.light_dir[index])
        model.light_diffuse[index] *= 2.0 ** (spread.light_stops * rng.uniform(-1.0, 1.0))
    ambient = 2.0 ** (spread.light_stops / 2 * rng.uniform(-1.0, 1.0))
    head = model.vis.headlight
    head.ambient[:] = ambient * np.asarray(head.ambient)
    head.diffuse[:] = ambient * np.asarray(head.diffuse)


def _lay_table(model: mujoco.MjModel, spread: Looks, rng: np.random.Generator) -> None:
    """Another colour, and a grain of another direction and width."""
    index = model.texture(TABLE_TEXTURE).id
    picture = _texture(model, index)
    height, width, _ = picture.shape
    tint = spread.table_tint * rng.uniform(-1.0, 1.0, 3)
    angle, stretch, period = rng.uniform(0, math.pi), rng.uniform(1, 12), rng.uniform(6, 40)
    row, column = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    along = (column * math.cos(angle) + row * math.sin(angle)) / (period * stretch)
    across = (row * math.cos(angle) - column * math.sin(angle)) / period
    grain = np.zeros((height, width))
    for octave in range(3):
        phase = rng.uniform(0, 2 * math.pi, 2)
        wobble = np.sin(2 * math.pi * 2**octave * along + phase[0])
        grain += np.sin(2 * math.pi * 2**octave * across + phase[1] + 0.8 * wobble) / 2**octave
    grain *= spread.table_grain / 1.75
    light = picture / 255 + tint + grain[..., None]
    picture[:] = np.round(255 * light.clip(0.05, 1.0)).astype(np.uint8)


def _apply(model: mujoco.MjModel, dye: Dye, hue: float, value: float, saturation: float) -> None:
    for geom in dye.geoms:
        model.geom_rgba[geom, :3] = dyed(model.geom_rgba[geom, :3], hue, value, saturation)
    for material in dye.materials:
        model.mat_rgba[material, :3] = dyed(model.mat_rgba[material, :3], hue, value, saturation)
    for texture in dye.textures:
        picture = _texture(model, texture)
        new = dyed(picture / 255, hue, value, saturation)
        picture[:] = np.round(255 * new).astype(np.uint8)


def dyed(
    rgb: NDArray[np.floating], hue: float, value: float, saturation: float
) -> NDArray[np.float64]:
    """Colours (..., 3) in 0 .. 1 turned by `hue` [turns], value and saturation times a factor."""
    most, least = rgb.max(axis=-1), rgb.min(axis=-1)
    chroma = most - least
    # Of hue, saturation and value: h in sixths of a turn, counted from the strongest channel.
    rest = (np.roll(rgb, -1, axis=-1) - np.roll(rgb, -2, axis=-1)) / np.where(
        chroma == 0, 1.0, chroma
    )[..., None]
    strongest = rgb.argmax(axis=-1)[..., None]
    sixths = np.take_along_axis(rest, strongest, axis=-1)[..., 0] + 2.0 * strongest[..., 0]
    new_value = np.minimum(1.0, value * most)
    share = chroma / np.where(most == 0, 1.0, most)
    new_chroma = new_value * np.minimum(1.0, saturation * share)
    turned = (sixths + 6.0 * hue)[..., None] + np.array([5.0, 3.0, 1.0])
    ramp = turned % 6.0
    return new_value[..., None] - new_chroma[..., None] * np.minimum(ramp, 4.0 - ramp).clip(0, 1)


def _texture(model: mujoco.MjModel, index: int) -> NDArray[np.uint8]:
    """A texture's picture (H, W, 3), in place."""
    height, width = int(model.tex_height[index]), int(model.tex_width[index])
    channels, start = int(model.tex_nchannel[index]), int(model.tex_adr[index])
    data = model.tex_data[start : start + height * width * channels]
    picture: NDArray[np.uint8] = data.reshape(height, width, channels)[..., :3]
    return picture


STRONG = Looks(
    camera_shift_m=0.015,
    camera_turn_deg=2.0,
    fov_deg=2.0,
    light_turn_deg=25.0,
    light_stops=0.7,
    table_tint=0.15,
    table_grain=0.08,
    dye_hue_deg=5.0,
    dye_value=0.15,
)
"""Chosen: another table in another room, cameras put up by hand; colours keep their names."""

looks.add("none", Looks(), "nominal looks in every episode")
looks.add("mild", STRONG.scaled(0.5), "chosen: half of strong")
looks.add("strong", STRONG, "chosen: cameras put up anew in another room")


def find_looks(value: Any) -> Looks:
    """Looks from their text, or the value itself.

    Raises:
        ConfigError: Unknown name or field, or no looks.
    """
    found: Looks = looks.value(value, Looks)
    return found
