"""Captions: where they break, when they show, how fast they are, and that nothing is lost."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from app import language as languages
from app.media import captions
from app.media.captions import Cue, Mark
from app.models import FRAME_SIZES, Language, Word

EN = (
    "Bees visit about two million flowers, one after another, to make a single pound of honey; "
    "in winter they gather round the queen and shiver to keep her warm, and nobody is left outside."
)
ZH = "蜜蜂在花叢間飛舞，「嗡嗡」地採集花蜜；要釀成半公斤的蜂蜜，牠們得拜訪兩百萬朵花（約 3.5 公里外），真是令人讚嘆！"
JA = "みつばちは「ブンブン」と花から花へ飛びまわり、五百グラムの蜜をつくるために、二百万もの花をおとずれます。"
TEXTS: list[tuple[Language, str]] = [("en", EN), ("zh-TW", ZH), ("ja", JA)]
SECONDS: dict[Language, float] = {"en": 0.07, "zh-TW": 0.1, "ja": 0.075}
"""Of a column: about as fast as our voices speak."""
CANNOT_START = set("，。；：！？、）」』”’…—,.;:!?)]}%")
CANNOT_END = set("（「『“‘([{")
WIDE = FRAME_SIZES["16:9"]


def spoken(text: str, language: Language, pace: float = 1.0) -> tuple[Word, ...]:
    """Return words as a voice gives them, without punctuation, the first 0.1 s from the start."""
    words: list[Word] = []
    at = 0.1
    for a, b in languages.phrases(text, language):
        takes = SECONDS[language] * max(1, languages.width(text[a:b])) / pace
        core = re.search(r"\w(.*\w)?", text[a:b], re.DOTALL)
        if core:
            span = (a + core.start(), a + core.end())
            words.append(Word(text=core[0], start=at, end=at + 0.9 * takes, span=span))
        at += takes
    return tuple(words)


def cut(text: str, language: Language, size: tuple[int, int] = WIDE) -> tuple[Cue, ...]:
    words = spoken(text, language)
    seconds = words[-1].end + 0.1 if words else 2.0
    return captions.cut(text, words, seconds, language=language, size=size)


def scene(texts: list[str], language: Language, pace: float = 1.0) -> tuple[Cue, ...]:
    """Return the cues of sentences with a breath between them."""
    at, cues = 0.5, []
    for text in texts:
        words = spoken(text, language, pace)
        made = captions.cut(text, words, words[-1].end, language=language, size=WIDE)
        cues += [cue.shifted(at) for cue in made]
        at += words[-1].end + 0.4
    return captions.timed(cues, language=language, until=at + 0.3)


def letters(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("shape", FRAME_SIZES)
@pytest.mark.parametrize(("language", "text"), TEXTS, ids=[one for one, _ in TEXTS])
def test_lines_break_where_a_reader_would(language: Language, text: str, shape: str) -> None:
    size = FRAME_SIZES[shape]
    made = cut(text, language, size)
    limit = captions.COLUMNS[captions.shape(size)][language]
    for cue in made:
        assert 1 <= len(cue.lines) <= 2
        for line in cue.lines:
            assert languages.width(line) <= limit
            assert line[0] not in CANNOT_START
            assert line[-1] not in CANNOT_END
            assert len(line) > 1
            assert not re.search(r" (the|a|of|to|and)$", line)
    assert letters("".join(line for cue in made for line in cue.lines)) == letters(text)


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("zh-TW", ("「大海原諒很多事，", "卻從不原諒一座沒有亮的燈塔。」")),
        ("ja", ("晴れた夜には、", "光は41キロ先まで届きます。")),
        ("ja", ("だが、消えた", "灯台だけは許さない。」")),
        ("en", ("Well, nobody knew that the lamp", "had been burning for years.")),
        ("en", ("So, what should you do?", "First, drink water; then, coffee.")),
        ("en", ("Water boils at 100 °C (212 °F)", "and freezes at 0 °C (32 °F).")),
        ("zh-TW", ("但是，海邊的燈塔在黃昏時亮起，", "遠方的船隻慢慢靠岸。")),
        ("zh-TW", ("科學家發現", "（其實早在1990年代就有人提過）。")),
        ("zh-TW", ("他問：「你是誰？」", "我說：「我是你的影子。」")),
        ("zh-TW", ("街頭的攤販從早上賣到晚上，", "打破去年 27 連勝的紀錄。")),
        ("en", ("Dr. Miles R. Okonkwo", "of St. Andrew's University left.")),
        ("en", ("The library is open from 9:30 a.m.", "to 8 p.m., Monday through Saturday.")),
        ("ja", ("さて、今日はコーヒーについて", "お話しします。")),
    ],
)
def test_a_clause_has_a_line_of_its_own_unless_it_is_a_word(
    language: Language, lines: tuple[str, ...]
) -> None:
    text = (" " if language == "en" else "").join(lines)
    assert [cue.lines for cue in cut(text, language)] == [lines]


def test_limits_of_lines_are_those_of_broadcasters() -> None:
    assert captions.COLUMNS["wide"] == {"en": 42, "zh-TW": 2 * 16, "ja": 2 * 16}


ANY = some.text(
    some.one_of(
        some.sampled_from("aeinrst aeinrst ,.;!? -'\n\t"),
        some.sampled_from("的一是在不了有和人這，。、「」（）"),
        some.sampled_from("はをにのカタ漢字ー。、\u0301\u200dW𠮷"),
    ),
    max_size=240,
)


@settings(max_examples=60, deadline=None)
@given(
    text=ANY,
    language=some.sampled_from(languages.LANGUAGES),
    shape=some.sampled_from([*FRAME_SIZES]),
)
def test_whatever_is_said_every_word_is_shown_once_in_time(
    text: str, language: Language, shape: str
) -> None:
    size = FRAME_SIZES[shape]
    words = spoken(text, language)
    raw = captions.cut(text, words, 9, language=language, size=size)
    made = captions.timed(raw, language=language, until=60)
    limit = captions.COLUMNS[captions.shape(size)][language]
    for cue in made:
        assert len(cue.lines) <= 2
        assert max(languages.width(line) for line in cue.lines) <= limit
        assert cue.start <= cue.said[0] <= cue.said[1] <= cue.end + 1e-9
        parts = captions.pieces(cue, language=language, size=size)
        assert (parts[0].start, parts[-1].end) == (cue.start, cue.end)
        assert [p.end for p in parts[:-1]] == [p.start for p in parts[1:]]
        assert all(p.start <= p.end and len(p.lines) == 1 for p in parts)
        shown = {m.start for p in parts for m in p.marks}
        assert shown >= {m.start for m in cue.marks}  # more where a long word is broken up
    for cue, following in itertools.pairwise(made):
        assert cue.end <= following.start + 1e-9
        assert following.start - cue.end < 1e-9 or following.start - cue.end >= 2 / 30 - 1e-9
    starts = [mark.start for cue in made for mark in cue.marks]
    assert starts == sorted(starts)
    assert set(starts) >= {word.start for word in words}
    if words:
        told = letters("".join(line for cue in made for line in cue.lines))
        assert re.sub(r"\W", "", told) == re.sub(r"\W", "", letters(text))


@pytest.mark.parametrize(("language", "text"), TEXTS, ids=[one for one, _ in TEXTS])
def test_marks_cover_their_words(language: Language, text: str) -> None:
    made = {mark.start: cue.lines[mark.line][mark.begin : mark.until]
            for cue in cut(text, language) for mark in cue.marks}  # fmt: skip
    assert made == {word.start: word.text for word in spoken(text, language)}


@pytest.mark.parametrize(
    ("language", "text", "units"),
    [
        ("zh-TW", "月亮離我們有38萬公里，家人更重要。", "月亮|離我們|有38萬公里|家人|更重要"),
        ("ja", "だが、灯台だけは許さない。", "だが|灯台だけは|許さない"),
        ("ja", "コーヒー豆（中細挽き）、砂糖", "コーヒー豆（中細挽き）|砂糖"),
        ("en", "Two words.", "Two|words"),
    ],
)
def test_what_karaoke_lights_is_a_phrase_and_never_a_character_of_one(
    language: Language, text: str, units: str
) -> None:
    words = [
        Word(text=m[0], start=n / 5, end=n / 5 + 0.2, span=m.span())
        for n, m in enumerate(re.finditer(r"[0-9]+|[A-Za-z]+|\w", text))
    ]
    (cue,) = captions.cut(text, words, len(words) / 5, language=language, size=WIDE)
    lit = captions.grouped(cue, language)
    assert [lit.lines[m.line][m.begin : m.until] for m in lit.marks] == units.split("|")
    assert (lit.marks[0].start, lit.marks[-1].end) == (cue.marks[0].start, cue.marks[-1].end)
    assert all(a.end == pytest.approx(b.start) for a, b in itertools.pairwise(lit.marks))


def test_cues_of_a_sentence_are_of_like_length() -> None:
    widths = [languages.width("".join(cue.lines)) for cue in cut(EN, "en")]
    assert len(widths) >= 3
    assert min(widths) > max(widths) / 3


@pytest.mark.parametrize("text", ["a" * 300, "https://example.org/" + "x/" * 80, "巴" * 200])
def test_what_has_no_place_to_break_is_broken_hard(text: str) -> None:
    word = Word(text=text, start=0.1, end=6.0, span=(0, len(text)))
    made = captions.cut(text, [word], 6.2, language="en", size=WIDE)
    assert "".join(line for cue in made for line in cue.lines) == text
    assert max(languages.width(line) for cue in made for line in cue.lines) <= 42
    shown = captions.timed(made, language="en", until=6.2)
    for cue in shown:  # each part of it has its time, on the screen and in the files
        parts = captions.pieces(cue, language="en", size=WIDE)
        assert "".join(part.lines[0] for part in parts) == "".join(cue.lines)
        assert all(part.end - part.start > 0.15 for part in (cue, *parts))
    assert captions.srt(shown).count("-->") == len(shown) >= 3


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_nothing_to_say_nothing_to_show(text: str) -> None:
    assert captions.cut(text, (), 1, language="en", size=WIDE) == ()
    assert captions.timed((), language="en", until=1) == ()


def test_a_sentence_without_words_is_shown_for_its_time() -> None:
    (cue,) = captions.cut("… ★", (), 1.5, language="en", size=WIDE)
    assert (cue.start, cue.end, cue.marks) == (0.0, 1.5, ())


def test_signs_without_a_sound_never_overlap_what_is_said() -> None:
    text = "One two. " + "★ " * 60 + "Three four."
    spans = [(0, 3), (4, 7), (len(text) - 11, len(text) - 6), (len(text) - 5, len(text) - 1)]
    words = [
        Word(text=text[a:b], start=n, end=n + 0.9, span=(a, b)) for n, (a, b) in enumerate(spans)
    ]
    raw = captions.cut(text, words, 4, language="en", size=WIDE)
    made = captions.timed(raw, language="en", until=4)
    assert all(a.end <= b.start for a, b in itertools.pairwise(made))
    assert [mark.start for cue in made for mark in cue.marks] == [0, 1, 2, 3]


def test_a_span_with_a_space_marks_the_word_only() -> None:
    words = [Word(text="Hi", start=0, end=1, span=(0, 3))]
    (cue,) = captions.cut("Hi\tthere", words, 1, language="en", size=WIDE)
    assert cue.lines == ("Hi there",)
    assert cue.marks == (Mark(0, 1, 0, 0, 2),)


# --- time -----------------------------------------------------------------------------------


def test_speed_counts_what_is_read() -> None:
    assert captions.speed(Cue(1, 3, ("a b,", "cd"), ()), "en") == 5 / 2
    assert captions.speed(Cue(1, 3, ("看 PDF，", "好"), ()), "zh-TW") == (3 + 3 / 2) / 2
    assert captions.speed(Cue(1, 1, ("x",), ()), "en") == float("inf")


SHORT = ["Nine hundred.", "The lighthouse counted those as well.", "It never complained."]


def test_a_cue_stays_into_the_pause_so_that_it_can_be_read() -> None:
    hasty = scene(SHORT, "en", pace=1.4)
    said = [replace(cue, start=cue.said[0], end=cue.said[1]) for cue in hasty]
    assert len(captions.too_fast(said, "en")) == 3
    assert captions.too_fast(hasty, "en") == []
    for cue in hasty:
        assert cue.said[0] - captions.LEAD - 1e-9 <= cue.start
    assert hasty[0].end == hasty[1].start


def test_a_cue_comes_early_where_the_next_one_follows_at_once() -> None:
    first, fast, last = (Cue(at, until, ("x" * 12,), (Mark(at, until, 0, 0, 12),))
                         for at, until in ((1, 2), (2.4, 3), (3, 5)))  # fmt: skip
    made = captions.timed([first, fast, last], language="en", until=6)
    assert made[0].end == made[1].start == pytest.approx(2.2)
    assert made[1].end == made[2].start == 3


@pytest.mark.parametrize(("language", "text"), TEXTS, ids=[one for one, _ in TEXTS])
def test_what_a_voice_says_at_its_own_pace_can_be_read(language: Language, text: str) -> None:
    assert captions.too_fast(scene([text, text], language), language) == []


def test_a_hasty_voice_is_told() -> None:
    assert captions.too_fast(scene([EN], "en", pace=1.6), "en")


def test_a_single_word_stays_long_enough() -> None:
    (cue,) = scene(["Yes."], "en", pace=3)
    assert cue.end - cue.start >= 0.8


def test_a_long_silence_takes_the_caption_away() -> None:
    one, two = cut("It rained.", "en"), cut("It stopped.", "en")
    made = captions.timed([*one, *(c.shifted(4) for c in two)], language="en", until=9)
    assert made[0].end == pytest.approx(max(made[0].said[1] + 0.25, made[0].start + 0.8))
    assert made[1].start == two[0].start + 4


def test_between_words_the_last_one_stays_marked() -> None:
    cue = Cue(0, 3, ("one two",), (Mark(0, 0.5, 0, 0, 3), Mark(1, 2, 0, 4, 7)))
    assert [cue.spoken(time) for time in (-1, 0, 0.9, 1, 2.9)] == [None, 0, 0, 1, 1]
