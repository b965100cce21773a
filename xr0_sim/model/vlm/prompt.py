"""The published prompt wording of XR-0, as text and as token positions.

One user turn names each camera view and shows its image, then asks for actions; the assistant turn
holds an empty chain of thought.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import unknown_name
from xr0_sim.model.spec.special_tokens import IMAGE_TOKEN

EARLIER = "base_earlier"
"""The base view of an earlier frame, in questions about what happened."""
VIEW_TITLES = {
    EARLIER: "# Earlier Base View",
    "base": "# Base View",
    "left_wrist": "# Left-Wrist View",
    "right_wrist": "# Right-Wrist View",
}
PUBLISHED_HEADER = "The following observations are captured from multiple views.\n"
"""Opens the published prompt (release README); the small policies were trained without it."""
REQUEST = "Generate robot actions for the task:"


def prompt_text(
    instruction: str,
    visual_tokens: int,
    cameras: tuple[str, ...] = CAMERAS,
    header: str = "",
) -> str:
    """The whole prompt with every image written as its run of pad tokens.

    Args:
        instruction: Task in natural language.
        visual_tokens: Tokens one image takes.
        cameras: Views in prompt order.
        header: Text before the first view, e.g. `PUBLISHED_HEADER`.
    """
    views = _views(visual_tokens, cameras)
    return (
        f"<|im_start|>user\n{header}{views}{REQUEST}\n{instruction} /no_cot<|im_end|>\n"
        "<|im_start|>assistant\n<cot></cot><|im_end|>\n"
    )


def question_text(
    question: str, visual_tokens: int, cameras: tuple[str, ...] = CAMERAS, header: str = ""
) -> str:
    """A question about the same views, up to where the answer begins; see `prompt_text`."""
    views = _views(visual_tokens, cameras)
    return f"<|im_start|>user\n{header}{views}{question}<|im_end|>\n<|im_start|>assistant\n"


def answer_text(answer: str) -> str:
    """What follows a question."""
    return f"{answer}<|im_end|>"


def _views(visual_tokens: int, cameras: tuple[str, ...]) -> str:
    views = []
    for camera in cameras:
        if camera not in VIEW_TITLES:
            raise unknown_name("camera", camera, VIEW_TITLES)
        image = f"<|vision_start|>{IMAGE_TOKEN * visual_tokens}<|vision_end|>"
        views.append(f"{VIEW_TITLES[camera]}\n{image}\n")
    return "".join(views)


def mrope_positions(
    ids: NDArray[np.int64], image_id: int, token_grid: tuple[int, int]
) -> NDArray[np.int64]:
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
        token_grid: Visual tokens (rows, columns) of one image.

    Returns:
        (3, S).
    """
    rows, columns = token_grid
    grid = np.stack([np.zeros(rows * columns), *np.divmod(np.arange(rows * columns), columns)])
    positions = np.zeros((3, len(ids)), np.int64)
    index = current = 0
    while index < len(ids):
        if ids[index] == image_id:
            positions[:, index : index + rows * columns] = current + grid
            index += rows * columns
            current += max(rows, columns)
        else:
            positions[:, index] = current
            index += 1
            current += 1
    return positions
