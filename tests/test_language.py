"""Sentences, phrases, reading time and what can be neither said nor drawn."""

from __future__ import annotations

import subprocess
import sys
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import language as lang
from app.errors import InputError
from app.settings import ROOT

LETTERS = "abcdeXYZé 的我水語火車カナ１２3 \n\t.,!?…。！？；，、：「」『』（）\"'“”()-—$%"
CLUSTERS = (
    "e\u0301",
    "🎉",
    "👨\u200d👩\u200d👧",
    "❤\ufe0f",
    "🇹🇼",
    "\r\n",
    "の\u3099",
    "👍🏽",
    " \u0301",
)
TEXTS = st.one_of(
    st.text(st.sampled_from(LETTERS), max_size=300),
    st.lists(st.sampled_from([*LETTERS, *CLUSTERS]), max_size=200).map("".join),
    st.lists(st.integers(1, 0xD7FF).map(chr), max_size=60).map("".join),
    st.text(st.sampled_from("ab的"), min_size=300, max_size=900),
)
LANGUAGES = st.sampled_from(lang.LANGUAGES)


def said(text: str, language: lang.Language) -> list[str]:
    return [text[start:end] for start, end in lang.sentences(text, language)]


def lines(text: str, language: lang.Language = "zh-TW") -> list[str]:
    return [text[start:end] for start, end in lang.phrases(text, language)]


def inside_cluster(text: str, at: int) -> bool:
    """Judge by Unicode's properties alone, for the kinds of clusters our samples hold."""
    if not 0 < at < len(text):
        return False
    before, after = text[at - 1], text[at]
    if before + after == "\r\n":
        return True
    if unicodedata.category(before) in ("Cc", "Zl", "Zp"):
        return False
    marks = unicodedata.category(after) in ("Mn", "Me", "Mc") or after in "\u200d\ufe0f🏽"
    return marks or ("🇹" <= before <= "🇼" and "🇹" <= after <= "🇼")


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("en", "en"),
        ("en-US", "en"),
        ("EN_gb", "en"),
        (" English ", "en"),
        ("zh", "zh-TW"),
        ("zh_TW", "zh-TW"),
        ("zh-Hant", "zh-TW"),
        ("zh-Hant-TW", "zh-TW"),
        ("繁體中文", "zh-TW"),
        ("ja_JP", "ja"),
        ("JP", "ja"),
        ("日本語", "ja"),
    ],
)
def test_a_tag_is_normalised(tag: str, language: str) -> None:
    assert lang.normalise(tag) == language


@pytest.mark.parametrize("tag", ["", "fr", "english-ish", "zh-CN", "../x", "no", "e" * 5000])
def test_an_unknown_tag_is_refused_with_the_known_ones(tag: str) -> None:
    with pytest.raises(InputError) as caught:
        lang.normalise(tag)
    assert caught.value.code == "language_unknown"
    assert "en, zh-TW" in caught.value.hint
    assert len(caught.value.message) < 120


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello world", "en"),
        ("你好，世界", "zh-TW"),
        ("我用 Python 和 TensorFlow 寫程式", "zh-TW"),
        ("The character 水 means water.", "en"),
        ("", "en"),
        ("123 🎉", "en"),
    ],
)
def test_the_language_that_takes_longer_to_say_is_detected(text: str, language: str) -> None:
    assert lang.detect(text) == language


@pytest.mark.parametrize(
    "expected",
    [
        ["Mr. Smith paid 3.5 dollars.", "He left."],
        ["He served in the U.S. Army.", "Then he retired."],
        ["We live in the U.S.", "The house is old."],
        ["She came at 5 p.m.", "Everyone was there."],
        ["At 5 p.m. we eat."],
        ['"Really?" she asked.', '"No."', "What?!", "Yes!"],
        ["Well... maybe not.", "I see."],
        ["Wait…", "Something moved."],
        ["Use e.g. this one, i.e. the other.", "See example.com/a?b=1 for more."],
        ["J. K. Rowling wrote it (why not?) quickly.", "(All of it.)", "Done."],
        ["No. 5 is alive.", "No.", "It is not."],
        ["On Nov. 3 he came.", "In Nov.", "The snow fell."],
        ["Foo Inc. and Bar Ltd. met Dr. Who.", "He won."],
        ["1. First thing.", "2. Second thing."],
        ["Version 3.11 is out.", "pi is 3.14."],
        ["She said “Go.”", "He went."],
    ],
)
def test_english_sentences(expected: list[str]) -> None:
    assert said(" ".join(expected), "en") == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["今天天氣很好。", "我們去散步吧！"],
        ["「好嗎？」", "他說。"],
        ["『嗯。』", "真的？！", "當然；", "走吧……"],
        ["「為什麼？」的答案是 3.5 公里。", "完。"],
        ["我……我不知道。"],
        ["他想了很久很久……", "最後點頭。"],
        ["他用 AI.", "我用Python 3.11寫程式。"],
        ['他說："你好。"', "再見。"],
        ["（真的。）", "是的。"],
    ],
)
def test_chinese_sentences(expected: list[str]) -> None:
    assert said("".join(expected), "zh-TW") == expected


