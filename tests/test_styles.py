"""Every shipped style is legible, and a wrong one is refused by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from app.errors import InputError
from app.media import styles

PAPER = (styles.FOLDER / "paper.yaml").read_text(encoding="utf-8")


def luminance(colour: styles.RGB) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    linear = [
        c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4
        for c in colour
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: styles.RGB, other: styles.RGB) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def over_white(colour: styles.RGB, opacity: float) -> styles.RGB:
    red, green, blue = (round(opacity * c + (1 - opacity) * 255) for c in colour)
    return red, green, blue


@pytest.mark.parametrize("name", styles.names())
def test_every_pair_of_colours_that_meet_can_be_read(name: str) -> None:
    style = styles.load(name)
    colours, captions = style.colours, style.captions
    brightest = over_white(captions.box, captions.opacity)
    pairs = {
        "ink": (colours.ink, colours.background),
        "ink at the lower edge": (colours.ink, colours.horizon),
        "muted": (colours.muted, colours.background),
        "muted at the lower edge": (colours.muted, colours.horizon),
        "accent": (colours.accent, colours.background),
        "captions over white": (captions.text, brightest),
        "marked word over white": (captions.mark, brightest),
    }
    assert {pair: round(contrast(*c), 2) for pair, c in pairs.items() if contrast(*c) < 4.5} == {}


@pytest.mark.parametrize("name", styles.names())
def test_the_marked_word_differs_from_the_others(name: str) -> None:
    captions = styles.load(name).captions
    assert sum(abs(a - b) for a, b in zip(captions.text, captions.mark, strict=True)) > 100


def test_paper_is_the_default_and_styles_are_frozen() -> None:
    assert styles.names()[0] == styles.DEFAULT == "paper"
    style = styles.load("paper")
    assert style.name == "paper"
    assert style.colours.background == (0xF6, 0xEF, 0xE3)
    assert styles.load("paper") is style
    with pytest.raises(dataclasses.FrozenInstanceError):
        style.motion = 1.0  # type: ignore[misc] # that is the point


@pytest.mark.parametrize("name", ["neon", "", "../paper", "paper.yaml", "Paper"])
def test_an_unknown_style_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(InputError) as caught:
        styles.load(name)
    assert caught.value.code == "style_unknown"
    assert "paper" in caught.value.hint
    assert "night" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("motion: 0.7", "motoin: 0.7"), ["motoin is no setting", "motion is missing"]),
        (("  margin: 0.09", "  margins: 0.09"), ["scale.margins is no setting"]),
        (('"#f6efe3"', '"cream"'), ["colours.background", "#rrggbb"]),
        (('"#f6efe3"', "17"), ["colours.background", "#rrggbb"]),
        (("motion: 0.7", "motion: 7"), ["motion", "less than or equal to 1"]),
        (("texture: 0.5", "texture: .nan"), ["texture"]),
        (("motion: 0.7", "motion: 0.7\nname: other"), ["name is no setting"]),
        (("ornament: sun", "ornament: star"), ["ornament", "sun"]),
        (("colours:", "colours: ["), ["not YAML in line"]),
        ((PAPER, "- a\n- list\n"), ["not a mapping"]),
        ((PAPER, ""), ["not a mapping"]),
    ],
)
def test_a_wrong_file_is_refused_by_key(
    change: tuple[str, str], said: list[str], tmp_path: Path
) -> None:
    assert change[0] in PAPER
    file = tmp_path / "mine.yaml"
    file.write_text(PAPER.replace(*change), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        styles.read(file)
    assert caught.value.code == "style_invalid"
    assert "mine.yaml" in caught.value.message
    assert str(tmp_path) not in str(caught.value)
    for words in said:
        assert words in caught.value.message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="can't be read"):
        styles.read(file)
    with pytest.raises(InputError, match="can't be read"):
        styles.read(tmp_path / "absent.yaml")
