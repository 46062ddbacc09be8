"""Captions: where they break, when they show, how they look, and that players can read them."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from app import language as languages
from app.media import captions, ffmpeg, styles
from app.media.captions import Cue, Mark, Painter
from app.models import FRAME_SIZES, Language, Word

EN = (
    "Bees visit about two million flowers, one after another, to make a single pound of honey; "
    "in winter they gather round the queen and shiver to keep her warm, and nobody is left outside."
)
ZH = "蜜蜂在花叢間飛舞，「嗡嗡」地採集花蜜；要釀成半公斤的蜂蜜，牠們得拜訪兩百萬朵花（約 3.5 公里外），真是令人讚嘆！"
TEXTS: list[tuple[Language, str]] = [("en", EN), ("zh-TW", ZH)]
CANNOT_START = set("，。；：！？、）」』”’…—,.;:!?)]}%")
CANNOT_END = set("（「『“‘([{")


def spoken(text: str, language: Language) -> tuple[Word, ...]:
    """Return words as a voice gives them: without punctuation, 0.3 s each, from 0.1 s on."""
    words = []
    for a, b in languages.phrases(text, language):
        core = re.search(r"\w(.*\w)?", text[a:b])
        if core:
            start = 0.1 + 0.3 * len(words)
            span = (a + core.start(), a + core.end())
            words.append(Word(text=core[0], start=start, end=start + 0.28, span=span))
    return tuple(words)


def cut(text: str, language: Language, size: tuple[int, int] = (1920, 1080)) -> tuple[Cue, ...]:
    words = spoken(text, language)
    seconds = words[-1].end + 0.1 if words else 2.0
    return captions.cues(text, words, seconds, language=language, size=size)


@pytest.mark.parametrize("shape", FRAME_SIZES)
@pytest.mark.parametrize(("language", "text"), TEXTS)
def test_lines_are_few_short_and_complete(language: Language, text: str, shape: str) -> None:
    made = cut(text, language, FRAME_SIZES[shape])
    limit = {"16:9": (42, 32), "9:16": (24, 24), "1:1": (32, 28)}[shape][language == "zh-TW"]
    lines = [line for cue in made for line in cue.lines]
    assert all(1 <= len(cue.lines) <= 2 for cue in made)
    assert max(map(languages.width, lines)) <= limit
    assert "".join("".join(lines).split()) == "".join(text.split())


@pytest.mark.parametrize("shape", FRAME_SIZES)
@pytest.mark.parametrize(("language", "text"), TEXTS)
def test_no_line_starts_or_ends_where_it_must_not(
    language: Language, text: str, shape: str
) -> None:
    for cue in cut(text, language, FRAME_SIZES[shape]):
        for line in cue.lines:
            assert line[0] not in CANNOT_START
            assert line[-1] not in CANNOT_END
            assert line == line.strip()


@pytest.mark.parametrize(("language", "text"), TEXTS)
def test_cues_start_and_end_with_their_words(language: Language, text: str) -> None:
    words = spoken(text, language)
    made = cut(text, language)
    assert made[0].start == words[0].start
    assert made[-1].end == words[-1].end
    for cue, following in itertools.pairwise(made):
        assert cue.start < cue.end <= following.start
    starts = {mark.start for cue in made for mark in cue.marks}
    assert starts == {word.start for word in words}


@pytest.mark.parametrize(("language", "text"), TEXTS)
def test_marks_cover_their_words(language: Language, text: str) -> None:
    made = {mark.start: cue.lines[mark.line][mark.begin : mark.until]
            for cue in cut(text, language) for mark in cue.marks}  # fmt: skip
    assert made == {word.start: word.text for word in spoken(text, language)}


def test_cues_of_a_sentence_are_of_like_length() -> None:
    widths = [languages.width("".join(cue.lines)) for cue in cut(EN, "en")]
    assert len(widths) >= 3
    assert min(widths) > max(widths) / 3


def test_a_long_silence_takes_the_caption_away() -> None:
    words = [w if n < 8 else w.model_copy(update={"start": w.start + 3, "end": w.end + 3})
             for n, w in enumerate(spoken(EN, "en"))]  # fmt: skip
    made = captions.cues(EN, words, 20, language="en", size=(1080, 1920))
    gaps = [b.start - a.end for a, b in itertools.pairwise(made)]
    inside = [
        b.start - a.start for cue in made for a, b in zip(cue.marks, cue.marks[1:], strict=False)
    ]
    assert max(gaps) > 2.5 or max(inside) > 2.5
    assert sorted(gaps)[:-1] == [0] * (len(gaps) - 1)


@pytest.mark.parametrize("text", ["a" * 300, "https://example.org/" + "x/" * 80, "巴" * 200])
def test_what_has_no_place_to_break_is_broken_hard(text: str) -> None:
    word = Word(text=text, start=0.1, end=6.0, span=(0, len(text)))
    made = captions.cues(text, [word], 6.2, language="en", size=(1920, 1080))
    assert "".join(line for cue in made for line in cue.lines) == text
    assert max(languages.width(line) for cue in made for line in cue.lines) <= 42


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_nothing_to_say_nothing_to_show(text: str) -> None:
    assert captions.cues(text, (), 1, language="en", size=(1920, 1080)) == ()


def test_a_sentence_without_words_is_shown_for_its_time() -> None:
    (cue,) = captions.cues("… 🎉", (), 1.5, language="en", size=(1920, 1080))
    assert (cue.start, cue.end, cue.marks) == (0.0, 1.5, ())


def test_signs_without_a_sound_never_overlap_what_is_said() -> None:
    text = "One two. " + "★ " * 120 + "Three four."
    spans = [(0, 3), (4, 7), (len(text) - 11, len(text) - 6), (len(text) - 5, len(text) - 1)]
    words = [
        Word(text=text[a:b], start=n, end=n + 0.9, span=(a, b)) for n, (a, b) in enumerate(spans)
    ]
    made = captions.cues(text, words, 4, language="en", size=(1920, 1080))
    assert all(a.end <= b.start for a, b in itertools.pairwise(made))
    assert [mark.start for cue in made for mark in cue.marks] == [0, 1, 2, 3]


def test_a_span_with_a_space_marks_the_word_only() -> None:
    words = [Word(text="Hi", start=0, end=1, span=(0, 3))]
    (cue,) = captions.cues("Hi there", words, 1, language="en", size=(1920, 1080))
    assert cue.marks == (Mark(0, 1, 0, 0, 2),)


def test_line_breaks_and_tabs_in_the_text_become_spaces() -> None:
    text = "One\ntwo\tthree"
    words = [
        Word(text=text[a:b], start=a, end=a + 1, span=(a, b)) for a, b in ((0, 3), (4, 7), (8, 13))
    ]
    (cue,) = captions.cues(text, words, 9, language="en", size=(1920, 1080))
    assert cue.lines == ("One two three",)


HOSTILE = (
    Cue(0.5, 1.25, ("<b>5 < 6 & 7 --> 8</b>", "{\\an8}top"), ()),
    Cue(1.25, 3661.9999, ("二行", "第二"), ()),
    Cue(3662, 3662.0001, ("too short to see",), ()),
)


def parsed(path: Path) -> list[tuple[str, ...]]:
    """Return what FFmpeg reads from a subtitle file, as WebVTT blocks."""
    out = path.with_suffix(".out")
    ffmpeg.run(["-i", path, "-f", "webvtt", out])
    blocks = out.read_text().split("\n\n")[1:]
    return [tuple(block.strip().split("\n")) for block in blocks if block.strip()]


@pytest.mark.ffmpeg
def test_srt_is_read_by_a_player_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "c.srt"
    path.write_text(captions.srt(HOSTILE), encoding="utf-8")
    first, second = parsed(path)
    shown = unescape("\n".join(first[1:])).replace("\u2060", "")
    assert shown == "<b>5 < 6 & 7 --> 8</b>\n{\\an8}top"
    assert first[0] == "00:00.500 --> 00:01.250"
    assert second == ("00:01.250 --> 01:01:02.000", "二行", "第二")


@pytest.mark.ffmpeg
def test_vtt_is_read_by_a_player_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "c.vtt"
    path.write_text(captions.vtt(HOSTILE), encoding="utf-8")
    assert path.read_text().startswith("WEBVTT\n\n00:00:00.500 --> 00:00:01.250\n&lt;b&gt;")
    first, second = parsed(path)
    assert unescape(first[1]) == "<b>5 < 6 & 7 --> 8</b>"
    assert "\n{\\an8}top\n" in path.read_text()  # no markup in WebVTT
    assert second[1:] == ("二行", "第二")


def test_times_are_in_order_after_rounding() -> None:
    made = [cue.shifted(n / 7) for n, cue in enumerate([Cue(0, 1 / 7, ("x",), ())] * 50)]
    for text in (captions.srt(made), captions.vtt(made)):
        times = re.findall(r"(\S+) --> (\S+)", text)
        assert len(times) == 50
        flat = [time for pair in times for time in pair]
        assert flat == sorted(flat)


def painter(size: tuple[int, int], language: Language = "en", style: str = "paper") -> Painter:
    return Painter(style=styles.load(style), language=language, size=size)


@pytest.mark.parametrize("shape", FRAME_SIZES)
@pytest.mark.parametrize("style", styles.names())
@pytest.mark.parametrize(("language", "text"), TEXTS)
def test_captions_stay_in_the_safe_area(
    language: Language, text: str, shape: str, style: str
) -> None:
    width, height = size = FRAME_SIZES[shape]
    look = styles.load(style)
    drawing = painter(size, language, style)
    for cue in cut(text, language, size):
        raster = drawing.raster(cue, cue.start)
        rows, columns = raster.pixels.shape[:2]
        assert all(number % 2 == 0 for number in (raster.x, raster.y, rows, columns))
        assert abs(raster.x + columns / 2 - width / 2) <= 2
        assert raster.x >= 0.03 * width
        assert raster.y >= height * (1 - look.captions.zone) - 4  # what cards leave free
        assert raster.y + rows <= height * 0.95 + 2


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in (value / 255 for value in colour)]  # fmt: skip
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("style", styles.names())
def test_text_can_be_read_on_a_white_picture(style: str) -> None:
    look = styles.load(style).captions
    box = tuple(c * look.opacity + 255 * (1 - look.opacity) for c in look.box)
    for colour in (look.text, look.mark):
        assert (luminance(colour) + 0.05) / (luminance(box) + 0.05) >= 4.5


@pytest.mark.parametrize(("language", "text"), TEXTS)
def test_the_word_being_said_is_marked_and_only_it(language: Language, text: str) -> None:
    drawing = painter((1920, 1080), language)
    cue = cut(text, language)[0]
    plain = drawing.raster(replace(cue, marks=()), 0).pixels.astype(int)
    lefts = []
    for mark in cue.marks:
        drawn = drawing.raster(cue, mark.start).pixels.astype(int)
        rows, columns = np.nonzero(np.abs(drawn - plain).sum(axis=2))
        if mark.line == 0:
            lefts.append(columns.min())
            assert rows.max() < 0.6 * plain.shape[0] or len(cue.lines) == 1
        share = languages.width(cue.lines[mark.line][mark.begin : mark.until])
        whole = languages.width(cue.lines[mark.line])
        assert np.ptp(columns) < plain.shape[1] * (share + 2.5) / whole
        assert tuple(drawn[rows, columns][:, :3].max(axis=0)) >= (250, 205, 95)
    assert lefts == sorted(set(lefts))


def test_between_words_the_last_one_stays_marked() -> None:
    cue = Cue(0, 3, ("one two",), (Mark(0, 0.5, 0, 0, 3), Mark(1, 2, 0, 4, 7)))
    assert [cue.spoken(time) for time in (-1, 0, 0.9, 1, 2.9)] == [None, 0, 0, 1, 1]


def test_what_no_font_draws_is_left_out_of_the_picture() -> None:
    drawing = painter((1920, 1080))
    with_it, without = (
        drawing.raster(Cue(0, 1, (line,), ()), 0).pixels for line in ("Hi 🎉!", "Hi \u200b!")
    )
    assert np.array_equal(with_it, without)


def test_a_line_wider_than_the_frame_is_drawn_smaller() -> None:
    raster = painter((1080, 1920)).raster(Cue(0, 1, ("W" * 40,), ()), 0)
    assert raster.x >= 0
    assert raster.pixels.shape[1] <= 1080