def test_a_line_break_ends_a_sentence() -> None:
    assert said("one\ntwo\r\nthree\u2028four", "en") == ["one", "two", "three", "four"]


def test_punctuation_alone_is_not_a_sentence() -> None:
    assert said("…… ！\n—\nHello.\n***", "en") == ["Hello."]


def test_a_long_sentence_is_cut_at_punctuation_and_evenly() -> None:
    text = "the first part of it goes here, " * 12
    pieces = said(text, "en")
    assert len(pieces) == 2
    assert all(piece.endswith(",") for piece in pieces)
    assert abs(lang.width(pieces[0]) - lang.width(pieces[1])) <= 64


def test_a_long_chinese_sentence_is_cut_between_phrases() -> None:
    pieces = said("海邊的燈塔在黃昏時亮起" * 10, "zh-TW")
    assert [lang.width(piece) for piece in pieces] == [110, 110]


def test_five_thousand_unbroken_letters_are_cut_hard() -> None:
    pieces = said("a" * 5000, "en")
    assert "".join(pieces) == "a" * 5000
    assert max(map(len, pieces)) <= lang.SENTENCE_COLUMNS["en"]


@settings(max_examples=120, deadline=None)
@given(TEXTS, LANGUAGES)
def test_sentences_cover_every_letter_once_in_order(text: str, language: lang.Language) -> None:
    spans = lang.sentences(text, language)
    covered = 0
    for start, end in spans:
        assert covered <= start < end <= len(text)
        assert not lang.speakable(text[covered:start])
        assert lang.speakable(text[start:end])
        assert not text[end - 1].isspace()
        assert not inside_cluster(text, start)
        assert not inside_cluster(text, end)
        covered = end
    assert not lang.speakable(text[covered:])
    longest = max((lang.width(text[start:end]) for start, end in spans), default=0)
    assert longest <= lang.SENTENCE_COLUMNS[language] + 40  # closing marks and clusters may hang


@settings(max_examples=120, deadline=None)
@given(TEXTS, LANGUAGES)
def test_phrases_tile_the_text_and_break_where_a_line_may(
    text: str, language: lang.Language
) -> None:
    spans = lang.phrases(text, language)
    assert "".join(text[start:end] for start, end in spans) == text
    assert [start for start, _ in spans[1:]] == [end for _, end in spans[:-1]]
    for start, _ in spans[1:]:
        assert text[start] not in "，。！？；：、」』）”…,.!?)"
        before = text[:start].rstrip()
        assert not before.endswith(tuple("「『（“(["))
        assert not inside_cluster(text, start)


def test_english_phrases_are_words_with_their_space() -> None:
    assert lines("One well-known  word, 3.5 km.", "en") == [
        "One ",
        "well-known  ",
        "word, ",
        "3.5 km.",
    ]


@pytest.mark.parametrize(
    "expected",
    [
        ["今天", "天氣", "很好。", "我們", "去", "散步吧！"],
        ["「為什麼？」的", "答案", "是 ", "3.5 公里。"],
        ["月亮", "離我們", "有 38 萬公里，", "我們", "下次見！"],
        ["科學家", "發現", "（其實", "早", "在1990年代", "就有人", "提過）。"],
        ["不過，", "要釀成", "半公斤的", "蜂蜜。"],
        ["海邊的", "燈塔", "在黃昏時", "亮起，", "遠方的", "船隻", "慢慢", "靠岸。"],
        ["我用", "Python ", "3.11", "寫程式……"],
        ["以 4：0 ", "擊敗", "日本隊，", "一顆一顆", "縫", "回去，", "27 連勝的", "紀錄。"],
        ["到「國父紀念館站」", "2 號", "出口。"],
    ],
)
def test_chinese_phrases(expected: list[str]) -> None:
    assert lines("".join(expected)) == expected


