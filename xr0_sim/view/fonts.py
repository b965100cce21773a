"""Fonts for captions in any script: one that has the letters, or the letters spelled out.

DejaVu Sans, which ships with matplotlib, has Latin, Greek, Cyrillic and many signs, but no Chinese,
Japanese or Korean. Where a caption needs more, an installed font that has it is taken; where there
is none, what is missing is spelled: syllables and signs by their Unicode name, other characters by
their number, so that nothing is drawn as an empty box.
"""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.fonts",
    "~/.local/share/fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    "C:/Windows/Fonts",
)
WIDE_FONTS = (
    "cjk",
    "notosans",
    "sourcehan",
    "wqy",
    "wenquanyi",
    "droidsansfallback",
    "unifont",
    "pingfang",
    "hiragino",
    "stheiti",
    "msyh",
    "simhei",
    "malgun",
    "arialuni",
)
"""Parts of the file names of fonts with many scripts, best first."""
_SYLLABLE = re.compile(r"(?:HANGUL SYLLABLE|(?:HIRAGANA|KATAKANA) LETTER(?: SMALL)?) (\w+)$")
_NEVER_DRAWN = "\U0010fffe"


def caption(text: str, size: int, bold: bool = False) -> tuple[str, Any]:
    """Text that can be drawn, and the font to draw it in.

    Args:
        text: Any Unicode text.
        size: Font size [px].
        bold: Prefer a bold face.

    Returns:
        The text, with characters spelled out that no font at hand has, and a PIL font.
    """
    font = default_font(size, bold)
    lacking = missing(text, font)
    if not lacking:
        return text, font
    for path in wide_fonts():
        other = _open(path, size)
        found = missing(text, other) if other is not None else lacking
        if len(found) < len(lacking):
            font, lacking = other, found
        if not lacking:
            break
    return spelled(text, lacking), font


def spelled(text: str, lacking: frozenset[str] | set[str]) -> str:
    """The text with each character of ``lacking`` written in ASCII."""
    return "".join(_spell(sign) if sign in lacking else sign for sign in text)


def _spell(sign: str) -> str:
    name = unicodedata.name(sign, "")
    plain = unicodedata.normalize("NFKC", sign)
    if plain != sign and plain.isascii():
        return plain
    syllable = _SYLLABLE.match(name)
    if syllable:
        return syllable[1].lower()
    if not name or "IDEOGRAPH" in name:
        return f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"
    return {"IDEOGRAPHIC FULL STOP": ". ", "IDEOGRAPHIC COMMA": ", "}.get(name, f"[{name.lower()}]")


def missing(text: str, font: Any) -> frozenset[str]:
    """Characters of a text that a font draws as its empty box."""
    signs = {sign for sign in text if not sign.isascii()}
    if not signs:
        return frozenset()
    box = _drawn(font, _NEVER_DRAWN)
    return frozenset(sign for sign in signs if not sign.isspace() and _drawn(font, sign) == box)


def _drawn(font: Any, sign: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(sign)
    return mask.size, bytes(mask)


@functools.lru_cache(maxsize=64)
def default_font(size: int, bold: bool) -> Any:
    """DejaVu Sans as shipped with matplotlib, found without importing matplotlib."""
    from PIL import ImageFont

    spec = find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
        path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / name
        if path.exists():
            return ImageFont.truetype(str(path), size)
    return ImageFont.load_default(size)


@functools.lru_cache(maxsize=1)
def wide_fonts() -> tuple[Path, ...]:
    """Installed fonts with many scripts, best first."""
    found = []
    for folder in FONT_FOLDERS:
        for directory, _, names in os.walk(Path(folder).expanduser()):
            found += [
                (rank, Path(directory) / name)
                for name in names
                if name.lower().endswith((".ttf", ".otf", ".ttc"))
                and (rank := _rank(name)) < len(WIDE_FONTS)
            ]
    return tuple(path for _, path in sorted(found))


def _rank(name: str) -> int:
    plain = re.sub(r"[^a-z]", "", name.lower())
    return next((i for i, part in enumerate(WIDE_FONTS) if part in plain), len(WIDE_FONTS))


@functools.lru_cache(maxsize=64)
def _open(path: Path, size: int) -> Any | None:
    from PIL import ImageFont

    try:
        return ImageFont.truetype(str(path), size)
    except OSError:
        return None  # not a font that can be read; the next one may be
