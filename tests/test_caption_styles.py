"""Captions in the picture and in files: four looks, legible and inside what players leave free."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from app.media import captions, contrast, ffmpeg, fonts, styles
from app.media.captions import Cue, Painter
from app.models import FRAME_SIZES, CaptionStyle, Language
from test_captions import TEXTS, cut

WIDE = FRAME_SIZES["16:9"]
KINDS: tuple[CaptionStyle, ...] = get_args(CaptionStyle)
EN, ZH, JA = (text for _, text in TEXTS)
LANGUAGES = [language for language, _ in TEXTS]


def styled(kind: CaptionStyle, style: str = "paper") -> styles.Style:
    return styles.captioned(styles.load(style), kind)


def painter(
    kind: CaptionStyle = "karaoke",
    *,
    size: tuple[int, int] = WIDE,
    language: Language = "en",
    style: str = "paper",
) -> Painter:
    return Painter(style=styled(kind, style), language=language, size=size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "language"), [("16:9", "en"), ("9:16", "ja"), ("1:1", "zh-TW")])
def test_captions_stay_where_nothing_covers_them(
    shape: str, language: Language, kind: CaptionStyle
) -> None:
    size, text = FRAME_SIZES[shape], dict(TEXTS)[language]
    free = captions.safe(size)
    zone = size[1] * (1 - captions.zone(size, styled(kind)))
    drawing = painter(kind, size=size, language=language)
    for cue in cut(text, language, size)[:2]:
        raster = drawing.raster(cue, cue.end)
        assert all(number % 2 == 0 for number in (raster.x, raster.y, *raster.pixels.shape[:2]))
        rows, columns = np.nonzero(raster.pixels[..., 3] > 128)
        left, right = raster.x + columns.min(), raster.x + columns.max()
        assert free.left <= left
        assert right < free.right
        assert abs((left + right + 1) / 2 - size[0] / 2) <= 3
        assert raster.y + rows.min() >= zone - 3  # what cards leave free
        assert raster.y + rows.max() < free.bottom


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ["paper"])
def test_text_stands_out_of_any_picture(style: str, kind: CaptionStyle) -> None:
    drawing = painter(kind, style=style, language="zh-TW")
    (cue, *_) = cut(ZH, "zh-TW")
    drawn = drawing.raster(cue, cue.end)
    clear = drawing.raster(replace(cue, marks=()), cue.end)
    noise = np.random.default_rng(7).integers(0, 256, (*drawn.pixels.shape[:2], 3))
    for behind in (np.zeros_like(noise), np.full_like(noise, 255), noise):
        seen = drawn.pixels[..., :3] + behind * (1 - drawn.pixels[..., 3:] / 255)
        ink = inked(clear.pixels, styles.load(style).captions.text)
        assert contrast.around(seen, ink, reach=5) >= contrast.LEAST


def inked(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return where the letters are, solid and (as 128) with their soft edges."""
    away = np.abs(pixels[..., :3].astype(int) - colour).max(axis=-1)
    found = np.where(away <= 8, 255, np.where(away < 200, 128, 0))
    return np.asarray(np.where(pixels[..., 3] >= 250, found, 0), np.uint8)


@pytest.mark.parametrize(("language", "text"), TEXTS, ids=LANGUAGES)
def test_the_word_being_said_is_marked_and_only_it(language: Language, text: str) -> None:
    drawing = painter(language=language)
    cue = cut(text, language)[0]
    plain = drawing.raster(replace(cue, marks=()), 0).pixels.astype(int)
    lefts = []
    for mark in cue.marks:
        drawn = drawing.raster(cue, mark.start).pixels.astype(int)
        rows, columns = np.nonzero(np.abs(drawn - plain).sum(axis=2))
        if mark.line == 0:
            lefts.append(columns.min())
            assert rows.max() < 0.6 * plain.shape[0] or len(cue.lines) == 1
        share = len(cue.lines[mark.line][mark.begin : mark.until]) / len(cue.lines[mark.line])
        assert np.ptp(columns) < plain.shape[1] * (share + 0.15)
        assert tuple(drawn[rows, columns][:, :3].max(axis=0)) >= (250, 205, 95)
    assert lefts == sorted(set(lefts))