def test_a_word_wider_than_a_line_may_be_broken() -> None:
    pieces = lines("x" * 100, "en")
    assert "".join(pieces) == "x" * 100
    assert max(map(len, pieces)) <= 24


def test_width_counts_columns() -> None:
    assert lang.width("a水ｂe\u0301") == 1 + 2 + 2 + 1


@pytest.mark.parametrize(
    ("language", "text", "measured"),
    [
        ("en", "Bees leave the hive at sunrise, and each of them visits several hundred flowers before noon.", 5.15),
        ("en", "In 2026 the town had 3,500 houses, two schools and a very small railway station.", 7.08),
        ("en", "Give it ten minutes, and see where it leads.", 2.17),
        ("en", "The CPU runs at 3.5 GHz, the GPU has 16 GB of memory, and the SSD stores 2 TB.", 8.30),
        ("en", "Light travels 299,792 km/s; the Moon is 384,400 km away, so it takes 1.3 seconds.", 12.05),
        ("en", "It was 98.6 °F, i.e. 37 °C.", 5.03),
        ("en", "Visit www.example.com/docs or write to info@example.org for more.", 5.17),
        ("zh-TW", "這台 iPhone 17 Pro 要 NT$42,900。", 3.92),
        ("zh-TW", "車速從60km/h到100km/h。", 3.62),
        ("zh-TW", "用 CPU 和 GPU 一起算。", 2.45),
        ("zh-TW", "海邊的燈塔在黃昏時亮起，遠方的船隻慢慢靠岸。", 4.20),
        ("zh-TW", "蜜蜂在日出時離開蜂巢，中午以前每一隻都會拜訪好幾百朵花。", 5.50),
        ("zh-TW", "問對幾個問題，往往比背一堆資料更有用。", 3.38),
    ],
)  # fmt: skip
def test_reading_time_is_near_what_the_default_voice_took(
    language: lang.Language, text: str, measured: float
) -> None:
    estimate = lang.reading_seconds(text, language)
    assert estimate == pytest.approx(measured + lang.PAUSE_SECONDS, rel=0.12)
    assert lang.reading_seconds(f"{text} {text}", language) == pytest.approx(2 * estimate)


@pytest.mark.parametrize("text", ["The Fıg. 3 of İnc.", "Old printers wrote ſt. Paul."])
def test_letters_that_are_like_others_take_time(text: str) -> None:
    assert lang.reading_seconds(text, "en") > 1


def test_nothing_to_say_takes_no_time() -> None:
    assert lang.reading_seconds("… !", "en") == 0


@pytest.mark.parametrize(
    ("text", "clean", "removed"),
    [
        ("Hello 🎉 world 👨\u200d👩\u200d👧!", "Hello world!", "🎉 👨\u200d👩\u200d👧"),
        ("🎉 Hi", "Hi", "🎉"),
        ("1\ufe0f\u20e3 first ❤\ufe0f, ok ✅", "1 first, ok", "1\ufe0f\u20e3 ❤\ufe0f ✅"),
        ("🇹🇼台灣🎉🎉很棒", "台灣很棒", "🇹🇼 🎉"),
        ("👍🏽", "", "👍🏽"),
        ("a → b © 2026 ★ π ½ №", "a → b © 2026 ★ π ½ №", ""),
        ("line one 🎉\nline two", "line one\nline two", "🎉"),
    ],
)
def test_emoji_are_taken_out_and_named(text: str, clean: str, removed: str) -> None:
    assert lang.strip_emoji(text) == (clean, removed)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_taking_emoji_out_leaves_every_letter(text: str) -> None:
    clean, _ = lang.strip_emoji(text)
    assert [c for c in clean if c.isalpha() and c < "\U0001f000"] == [
        c for c in text if c.isalpha() and c < "\U0001f000"
    ]


@pytest.mark.parametrize(
    ("text", "strange"),
    [
        ("Hello, 你好 カナ ㄅ π é ﬁ ½ ① ™ → “x” —…％", ""),
        ("שלום", "שלום"),
        ("a مرحبا", "مرحبا"),
        ("สวัสดี", "สวัดี"),
        ("नमस्ते", "नमस्ते"),
        ("한글", "한글"),
        ("мир мир", "мир"),
        ("\ue000", "\ue000"),
    ],
)
def test_characters_no_voice_or_font_serves_are_named_once(text: str, strange: str) -> None:
    assert lang.unsupported(text) == strange


