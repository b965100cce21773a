"""The published prompt wording of XR-0, as text and as token positions.

One user turn names each camera view and shows its image, then asks for actions; the assistant turn
holds an empty chain of thought.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.model.spec.special_tokens import IMAGE_TOKEN
from xr0_sim.plain_text import check_plain_text

Sizes = int | Sequence[int]
Grids = tuple[int, int] | Sequence[tuple[int, int]]

EARLIER = "base_earlier"
"""The base view of an earlier frame, in questions about what happened."""
VIEW_TITLES = {
    EARLIER: "# Earlier Base View",
    "base": "# Base View",
    "left_wrist": "# Left-Wrist View",
    "right_wrist": "# Right-Wrist View",
    "ego": "# Ego View",
}
"""Short names of views; any other view goes by its title, see `view_title`."""
PUBLISHED_HEADER = "The following observations are captured from multiple views.\n"
"""Opens the published prompt (release README); the small policies were trained without it."""
REQUEST = "Generate robot actions for the task:"


def prompt_text(
    instruction: str,
    visual_tokens: Sizes,
    cameras: tuple[str, ...] = CAMERAS,
    header: str = "",
) -> str:
    """The whole prompt with every image written as its run of pad tokens.

    Args:
        instruction: Task in natural language.
        visual_tokens: Tokens one image takes, or of every view in turn.
        cameras: Views in prompt order: keys of `VIEW_TITLES`, or titles.
        header: Text before the first view, e.g. `PUBLISHED_HEADER`.
    """
    views = _views(visual_tokens, cameras)
    return (
        f"<|im_start|>user\n{header}{views}{REQUEST}\n{instruction} /no_cot<|im_end|>\n"
        "<|im_start|>assistant\n<cot></cot><|im_end|>\n"
    )


def question_text(
    question: str, visual_tokens: Sizes, cameras: tuple[str, ...] = CAMERAS, header: str = ""
) -> str:
    """A question about the same views, up to where the answer begins; see `prompt_text`."""
    views = _views(visual_tokens, cameras)
    return f"<|im_start|>user\n{header}{views}{question}<|im_end|>\n<|im_start|>assistant\n"


def answer_text(answer: str) -> str:
    """What follows a question."""
    return f"{answer}<|im_end|>"


def view_title(camera: str) -> str:
    """Heading of a view: that of a short name, or the name itself when it is a title.

    A title has a space or opens with ``#``, e.g. ``Ego View`` or ``# Right-Gripper Tactile View``.

    Raises:
        ConfigError: An unknown short name, or a title with a line break or a control token.
    """
    if camera in VIEW_TITLES:
        return VIEW_TITLES[camera]
    title = camera.removeprefix("#").strip()
    if not title or (" " not in title and not camera.startswith("#")):
        raise unknown_name("camera", camera, VIEW_TITLES)
    if len(title.splitlines()) > 1:
        raise ConfigError(f"camera: expected a title of one line, got {camera!r}")
    check_plain_text("camera", title)
    return f"# {title}"


def _views(visual_tokens: Sizes, cameras: tuple[str, ...]) -> str:
    counts = [visual_tokens] * len(cameras) if isinstance(visual_tokens, int) else visual_tokens
    views = []
    for camera, count in zip(cameras, counts, strict=True):
        image = f"<|vision_start|>{IMAGE_TOKEN * count}<|vision_end|>"
        views.append(f"{view_title(camera)}\n{image}\n")
    return "".join(views)


def mrope_positions(ids: NDArray[np.int64], image_id: int, token_grid: Grids) -> NDArray[np.int64]:
    """Time, height and width positions of a prompt, as Qwen3-VL counts them.

    Text counts up on all three axes. An image keeps one time position, spreads its grid over height
    and width, and the text after it goes on behind the larger side:

    ```
        token   a  b  [img 2x2: ]  c
        time    0  1   2  2  2  2  4
        height  0  1   2  2  3  3  4
        width   0  1   2  3  2  3  4
    ```

    Args:
        ids: (S,) token ids.
        image_id: Id of the image pad token.
        token_grid: Visual tokens (rows, columns) of one image, or of every image in turn.

    Returns:
        (3, S).
    """
    several = not isinstance(token_grid[0], int)
    grids = cast("list[tuple[int, int]]", list(token_grid) if several else [token_grid])
    positions = np.zeros((3, len(ids)), np.int64)
    index = current = image = 0
    while index < len(ids):
        if ids[index] == image_id:
            rows, columns = grids[image if len(grids) > 1 else 0]
            places = np.divmod(np.arange(rows * columns), columns)
            positions[:, index : index + rows * columns] = current
            positions[1:, index : index + rows * columns] += np.stack(places)
            index += rows * columns
            current += max(rows, columns)
            image += 1
        else:
            positions[:, index] = current
            index += 1
            current += 1
    return positions
