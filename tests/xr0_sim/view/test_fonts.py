"""Captions in scripts that the shipped font lacks."""

import numpy as np
import pytest

from xr0_sim.view import Overlay, fonts

CHINESE = "把红色积木放进左边的盒子。"
FRAME = np.full((540, 960, 3), 128, np.uint8)


@pytest.fixture
def no_wide_fonts(monkeypatch):
    monkeypatch.setattr(fonts, "wide_fonts", lambda: ())


@pytest.fixture
def chinese_font(tmp_path, monkeypatch):
    """A font with a full block for every character of the sentence and for ASCII."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    def box(low, high):
        pen = TTGlyphPen(None)
        pen.moveTo((low, low))
        for corner in ((low, high), (high, high), (high, low)):
            pen.lineTo(corner)
        pen.closePath()
        return pen.glyph()

    letters = {ord(c): f"u{ord(c):04x}" for c in CHINESE + "abc ."}
    names = [".notdef", *letters.values()]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(letters)
    glyphs = {name: box(100, 800) for name in names} | {".notdef": box(300, 400)}
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    folder = tmp_path / "share" / "truetype"
    folder.mkdir(parents=True)
    builder.save(folder / "NotoSansCJK-Regular.ttf")
    (folder / "wqy-broken.ttc").write_bytes(b"no font")
    monkeypatch.setattr(fonts, "FONT_FOLDERS", (str(tmp_path / "share"),))
    fonts.wide_fonts.cache_clear()
    yield folder / "NotoSansCJK-Regular.ttf"
    fonts.wide_fonts.cache_clear()


def test_an_installed_font_that_has_the_characters_is_taken(chinese_font):
    text, font = fonts.caption(CHINESE, 20, bold=True)
    assert text == CHINESE and font.path == str(chinese_font)
    text, font = fonts.caption("abc Δ≤ é", 20)
    assert text == "abc Δ≤ é" and "DejaVuSans" in str(font.path)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("把", "\\u628a"),
        ("fold 毛巾", "fold \\u6bdb\\u5dfe"),
        ("タオル", "taoru"),
        ("수건", "sugeon"),
        ("ＡＢ", "AB"),
        ("a 🧱", "a [brick]"),
        ("é Δ я", "é Δ я"),
        ("plain", "plain"),
    ],
)
def test_without_one_it_is_spelled(no_wide_fonts, text, shown):
    found, font = fonts.caption(text, 20)
    assert found == shown and not fonts.missing(found, font)


def test_no_caption_of_a_video_has_a_box(no_wide_fonts, monkeypatch):
    from PIL import ImageDraw

    genuine, drawn = ImageDraw.ImageDraw.text, []

    def text(self, at, words, fill=None, font=None, *rest, **options):
        drawn.append((words, font))
        return genuine(self, at, words, fill, font, *rest, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    overlay = Overlay(CHINESE, "同步 T_e=10 Δ≤6")
    frame = overlay.draw(FRAME)
    assert (frame != FRAME).any() and len(drawn) >= 2
    assert not [words for words, font in drawn if fonts.missing(words, font)]
    assert drawn[0][0].startswith("\\u628a\\u7ea2")


def test_a_long_sentence_without_spaces_is_broken_into_lines(chinese_font, monkeypatch):
    from PIL import ImageDraw

    genuine, drawn = ImageDraw.ImageDraw.text, []

    def text(self, at, words, fill=None, font=None, *rest, **options):
        drawn.append((words, font.getlength(words)))
        return genuine(self, at, words, fill, font, *rest, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    Overlay(CHINESE * 9, "b").draw(FRAME)
    first, second = (words for words, _ in drawn[:2])
    assert (CHINESE * 9).startswith(first + second.removesuffix(" …"))
    assert second.endswith("…") and max(length for _, length in drawn) < 960