def test_a_phrase_shows_a_few_words_at_a_time_and_pops_in() -> None:
    drawing = painter("phrase")
    cue = captions.timed(cut(EN, "en"), language="en", until=60)[0]
    parts = captions.pieces(cue, language="en", size=WIDE)
    assert len(parts) >= 2
    covers = []
    for frame in range(6):
        pixels = drawing.raster(cue, parts[1].start + frame / 30).pixels
        covers.append(int(pixels[..., 3].sum()))
    assert covers[:3] == sorted(set(covers[:3]))
    assert len(set(covers[2:])) == 1
    wide = [drawing.raster(cue, part.end - 0.01).pixels.shape[1] for part in parts]
    assert max(wide) < 0.9 * painter("clean").raster(cue, 0).pixels.shape[1] * 1.5


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_moment_is_drawn_the_same(kind: CaptionStyle) -> None:
    drawing = painter(kind, size=(640, 360))
    cue = captions.timed(cut(EN, "en"), language="en", until=60)[0]
    seen: dict[object, np.ndarray] = {}
    times = [cue.start + number / 30 for number in range(int((cue.end - cue.start) * 30))]
    for time in times:
        pixels = drawing.raster(cue, time).pixels
        assert np.array_equal(seen.setdefault(drawing.moment(cue, time), pixels), pixels)
    assert len(seen) < len(times) / 2


def test_a_line_wider_than_the_frame_is_drawn_smaller() -> None:
    size = FRAME_SIZES["9:16"]
    for kind in KINDS:
        raster = painter(kind, size=size).raster(Cue(0, 1, ("W" * 22,), ()), 0.9)
        assert raster.x >= 0
        assert raster.pixels.shape[1] <= captions.room(size) + 60


# --- files ----------------------------------------------------------------------------------

HOSTILE = (
    Cue(0.5, 1.25, ("<b>5 < 6 & 7 --> 8</b>", "{\\an8}top\\Nand"), ()),
    Cue(1.25, 3661.9999, ("二行", "第二"), ()),
    Cue(3662, 3662.0001, ("too short to see",), ()),
)


def parsed(path: Path) -> list[tuple[str, ...]]:
    """Return what FFmpeg reads from a subtitle file, as WebVTT blocks."""
    out = path.with_suffix(".out")
    ffmpeg.run(["-i", path, "-f", "webvtt", out])
    blocks = out.read_text().split("\n\n")[1:]
    return [tuple(block.strip().split("\n")) for block in blocks if block.strip()]


def as_ass(cues: tuple[Cue, ...]) -> str:
    return captions.ass(cues, style=styled("karaoke"), language="zh-TW", size=WIDE)


WRITERS: dict[str, Callable[[tuple[Cue, ...]], str]] = {
    "srt": captions.srt, "vtt": captions.vtt, "ass": as_ass,
}  # fmt: skip


