"""Display type fits its box, and its lines break where a reader would."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.media import lettering
from app.models import Language

OPENING, CLOSING = set("「『《〈（【(“‘"), set("，。！？：；、」』》〉）】,.!?:;”’")


def fit(text: str, language: Language, **changed: int) -> lettering.Setting:
    box = {"width": 1000, "height": 500, "largest": 140, "smallest": 50, "lines": 3, **changed}
    return lettering.fit(text, language, weight="bold", **box)


def plain(setting: lettering.Setting) -> str:
    return "".join(setting.lines).replace(" ", "")


def test_a_short_title_gets_the_largest_size() -> None:
    made = fit("Tea", "en")
    assert (made.lines, made.size) == (("Tea",), 140)


@pytest.mark.parametrize(
    ("text", "language", "width", "expected"),
    [
        (
            "The lighthouse that counts the stars",
            "en",
            1500,
            ("The lighthouse", "that counts the stars"),
        ),
        ("數星星的燈塔：一個夏天的夜晚", "zh-TW", 1500, ("數星星的燈塔：", "一個夏天的夜晚")),
        # even lines would be larger here: 大海原諒很多事，卻從不 / 原諒一座…
        (
            "大海原諒很多事，卻從不原諒一座沒有亮的燈塔",
            "zh-TW",
            1550,
            ("大海原諒很多事，", "卻從不原諒一座沒有亮的燈塔"),
        ),
        (
            "大海原諒很多事，卻從不原諒一座沒有亮的燈塔",
            "zh-TW",
            830,
            ("大海原諒很多事，", "卻從不原諒", "一座沒有亮的燈塔"),
        ),
        (
            "真正的航海家不怕 Atlantic 的風浪，只怕港口裡沒有燈",
            "zh-TW",
            900,
            ("真正的航海家不怕", "Atlantic 的風浪，", "只怕港口裡沒有燈"),
        ),
        (
            "海は多くのことを許すが、明かりのない灯台だけは許さない",
            "ja",
            1550,
            ("海は多くのことを許すが、", "明かりのない灯台だけは許さない"),
        ),
        (
            "クラウドコンピューティングとKubernetesのはじめかた",
            "ja",
            640,
            ("クラウド", "コンピューティングと", "Kubernetesのはじめかた"),
        ),
        (
            "The sea forgives a great deal, but never a tower that is dark",
            "en",
            900,
            ("The sea forgives", "a great deal,", "but never a tower", "that is dark"),
        ),
    ],
)
def test_lines_break_by_sense(
    text: str, language: Language, width: int, expected: tuple[str, ...]
) -> None:
    assert fit(text, language, width=width, height=600, lines=4).lines == expected


def test_no_line_of_a_heading_is_a_single_character() -> None:
    for count in range(2, 40):
        text = "山水之間有一座老燈塔它數著天上的星星直到天亮了才肯睡去而村子裡的人都不知道"[:count]
        setting = fit(text, "zh-TW")
        assert plain(setting) == text
        assert count < 4 or all(len(line) > 1 for line in setting.lines)


def test_a_long_word_is_made_smaller_before_it_is_broken() -> None:
    word = "Donaudampfschifffahrtsgesellschaft"
    assert fit(word, "en").lines == (word,)
    assert fit(word, "en").size < 140
    broken = fit(word * 3, "en")
    assert len(broken.lines) > 1
    assert plain(broken).replace("-", "") == word * 3
    assert all(line.endswith("-") for line in broken.lines[:-1])


def test_what_is_too_long_ends_in_an_ellipsis() -> None:
    setting = fit("one two three four five six seven, " * 40, "en")
    assert len(setting.lines) == 3
    assert setting.size == 50
    assert setting.lines[-1][-2:] != ",…"
    assert setting.lines[-1].endswith("…")


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_nothing_is_set_in_no_lines(text: str) -> None:
    setting = fit(text, "en")
    assert (setting.lines, setting.width, setting.height) == ((), 0, 0)


def test_no_room_is_no_lines() -> None:
    assert fit("word", "en", height=10).lines == ()


PIECES = [*"aW山水的了，。「」！A1-…é ", "mi ", "燈塔", "word ", "https://"]
TEXT = st.lists(st.sampled_from(PIECES), max_size=80).map("".join)


@settings(max_examples=40, deadline=None)
@given(text=TEXT, language=st.sampled_from(["en", "zh-TW"]), width=st.integers(260, 1400))
def test_whatever_the_text_it_stays_in_its_box(text: str, language: Language, width: int) -> None:
    setting = fit(text, language, width=width)
    assert setting.width <= width
    assert setting.height <= 500
    assert len(setting.lines) <= 3
    assert bool(setting.lines) == bool(text.split())
    shown = plain(setting).replace("-", "")
    whole = "".join(text.split()).replace("-", "")
    assert whole.startswith(shown.removesuffix("…").rstrip("…"))
    for line, after in zip(setting.lines, setting.lines[1:], strict=False):
        if len(line) > 1 and len(after) > 1 and language == "zh-TW":
            assert after[0] not in CLOSING or line[-1] in CLOSING | OPENING