def test_a_long_heading_is_shortened_at_a_phrase() -> None:
    assert lang.shortened("one two three", 40, "en") == "one two three"
    assert lang.shortened("one two, three four", 12, "en") == "one two…"
    assert lang.shortened("今天天氣很好，我們去散步", 14, "zh-TW") == "今天天氣很好…"
    assert lang.width(lang.shortened("a" * 1000, 60, "en")) <= 60


def test_importing_loads_no_data() -> None:
    code = "import sys, app.language; sys.exit('budoux' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "backend", check=False, timeout=60
    )
    assert done.returncode == 0


@pytest.mark.parametrize(
    "unit", ["Hello there, this is prose. ", "a", "！", '"', ". ", "a\u0301", "a.", "漢(漢"]
)
def test_time_grows_with_the_text_and_no_faster(unit: str) -> None:
    def cost(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        lang.sentences(text, "zh-TW")
        lang.phrases(text, "zh-TW")
        lang.reading_seconds(text, "en")
        return time.process_time() - start

    cost(2000)
    assert cost(32_000) < 12 * max(cost(8_000), 0.01)  # quadratic would be 16 times


# --- Japanese ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("なぜ海は塩辛いのか", "ja"),
        ("PythonとGPUの使い方", "ja"),
        ("東京駅の歴史", "ja"),
        ("気象観測", "ja"),
        ("北海道", "zh-TW"),
        ("我們去カラオケ唱歌", "zh-TW"),
        ("海の家是我們最喜歡的餐廳", "zh-TW"),
        ("The word かわいい means cute, and everyone says so.", "en"),
    ],
)
def test_kana_tells_japanese_from_chinese(text: str, language: str) -> None:
    assert lang.detect(text) == language


@pytest.mark.parametrize(
    "expected",
    [
        ["「行こう。」と彼は言った。", "そして、二人は歩き出した！"],
        ["本当ですか？", "はい。", "「そうです。」"],
        ["価格は3.5ドルです。", "安いですね！"],
    ],
)
def test_japanese_sentences(expected: list[str]) -> None:
    assert said("".join(expected), "ja") == expected


@pytest.mark.parametrize(
    "expected",
    [
        ["「行こう。」と", "彼は", "言った。"],
        ["かたつむりが", "波の", "ひとつひとつに", "『坊っちゃん』を", "読む。"],
        ["2026年5月3日に、", "3.5キロを", "25分で", "走った", "人は", "901人いました。"],
        ["Pythonの", "マイクロサービス", "アーキテクチャを", "コーヒーショップで", "勉強する。"],
        ["ちょっと", "待って、", "キャッチーな", "キャンペーンだって", "いうじゃない？"],
    ],
)
def test_japanese_phrases(expected: list[str]) -> None:
    assert lines("".join(expected), "ja") == expected


@pytest.mark.parametrize(
    ("text", "measured"),
    [
        ("島のはずれに、古い灯台が立っています。", 3.05),
        ("夕方、最後の船が帰りつくと、灯台は目を覚まします。", 4.30),
        ("海の水が塩辛いのは、岩石から溶け出した成分が川によって運ばれるからです。", 6.33),
        ("2026年5月3日に、3.5キロを25分で走りました。", 5.50),
    ],
)
def test_japanese_reading_time_is_near_what_the_default_voice_took(
    text: str, measured: float
) -> None:
    estimate = lang.reading_seconds(text, "ja")
    assert estimate == pytest.approx(measured + lang.PAUSE_SECONDS, rel=0.12)


# --- emoji ------------------------------------------------------------------------------------


def test_emoji_after_a_sentence_are_shown_with_it_and_not_said() -> None:
    assert said("Fly home! 🎉 Then rest. 👨\u200d👩\u200d👧\n🎉🎉\nDone.", "en") == [
        "Fly home! 🎉",
        "Then rest. 👨\u200d👩\u200d👧",
        "Done.",
    ]


def test_an_address_is_broken_at_its_joints() -> None:
    assert lines("https://example.org/a-long/way?with=queries", "en") == [
        "https://example.org/",
        "a-",
        "long/",
        "way?",
        "with=",
        "queries",
    ]