@pytest.mark.ffmpeg
@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_a_file_is_read_by_a_player_as_it_was_written(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"c.{kind}"
    path.write_text(WRITERS[kind](HOSTILE), encoding="utf-8")
    first, second = parsed(path)
    shown = unescape("\n".join(first[1:])).replace("\u2060", "")
    if kind == "vtt":  # FFmpeg's reader goes on from WebVTT as if it were SubRip: we look ourselves
        shown = unescape(path.read_text().split("\n\n")[1].split("\n", 1)[1])
    assert shown == "<b>5 < 6 & 7 --> 8</b>\n{\\an8}top\\Nand"
    assert first[0] == "00:00.500 --> 00:01.250"
    assert second == ("00:01.250 --> 01:01:02.000", "二行", "第二")


def test_times_are_in_order_after_rounding() -> None:
    made = tuple(cue.shifted(n / 7) for n, cue in enumerate([Cue(0, 1 / 7, ("x",), ())] * 50))
    for write in WRITERS.values():
        times = re.findall(r"(\d+:\d+:\d+[.,]\d+)(?: --> |,)(\d+:\d+:\d+[.,]\d+)", write(made))
        assert len(times) == 50
        flat = [time for pair in times for time in pair]
        assert flat == sorted(flat)


def test_ass_sings_each_word_for_as_long_as_it_is_marked() -> None:
    made = captions.timed(cut(EN, "en"), language="en", until=60)
    text = captions.ass(made, style=styled("karaoke"), language="en", size=WIDE)
    events = [line for line in text.splitlines() if line.startswith("Dialogue: ")]
    assert len(events) == len(made)
    for line, cue in zip(events, made, strict=True):
        sung = [int(k) for k in re.findall(r"\\k(\d+)", line)]
        assert sum(sung) == round(cue.end * 100) - round(cue.start * 100)
        words = re.findall(r"\\k[1-9]\d*\\t\([^)]*\)\}([^{\\]+)", line)
        assert words == [cue.lines[m.line][m.begin : m.until] for m in cue.marks]


@pytest.mark.slow
@pytest.mark.ffmpeg
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("language", "text"),
    [*TEXTS, ("en", "{\\an8}<b>top</b>\\Nand {\\k50}back C:\\new\\h, he said")],
    ids=[*LANGUAGES, "markup"],
)
def test_libass_draws_what_we_draw(
    language: Language, text: str, kind: CaptionStyle, tmp_path: Path
) -> None:
    size = (960, 540)
    made = captions.timed(cut(text, language, size), language=language, until=60)
    file, log, picture = tmp_path / "c.ass", tmp_path / "log", tmp_path / "p.png"
    file.write_text(captions.ass(made, style=styled(kind), language=language, size=size))
    for weight in get_args(fonts.Weight):
        (tmp_path / fonts.path(weight).name).symlink_to(fonts.path(weight))
    (tmp_path / "fonts.conf").write_text(
        f"<fontconfig><dir>{tmp_path}</dir><cachedir>{tmp_path}/cache</cachedir></fontconfig>"
    )
    time = made[0].end - 0.2
    source = "color=c=gray:s=960x540:r=30:d=0.04"
    drawing = f"setpts=PTS+{time}/TB,ass=c.ass:fontsdir=."
    given = f"-f lavfi -i {source} -vf {drawing} -frames:v 1"
    with log.open("wb") as told:
        subprocess.run(
            [ffmpeg.describe().path, *given.split(), picture.name],
            cwd=tmp_path,
            env={**os.environ, "FONTCONFIG_FILE": str(tmp_path / "fonts.conf")},
            stderr=told,
            check=True,
        )
    assert "fontselect" in log.read_text()
    assert "not found" not in log.read_text()
    theirs = drawn_part(np.asarray(Image.open(picture).convert("RGB")))
    raster = painter(kind, size=size, language=language).raster(made[0], time)
    ours = np.full((540, 960, 3), 128.0)
    rows, columns = raster.pixels.shape[:2]
    box = ours[raster.y : raster.y + rows, raster.x : raster.x + columns]
    box[:] = box * (1 - raster.pixels[..., 3:] / 255) + raster.pixels[..., :3]
    assert np.abs(np.subtract(drawn_part(ours), theirs)).max() <= 16


def drawn_part(picture: np.ndarray) -> tuple[int, ...]:
    """Return left, top, right, bottom of what is brighter than anything but letters."""
    rows, columns = np.nonzero(picture.max(axis=-1) > 225)
    return columns.min(), rows.min(), columns.max(), rows.max()
