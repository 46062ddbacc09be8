from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InputError
from app.language.chinese_words import cut
from app.providers import _english, _japanese, _mandarin
from app.providers._pronounce import spoken


@pytest.mark.parametrize(
    ("text", "table", "said"),
    [
        ("A GIF, a gif.", {"GIF": "jif"}, "A jif, a gif."),
        ("A GIF, a gif.", {"gif": "jif"}, "A jif, a jif."),
        ("SQL and MySQL", {"SQL": "sequel"}, "sequel and MySQL"),
        ("New York is new", {"New": "old", "New York": "Big Apple"}, "Big Apple is new"),
        ("a b", {"a": "b", "b": "c"}, "b c"),
    ],
)
def test_a_word_is_said_as_the_list_says(text: str, table: dict[str, str], said: str) -> None:
    assert spoken(text, table, "en").text == said


def test_words_keep_the_place_they_have_as_written() -> None:
    text = "The GIF's SQL file"
    changed = spoken(text, {"GIF": "jif", "SQL": "structured query language"}, "en")
    reading = changed.written(_english.read(changed.text))
    assert [text[a:b] for a, b in reading.spans] == ["The", "GIF's", "SQL", "file"]
    assert max(reading.owners) == 3


def test_a_word_joined_with_what_is_beside_it_is_one() -> None:
    text = "一AIです"
    changed = spoken(text, {"AI": "人工知能"}, "ja")
    reading = changed.written(_japanese.read(changed.text))
    assert [text[a:b] for a, b in reading.spans] == ["一AI", "です"]
    assert max(reading.owners) == 1


def test_pinyin_is_how_a_word_sounds() -> None:
    text = "我在重慶看 GIF。"
    changed = spoken(text, {"重慶": "Zhong4qing4", "GIF": "ji2 fu2"}, "zh-TW")
    assert changed.text == text
    reading = changed.written(_mandarin.read(changed.text, changed.readings))
    assert [text[a:b] for a, b in reading.spans] == ["我", "在", "重", "慶", "看", "GIF"]
    for syllable in ("zhong4", "ji2", "fu2"):
        assert _mandarin.symbols(syllable) in "".join(reading.symbols)


def test_what_is_no_pinyin_is_told() -> None:
    with pytest.raises(InputError, match="chog2"):
        spoken("重慶", {"重慶": "chog2 qing4"}, "zh-TW")


@settings(max_examples=60, deadline=None)
@given(
    text=st.text("aB 我重.", max_size=20),
    table=st.dictionaries(st.text("aB我", min_size=1, max_size=3), st.text("xy 是", min_size=1)),
)
def test_every_place_of_the_spoken_text_is_one_of_the_written(
    text: str, table: dict[str, str]
) -> None:
    changed = spoken(text, table, "zh-TW")
    spans = [changed.span(i, i + 1) for i in range(len(changed.text))]
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert spans == sorted(spans)


def test_a_mandarin_voice_says_latin_words_with_sounds_of_its_own() -> None:
    chinese, english = _mandarin.read("用 AI 寫。"), _english.read("AI")
    assert "ei→ai→" in "".join(chinese.symbols)
    assert not set("ˈˌAI") & set(chinese.symbols)
    assert "".join(english.symbols) in "".join(_mandarin.read_within_english("用 AI 寫").symbols)


@pytest.mark.parametrize(
    ("text", "syllable", "said"),
    [
        ("他得睡覺", 1, "dei3"),
        ("跑得快", 1, "de5"),
        ("高興地說", 2, "de5"),
        ("這塊地很大", 2, "di4"),
        ("吃了", 1, "le5"),
        ("銀行的行長", 3, "hang2"),
        ("重來", 0, "chong2"),
        ("數到三", 0, "shu3"),
        ("成績", 1, "ji1"),
        ("放在行李箱", 2, "xing2"),
        ("在地美食", 1, "di4"),
        ("曾先生", 0, "zeng1"),
    ],
)
def test_company_decides_how_a_character_is_read(text: str, syllable: int, said: str) -> None:
    reading = _mandarin.read(text)
    own = [s for s, o in zip(reading.symbols, reading.owners, strict=True) if o == syllable]
    assert "".join(own) == _mandarin.symbols(said)


@settings(max_examples=60, deadline=None)
@given(st.text("的一了我们台湾玉山主峰龘x"))
def test_words_lie_end_to_end(text: str) -> None:
    assert "".join(cut(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("山上还下了雪", "山上 还 下 了 雪"),
        ("从台北搭高铁", "从 台北 搭 高铁"),
        ("台湾最高的山是玉山", "台湾 最高 的 山 是 玉山"),
    ],
)
def test_words_are_told_apart(text: str, words: str) -> None:
    assert cut(text) == words.split()
