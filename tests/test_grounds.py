"""What is drawn behind cards: calm, the same each time, and legible under every design."""

from __future__ import annotations

import numpy as np
import pytest

from app.media import cards, contrast, grounds, pictures, styles
from app.media.cards.sheet import Bar, Page
from app.models import FRAME_SIZES, Language

TELLS: dict[Language, tuple[str, str, str]] = {
    "en": (
        "Why the sea is salty, and rivers are not",
        "Every litre holds about 35 grams of salt.",
        "“The sea forgives a great deal, but never a tower that is dark.”",
    ),
    "zh-TW": (
        "為什麼海是鹹的，河水卻不鹹？",
        "每公升海水大約含有35公克的鹽。",
        "「大海原諒很多事，卻從不原諒一座沒有亮的燈塔。」",
    ),
    "ja": (
        "なぜ海は塩辛く、川は塩辛くないのか",
        "海水1リットルには約35グラムの塩が含まれています。",
        "「海は多くのことを許すが、明かりのない灯台だけは許さない。」",
    ),
}


def drawn(style: styles.Style, page: Page, words: cards.Words, seed: str) -> np.ndarray:
    """Return the frame at rest, without its words."""
    sheet = cards.laid_out(words, language=page.language, size=page.size, style=style)
    canvas = pictures.canvas(page.size)
    kind = "title" if words.design == "title" else "statement"
    image = grounds.background(canvas, page.size, style, kind=kind, seed=seed, quiet=sheet.boxes)
    left, top = (canvas[0] - page.size[0]) // 2, (canvas[1] - page.size[1]) // 2
    frame = image.crop((left, top, left + page.size[0], top + page.size[1]))
    return np.asarray(frame, np.float64)


@pytest.mark.parametrize("name", styles.names())
def test_all_type_can_be_read_wherever_it_stands(name: str) -> None:
    style = styles.load(name)
    shown: list[tuple[Language, str]] = [("zh-TW", shape) for shape in FRAME_SIZES]
    for language, shape in (*shown, ("en", "16:9"), ("ja", "16:9")):
        page = Page((FRAME_SIZES[shape][0] // 8, FRAME_SIZES[shape][1] // 8), style, language)
        title, fact, quote = TELLS[language]
        for told in (
            cards.Told(title, "", fact, language, "first"),
            cards.Told(title, "", fact, language),
            cards.Told(title, "", quote, language),
        ):
            words = cards.settled(told, size=page.size, style=style)
            frame = drawn(style, page, words, title)
            sheet = cards.laid_out(words, language=language, size=page.size, style=style)
            for part in sheet.parts:
                if not isinstance(part.what, Bar):
                    worst = min(least(frame, box, part.colour) for box in part.boxes)
                    assert worst >= contrast.LEAST, (words.design, language, shape)


def least(frame: np.ndarray, box: cards.Box, colour: styles.RGB) -> float:
    """Return the contrast of a colour with nearly the least favourable place of a box."""
    left, top, right, bottom = box
    light = contrast.luminance(frame[max(0, top) : bottom, max(0, left) : right])
    ink = float(contrast.luminance(np.array(colour, float)))
    return float(contrast.ratio(ink, np.percentile(light, (2, 98))).min())


@pytest.mark.parametrize("name", styles.names())
def test_a_ground_is_the_same_each_time_and_others_with_other_seeds(name: str) -> None:
    style = styles.load(name)
    page, words = Page((240, 136), style, "en"), cards.Words("statement", heading="Rivers")
    seen = [drawn(style, page, words, seed).tobytes() for seed in "aabcd"]
    assert seen[0] == seen[1]
    assert len(set(seen)) > 1


@pytest.mark.parametrize("name", styles.names())
def test_captions_stand_on_calm_ground_and_gradients_have_no_steps(name: str) -> None:
    style = styles.load(name)
    page = Page((480, 270), style, "en")
    frame = drawn(style, page, cards.Words("title", heading="Rivers"), "a")
    low = contrast.luminance(frame[round(270 * 0.88) : round(270 * 0.96), 48:-48])
    assert low.max() - low.min() < 0.2
    column = frame[20:120, 240:244].sum(axis=2)  # grain hides the steps of eight bits
    assert (np.diff(column, axis=0) == 0).mean() < 0.5
