"""A contact sheet of styles: of each a title, another card, a picture with its caption, a thumbnail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from app import disk
from app import language as written
from app.media import captions, cards, fonts, pictures, styles, thumbnail
from app.media.styles import RGB, Style
from app.models import Language, Word

VERSION = f"1 {cards.VERSION} {captions.VERSION} {thumbnail.VERSION} {pictures.VERSION}"
"""Of what is on a sheet."""

Report = Callable[[str], None]

FRAME = (1280, 720)
"""Pixels that each tile is drawn at."""
_TILE = (592, 333)
_GAP, _MARGIN = 16, 48
_LABEL = 74
"""Height of the line above a style's tiles."""
_PAPER: RGB = (236, 236, 233)
_INK: RGB = (28, 28, 28)
_FAINT: RGB = (98, 98, 94)
_MADE_FROM = "made-from"
"""Key of the PNG's text that says what the sheet shows."""


class _Sample(NamedTuple):
    """The words of the tiles in one language."""

    title: str
    fact: str
    said: str


_SAMPLES: dict[Language, _Sample] = {
    "en": _Sample(
        "The last lighthouse",
        "Its light is seen 38 kilometres out at sea.",
        "When evening comes, the keeper lights the lamp.",
    ),
    "zh-TW": _Sample("海角的燈塔", "燈光在38公里外的海上也看得見。", "傍晚時分，守燈人點亮了燈。"),
    "ja": _Sample(
        "岬の灯台", "その光は38キロ先の海からも見えます。", "日が暮れると、灯台守が明かりをともす。"
    ),
}


def sheet(
    target: Path,
    shown: Sequence[Style],
    *,
    language: Language,
    picture: Path,
    report: Report | None = None,
) -> bool:
    """Draw the sheet of `shown` to `target`, a PNG, unless it is there already.

    Args:
        target: The file.
        shown: Styles, a row each.
        language: Of the words on the tiles.
        picture: What the third tile and the thumbnail show.
        report: Called with the name of each style before it is drawn; may raise to stop.

    Returns:
        Whether it was drawn anew.

    Raises:
        InputError: as `pictures.check`.
        MediaError: `font_unusable`.
    """
    digests = [[s.name, s.description, *made_of(s), styles.digest(s)] for s in shown]
    made_from = disk.digest([VERSION, language, disk.sha256(picture), digests])
    if _shows(target) == made_from:
        return False
    rows = []
    with TemporaryDirectory() as folder:
        tiles = _Tiles(language, picture, Path(folder))
        for style in shown:
            if report is not None:
                report(style.name)
            rows.append(_row(style, tiles))
    wide = max(row.width for row in rows) + 2 * _MARGIN
    whole = Image.new("RGB", (wide, sum(row.height for row in rows) + 2 * _MARGIN), _PAPER)
    top = _MARGIN - _GAP
    for row in rows:
        whole.paste(row, (_MARGIN, top))
        top += row.height
    note = PngInfo()
    note.add_text(_MADE_FROM, made_from)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = disk.temporary(target)
    try:
        whole.save(aside, "PNG", pnginfo=note)
        aside.replace(target)
    finally:
        disk.unlink(aside)
    return True


def _shows(target: Path) -> str | None:
    """Return what a sheet that is there was made from."""
    try:
        with Image.open(target, formats=("PNG",)) as image:
            return str(image.info.get(_MADE_FROM))
    except OSError:
        return None


def _row(style: Style, made: _Tiles) -> Image.Image:
    tiles = [tile.resize(_TILE, Image.Resampling.LANCZOS) for tile in made.of(style)]
    wide = len(tiles) * (_TILE[0] + _GAP) - _GAP
    row = Image.new("RGB", (wide, _LABEL + _TILE[1] + 2 * _GAP), _PAPER)
    _labelled(row, style)
    for number, tile in enumerate(tiles):
        row.paste(tile, (number * (_TILE[0] + _GAP), _LABEL))
    return row


