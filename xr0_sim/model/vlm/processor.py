"""Observations to VLM inputs: prompts, images and positions, batched and without per-call cost.

Prompts are tokenised once per instruction and kept. Everything is offline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.spec.image_rules import image_size as ruled_size
from xr0_sim.model.spec.robot_schema import RobotSchema
from xr0_sim.model.spec.special_tokens import IMAGE_TOKEN, PAD_TOKEN
from xr0_sim.model.vlm.forward import VlmInputs
from xr0_sim.model.vlm.images import fit_images, to_patches
from xr0_sim.model.vlm.prompt import answer_text, mrope_positions, prompt_text, question_text
from xr0_sim.model.vlm.tokenizer import load_tokenizer


@dataclass(frozen=True)
class Prompt:
    """One tokenised instruction: ids (S,), MRoPE positions (3, S), image token places (V,)."""

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    image_places: NDArray[np.int64]


class XR0Processor:
    """Turns camera images and instructions into `VlmInputs`, and chunks into physical actions.

    Args:
        config: The policy's configuration (patch sizes, image rule, prompt header).
        tokenizer_dir: Directory of the tokenizer file, ours or a Qwen3-VL one; the shipped one when
            None.
        cameras: Views in prompt order.
        schemas: Action statistics per robot type, e.g. `robot_schema.load_schemas`.
    """

    def __init__(
        self,
        config: XR0Config,
        tokenizer_dir: Path | None = None,
        cameras: tuple[str, ...] = CAMERAS,
        schemas: Mapping[str, RobotSchema] | None = None,
    ) -> None:
        if tokenizer_dir is None:
            tokenizer_dir = shipped_tokenizer_dir(config.tokenizer)
        vision = config.vlm_config.vision_config
        self.cameras = cameras
        self._tokenizer = load_tokenizer(tokenizer_dir)
        self._header = config.prompt_header
        self._image_rule = config.image_rule
        self._schemas = dict(schemas or {})
        self._patching = (vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size)
        image_id = self._tokenizer.token_to_id(IMAGE_TOKEN)
        self._pad_id = self._tokenizer.token_to_id(PAD_TOKEN)
        self._prompts: dict[tuple[str, tuple[int, int]], Prompt] = {}
        vocabulary = config.vlm_config.text_config.vocab_size
        if (
            self._tokenizer.get_vocab_size() > vocabulary
            or image_id is None
            or image_id != config.vlm_config.image_token_id
        ):
            raise ConfigError(
                f"tokenizer {tokenizer_dir}: expected at most {vocabulary} tokens with "
                f"{IMAGE_TOKEN} = {config.vlm_config.image_token_id}, got "
                f"{self._tokenizer.get_vocab_size()} with {image_id}; use the tokenizer the "
                "model was built for"
            )
        self._image_id = image_id

    @property
    def robot_types(self) -> list[str]:
        """Robot types whose actions can be decoded."""
        return sorted(self._schemas)

    def schema(self, robot_type: str) -> RobotSchema:
        """Action statistics of a robot type."""
        if not self._schemas:
            raise ConfigError(
                f"robot type {robot_type!r}: expected a processor with action statistics, got one "
                "without; pass schemas, e.g. from load_schemas"
            )
        if robot_type not in self._schemas:
            raise unknown_name("robot type", robot_type, self._schemas)
        return self._schemas[robot_type]

    def action_mask(self, robot_type: str, batch_size: int = 1) -> Tensor:
        """(batch_size, T, 32) float mask for `XR0ForActionGeneration.sample_actions`."""
        mask = torch.from_numpy(self.schema(robot_type).action_mask.astype(np.float32))
        return mask.expand(batch_size, -1, -1)

    def decode_action(self, actions: Tensor, robot_type: str) -> NDArray[np.float64]:
        """(..., T, 32) normalised chunks to relative actions in physical units."""
        return self.schema(robot_type).decode(actions.detach().float().cpu().numpy())

    @property
    def patching(self) -> tuple[int, int, int]:
        """Patch size, merge size and temporal patch size, as `images.patchify` takes them."""
        return self._patching

    @property
    def image_id(self) -> int:
        """Id of the image pad token."""
        return self._image_id

    def prompt(self, instruction: str, image_size: tuple[int, int]) -> Prompt:
        """The tokenised prompt of an instruction for images of that (height, width) [px]."""
        key = (instruction, image_size)
        if key not in self._prompts:
            patch, merge, _ = self._patching
            grid = (image_size[0] // patch // merge, image_size[1] // patch // merge)
            text = prompt_text(instruction, grid[0] * grid[1], self.cameras, self._header)
            ids = np.asarray(self._tokenizer.encode(text).ids, np.int64)
            self._prompts[key] = Prompt(
                ids,
                mrope_positions(ids, self._image_id, grid),
                np.flatnonzero(ids == self._image_id),
            )
        return self._prompts[key]

    def __call__(self, images: NDArray[np.uint8], instructions: Sequence[str]) -> VlmInputs:
        """Builds one batch.

        Args:
            images: (F, cameras, H, W, 3) uint8, cameras in the processor's order.
            instructions: F instructions.
        """
        if images.ndim != 5 or images.shape[:2] != (len(instructions), len(self.cameras)):
            raise ConfigError(
                f"images: expected ({len(instructions)}, {len(self.cameras)}, H, W, 3) for "
                f"{len(instructions)} instructions, got {images.shape}"
            )
        frames = fit_images(images.reshape(-1, *images.shape[2:]), self._image_rule)
        patches = to_patches(frames, *self._patching)
        return self.assemble(patches, (frames.shape[1], frames.shape[2]), instructions)

    def assemble(
        self, patches: Tensor, image_size: tuple[int, int], instructions: Sequence[str]
    ) -> VlmInputs:
        """Joins ready patch rows (F * cameras, P, values) with the prompts of F instructions."""
        return self._batch(
            patches, image_size, [self.prompt(text, image_size) for text in instructions]
        )

    def dialogue(
        self,
        patches: Tensor,
        image_size: tuple[int, int],
        questions: Sequence[str],
        answers: Sequence[str],
        views: Sequence[tuple[str, ...]] | None = None,
    ) -> tuple[VlmInputs, Tensor]:
        """Joins patch rows with F questions and their answers.

        Args:
            patches: Rows (images, P, values) of all pictures, question by question.
            image_size: Height and width of each picture [px].
            questions: F texts.
            answers: Their answers.
            views: Names of the pictures each question is about, keys of `prompt.VIEW_TITLES`; the
                processor's cameras when None.

        Returns:
            The batch, and (F, S) long: how many tokens of the answer have been given before each
            token, -1 outside of answers. The token before the first of an answer has 0.
        """
        patch, merge, _ = self._patching
        grid = (image_size[0] // patch // merge, image_size[1] // patch // merge)
        prompts, spans = [], []
        shown = views or [self.cameras] * len(questions)
        for question, answer, names in zip(questions, answers, shown, strict=True):
            asked = question_text(question, grid[0] * grid[1], names, self._header)
            head = self._tokenizer.encode(asked).ids
            tail = self._tokenizer.encode(answer_text(answer)).ids
            ids = np.asarray([*head, *tail], np.int64)
            positions = mrope_positions(ids, self._image_id, grid)
            prompts.append(Prompt(ids, positions, np.flatnonzero(ids == self._image_id)))
            spans.append((len(head) - 1, len(tail)))
        inputs = self._batch(patches, image_size, prompts)
        given = torch.full(inputs.input_ids.shape, -1, dtype=torch.long)
        for row, (start, count) in enumerate(spans):
            given[row, start : start + count] = torch.arange(count)
        return inputs, given

    def _batch(
        self, patches: Tensor, image_size: tuple[int, int], prompts: Sequence[Prompt]
    ) -> VlmInputs:
        lengths = np.array([len(p.ids) for p in prompts])
        longest = int(lengths.max())
        ids = np.full((len(prompts), longest), self._pad_id, np.int64)
        positions = np.zeros((3, len(prompts), longest), np.int64)
        places = []
        for row, prompt in enumerate(prompts):
            ids[row, : lengths[row]] = prompt.ids
            positions[:, row, : lengths[row]] = prompt.positions
            places.append(prompt.image_places + row * longest)
        patch = self._patching[0]
        return VlmInputs(
            torch.from_numpy(ids),
            torch.from_numpy(lengths),
            torch.from_numpy(positions),
            torch.from_numpy(np.concatenate(places)),
            patches,
            (image_size[0] // patch, image_size[1] // patch),
        )

    def text_only(self, instructions: Sequence[str]) -> VlmInputs:
        """A batch of the closing part of the prompt, instruction included, without pictures."""
        ids = [
            np.asarray(self._tokenizer.encode(prompt_text(text, 0, ())).ids, np.int64)
            for text in instructions
        ]
        lengths = np.array([len(row) for row in ids])
        padded = np.full((len(ids), int(lengths.max())), self._pad_id, np.int64)
        for row, values in zip(padded, ids, strict=True):
            row[: len(values)] = values
        positions = np.broadcast_to(np.arange(padded.shape[1]), (3, *padded.shape)).copy()
        patch, merge, temporal = self._patching
        return VlmInputs(
            torch.from_numpy(padded),
            torch.from_numpy(lengths),
            torch.from_numpy(positions),
            torch.zeros(0, dtype=torch.long),
            torch.zeros(0, merge * merge, 3 * temporal * patch * patch),
            (merge, merge),
        )

    def expected_size(self, height: int, width: int) -> tuple[int, int]:
        """Size [px] an image of this size is brought to."""
        return ruled_size(height, width, self._image_rule)


def shipped_tokenizer_dir(name: str) -> Path:
    """Directory of a tokenizer that ships with the project."""
    return Path(__file__).resolve().parents[3] / "assets" / name
