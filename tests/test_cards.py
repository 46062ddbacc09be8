"""Cards: legible, inside the frame, clear of the captions, in every shape and language."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from app.media import cards, pictures, styles
from app.media.thumbnail import luminance
from app.models import Language

SHAPES = {"16:9": (640, 360), "9:16": (360, 640), "1:1": (360, 360)}
WORDS: dict[Language, tuple[str, str]] = {
    "en": (
        "The lighthouse that counts the stars",
        "Between two turns of its lamp it counted as far as it could, and began again at one.",
    ),
    "zh-TW": ("數星星的燈塔", "燈光轉過一圈又一圈，空檔裡，老燈塔能數多遠就數多遠，再從一開始。"),
}
MONSTER = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 6


def card(
    folder: Path,
    heading: str,
    text: str,
    *,
    language: Language = "en",
    size: tuple[int, int] = SHAPES["16:9"],
    style: str = "paper",
    kind: cards.Kind = "title",
) -> np.ndarray:
    target = folder / "card.png"
    cards.draw(
        target,
        heading=heading,
        text=text,
        language=language,
        size=size,
        style=styles.load(style),
        kind=kind,
    )
    with Image.open(target) as image:
        assert image.mode == "RGB"
        assert image.size == pictures.canvas(size)
        return np.asarray(image).astype(int)


def words(made: np.ndarray, colours: styles.Colours) -> np.ndarray:
    """Where a pixel has exactly a colour of type."""
    found = np.zeros(made.shape[:2], dtype=bool)
    for colour in (colours.ink, colours.muted, colours.accent):
        found |= (made == colour).all(axis=2)
    return found


@pytest.mark.parametrize("kind", get_args(cards.Kind))
@pytest.mark.parametrize("size", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("language", get_args(Language))
def test_words_stand_within_the_frame_and_above_the_captions(
    language: Language, size: tuple[int, int], kind: cards.Kind, tmp_path: Path
) -> None:
    for heading, text in (WORDS[language], (MONSTER, MONSTER), (WORDS[language][1] * 4, "")):
        made = card(tmp_path, heading, text, language=language, size=size, kind=kind)
        style = styles.load("paper")
        rows, columns = np.nonzero(words(made, style.colours))
        left, top = (made.shape[1] - size[0]) // 2, (made.shape[0] - size[1]) // 2
        margin = style.scale.margin * min(size)
        assert len(rows) > 150
        assert rows.min() >= top + margin - 2
        assert rows.max() <= top + size[1] * (1 - style.captions.zone)
        assert columns.min() >= left + margin - 2
        assert columns.max() <= left + size[0] - margin + 2


@pytest.mark.parametrize("style", styles.names())
@pytest.mark.parametrize("kind", get_args(cards.Kind))
@pytest.mark.parametrize("size", SHAPES.values(), ids=SHAPES)
def test_type_contrasts_with_the_very_pixels_behind_it(
    style: str, kind: cards.Kind, size: tuple[int, int]
) -> None:
    look = styles.load(style)
    for language, (heading, text) in WORDS.items():
        layout = cards._LAYOUTS[kind](heading, text, language, size, look)
        ground = cards.background(
            size, size, look, kind=kind, seed=f"{heading}\n{text}", quiet=layout.boxes
        )
        light = luminance(np.asarray(ground, dtype=float))
        for setting, at, colour in layout.parts:
            type_light = float(luminance(np.array(colour, dtype=float)))
            for left, top, right, bottom in setting.boxes(at):
                behind = light[top:bottom, left:right]
                high = np.maximum(behind, type_light) + 0.05
                assert (high / (np.minimum(behind, type_light) + 0.05)).min() >= 4.5


def test_a_title_is_larger_than_a_statement(tmp_path: Path) -> None:
    ink = styles.load("paper").colours.ink
    sizes = []
    for kind in get_args(cards.Kind):
        made = card(tmp_path, "Tea", "", kind=kind)
        sizes.append(int((made == ink).all(axis=2).sum()))
    assert sizes[0] > 1.5 * sizes[1]


@pytest.mark.parametrize("kind", get_args(cards.Kind))
def test_a_card_without_words_is_a_picture_without_a_rule(kind: cards.Kind, tmp_path: Path) -> None:
    made = card(tmp_path, "", "", kind=kind)
    assert not (made == styles.load("paper").colours.accent).all(axis=2).any()


@pytest.mark.parametrize("kind", get_args(cards.Kind))
def test_text_alone_is_set_like_a_heading(kind: cards.Kind, tmp_path: Path) -> None:
    ink = styles.load("paper").colours.ink
    assert (card(tmp_path, "", "Some words.", kind=kind) == ink).all(axis=2).sum() > 200


def test_the_same_words_give_the_same_card_and_others_other_hills(tmp_path: Path) -> None:
    first = card(tmp_path, "One", "")
    assert (first == card(tmp_path, "One", "")).all()
    assert (first[-20:] != card(tmp_path, "Two", "")[-20:]).any()


def test_a_card_is_a_jpeg_unless_named_otherwise(tmp_path: Path) -> None:
    for name, kind in (("card.jpg", "JPEG"), ("card.partial", "JPEG"), ("card.png", "PNG")):
        cards.draw(
            tmp_path / name,
            heading="One",
            text="",
            language="en",
            size=(480, 270),
            style=styles.load("night"),
            kind="title",
        )
        with Image.open(tmp_path / name) as image:
            assert image.format == kind