def _labelled(row: Image.Image, style: Style) -> None:
    """Write name and description on the left, what it is made of on the right."""
    pen, base = ImageDraw.Draw(row), _LABEL - 20
    large, small = fonts.face("en", "bold", 38), fonts.face("en", "regular", 25)
    pen.text((0, base), style.name, font=large, fill=_INK, anchor="ls")
    after = large.getlength(style.name) + 22
    facts = "  ·  ".join(made_of(style))
    room = row.width - after - small.getlength(facts) - 40
    told = style.description
    while told and small.getlength(told) > room:
        told = told[:-2].rstrip() + "…" if len(told) > 2 else ""
    pen.text((after, base), told, font=small, fill=_FAINT, anchor="ls")
    pen.text((row.width, base), facts, font=small, fill=_FAINT, anchor="rs")


def made_of(style: Style) -> tuple[str, ...]:
    """Return a style's type, ground, captions, transition and music by name."""
    return (
        style.fonts.heading,
        style.cards.ground,
        style.captions.style,
        style.transition.kind,
        style.music.mood,
    )


class _Tiles:
    """Draws what is shown of a style. Its files lie in a folder that is not kept."""

    def __init__(self, language: Language, picture: Path, folder: Path) -> None:
        self._language = language
        self._picture = picture
        self._folder = folder
        self._sample = _SAMPLES[language]

    def of(self, style: Style) -> Iterator[Image.Image]:
        """Yield the four tiles, `FRAME` or larger."""
        title, fact, said = self._sample
        yield self._card(cards.Told(title, "", said, self._language, "first"), style)
        yield self._card(cards.Told(title, "", fact, self._language), style)
        yield self._captioned(style)
        file = self._folder / "thumbnail.jpg"
        shown = [self._picture]
        thumbnail.draw(file, title=title, language=self._language, pictures=shown, style=style)
        yield _opened(file)

    def _card(self, told: cards.Told, style: Style) -> Image.Image:
        file = self._folder / "card.jpg"
        words = cards.settled(told, size=FRAME, style=style)
        cards.draw(file, words, language=told.language, size=FRAME, style=style)
        return _framed(file)

    def _captioned(self, style: Style) -> Image.Image:
        """Return a picture's frame with a caption in the middle of its sentence."""
        file = self._folder / "still.jpg"
        if not file.exists():  # it fills the frame, so it is the same in all styles
            pictures.prepare(self._picture, file, size=FRAME, style=style)
        frame = np.array(_framed(file), np.float32)
        cue = self._cue()
        # well within a word: what has just appeared may still be growing
        time = int(cue.start + 0.6 * (cue.end - cue.start)) + 0.7
        drawn = captions.Painter(style=style, language=self._language, size=FRAME).raster(cue, time)
        rows, columns = drawn.pixels.shape[:2]
        area = frame[drawn.y : drawn.y + rows, drawn.x : drawn.x + columns]
        area *= 1 - drawn.pixels[..., 3:].astype(np.float32) / 255
        area += drawn.pixels[..., :3]
        return Image.fromarray(np.clip(frame + 0.5, 0, 255).astype(np.uint8))

    def _cue(self) -> captions.Cue:
        text = self._sample.said
        words = [
            Word(text=text[start:end], start=number, end=number + 1.0, span=(start, end))
            for number, (start, end) in enumerate(written.phrases(text, self._language))
        ]
        seconds = float(len(words))
        return captions.cut(text, words, seconds, language=self._language, size=FRAME)[0]


def _framed(file: Path) -> Image.Image:
    """Return what is seen of a canvas at rest."""
    image = _opened(file)
    left, top = (image.width - FRAME[0]) // 2, (image.height - FRAME[1]) // 2
    return image.crop((left, top, left + FRAME[0], top + FRAME[1]))


def _opened(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")
