"""Faces, their regional forms, and what they can't draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app.errors import MediaError
from app.media import fonts


def drawn(text: str, language: fonts.Language, weight: fonts.Weight, tag: str | None) -> np.ndarray:
    image = Image.new("L", (120 * len(text), 140))
    face = fonts.face(language, weight, 100)
    ImageDraw.Draw(image).text((5, 5), text, font=face, fill=255, language=tag)
    return np.asarray(image)


@pytest.mark.parametrize("language", ["en", "zh-TW"])
@pytest.mark.parametrize("weight", ["regular", "bold"])
def test_a_face_is_opened_once_and_draws(language: fonts.Language, weight: fonts.Weight) -> None:
    assert fonts.face(language, weight, 40) is fonts.face(language, weight, 40)
    assert fonts.face(language, weight, 40).size == 40
    assert drawn("直A", language, weight, fonts.tag(language)).max() == 255


def test_bold_is_bolder() -> None:
    regular = drawn("山水", "zh-TW", "regular", "zh-Hant").sum(dtype=np.int64)
    bold = drawn("山水", "zh-TW", "bold", "zh-Hant").sum(dtype=np.int64)
    assert bold > 1.3 * regular


def test_small_figures_stand_above_and_below_the_line() -> None:
    for family in fonts.FAMILIES:
        assert fonts.missing("H₂O 10⁻⁷ xⁿ", "zh-TW", family) == ""
    boxes = [
        fonts.face("zh-TW", "bold", 100).getmask2(text, anchor="ls") for text in ("2", "²", "₂")
    ]
    (full, middle), (above, upper), (below, lower) = boxes
    assert above.size == below.size
    assert 0.5 < above.size[1] / full.size[1] < 0.7
    assert upper[1] < middle[1] < lower[1]
    assert lower[1] + below.size[1] > 5


@pytest.mark.parametrize("before", ["👍", "CO₂"])
def test_a_mark_after_what_another_font_draws_keeps_its_regional_place(before: str) -> None:
    lows = []
    for language in ("zh-TW", "ja"):
        face = fonts.face(language, "bold", 100)
        (plain, _), (mask, (_, top)) = (
            face.getmask2(text, "L", anchor="ls", language=fonts.tag(language))
            for text in (before, f"{before}。")
        )
        pixels = np.array(Image.Image()._new(mask))[:, plain.size[0] + 5 :]
        lows.append(top + int(np.nonzero(pixels.max(axis=1))[0].max()))
    assert lows[0] < -15 < 0 < lows[1] + 10


@pytest.mark.parametrize("character", "直骨令海，。")
def test_bold_chinese_gets_taiwanese_forms_from_the_tag(character: str) -> None:
    japanese = drawn(f"風{character}", "zh-TW", "bold", "ja")
    taiwanese = drawn(f"風{character}", "zh-TW", "bold", fonts.tag("zh-TW"))
    assert np.abs(japanese.astype(int) - taiwanese).sum() > 10_000


def test_the_full_width_comma_stands_in_the_middle_of_its_square() -> None:
    for weight in ("regular", "bold"):
        ink = drawn("風，", "zh-TW", weight, fonts.tag("zh-TW"))[:, 105:205]
        assert 40 < np.nonzero(ink.any(axis=0))[0].mean() < 60


@pytest.mark.parametrize("weight", ["regular", "bold"])
def test_an_english_apostrophe_is_narrow(weight: fonts.Weight) -> None:
    assert fonts.face("en", weight, 100).getlength("’", language=fonts.tag("en")) < 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Plain, “quoted” — and naïve… 1½ ①", ""),
        ("今晚，風與海。「好」！〜𠮷", ""),
        ("a😀b😀c🎬👩\u200d🚀🇹🇼1\ufe0f\u20e3", ""),
        ("a\U0001faff b\U000323af", "\U0001faff\U000323af"),
        ("שלום", "שלום"),
        ("tab\tline\nzero\u200bjoin\u200dnbsp\u00a0bom\ufeff", ""),
        ("❤\ufe0f", ""),
        ("e\u0301 Vie\u0323\u0302t か\u3099", ""),
        ("r\u0304 W\u0301", "\u0304Ẃ"),
        ("", ""),
    ],
)
def test_missing_names_what_would_be_a_box(text: str, expected: str) -> None:
    assert fonts.missing(text, "en") == expected
    assert fonts.missing(text, "zh-TW") == expected


@pytest.mark.parametrize("weight", ["regular", "bold"])
def test_what_is_not_missing_is_drawn_by_both_weights(weight: fonts.Weight) -> None:
    box = fonts.face("zh-TW", weight, 60).getmask("\u0378")  # unassigned: always the empty box
    for character in "AÉñ直骨〜…①ひ가𠮷★😀❤":
        assert fonts.missing(character, "zh-TW") == ""
        assert bytes(fonts.face("zh-TW", weight, 60).getmask(character)) != bytes(box)


def test_a_line_with_emoji_is_measured_and_placed_as_its_parts_are() -> None:
    face = fonts.face("ja", "bold", 80)
    line, tag = "星🚀を数える👩\u200d🚀星", fonts.tag("ja")
    parts = [
        face.getlength(part, language=tag) for part in ("星", "🚀", "を数える", "👩\u200d🚀", "星")
    ]
    assert face.getlength(line, language=tag) == pytest.approx(sum(parts), abs=1)
    for anchor in ("ls", "ms", "rs", "la"):
        image = Image.new("L", (1600, 400))
        ImageDraw.Draw(image).text((800.5, 200), line, 255, face, anchor, language=tag)
        left, top, right, bottom = face.getbbox(line, language=tag, anchor=anchor)
        inked = image.getbbox()
        assert inked is not None
        assert inked == pytest.approx((800 + left, 200 + top, 800 + right, 200 + bottom), abs=8)
    assert abs(parts[1] - 80) < 12  # about as wide as a Chinese character


@pytest.mark.parametrize("content", [None, b"", b"not a font at all" * 100])
def test_an_absent_or_broken_file_is_a_clear_error(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "NotoSansCJK-Regular.ttc"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(fonts, "path", lambda weight: file)
    for call in (lambda: fonts.face("en", "regular", 30), lambda: fonts.missing("a", "en")):
        with pytest.raises(MediaError) as caught:
            call()
        assert caught.value.code == "font_unusable"
        assert "NotoSansCJK-Regular.ttc" in caught.value.message
        assert str(tmp_path) not in str(caught.value)


def test_an_absent_package_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fonts._FILES, "bold", ("no_such_font_package", "x.otf"))
    with pytest.raises(MediaError, match="not installed"):
        fonts.face("en", "bold", 30)
