from __future__ import annotations

import json
import unicodedata
import wave
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import providers
from app.errors import InputError, MediaError
from app.models import Speech
from app.providers import SpeechRequest, _english, _japanese, _mandarin, _voice, hibari, kokoro
from app.providers._voice import RATE, SILENCE, UNIT, VOCABULARY

NASTY = [
    "+-90",
    "The API of FFmpeg costs $5 million at 10:30 am, isn't it?",
    "我們可以用 Python 和 FFmpeg 做一支 30 秒的短影片。",
    "2024年5月1日，成長了 30%，大約 3.5 倍；10:30 開始，花了 NT$1,200。",
    "Hello 你好 world 世界! 😀🎉 done✅",
    "Ｆｕｌｌ　ｗｉｄｔｈ　１２３％，半形 half",
    "「引號」（括號）《書名》……——破折號",
    "https://example.com/a?b=c mail me@example.org C++ C# a_b v2.0 24/7",
    "e\u0301te\u0301 café 𠀀 龘 々 ㄅㄆㄇ かな 한글 Привет مرحبا שלום",
    "line one\nline two\r\n\tline three",
    "[link](/ɹɹɹ/) <b>{x}</b> `code` $ $$ %% 1/0 0/0 99:99 1:2:3:4 ---5",
    "12345678901234567890123456789 0.000 00:00 １０：３０ -−5 ~~ 3~5",
    "Dr. Smith vs. Mr. Jones, e.g. St. Paul, etc. No. 5 (Dec. 25)",
    "一一一不不不得得地地長長兒兒著著",
    "a" * 300 + " " + "我" * 300,
]


def heard(text: str) -> str:
    """Return the symbols of a Mandarin text, without the spaces between words."""
    return "".join(_mandarin.read(text).symbols).replace(" ", "")


def pinyin(*syllables: str) -> str:
    return "".join(_mandarin.symbols(s) for part in syllables for s in part.split())


def english(text: str) -> str:
    return "".join(_english.read(text).symbols)


def wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def loud_from_to(sound: np.ndarray) -> tuple[float, float]:
    """Return the seconds between which the RMS of 10 ms stays above -40 dB of the loudest."""
    frames = sound[: len(sound) // 240 * 240].reshape(-1, 240)
    rms = np.sqrt((frames**2).mean(axis=1))
    loud = np.flatnonzero(rms > rms.max() * 0.01)
    return loud[0] * 0.01, (loud[-1] + 1) * 0.01


def assert_speech(speech: Speech, path: Path) -> None:
    sound = wav(path)
    assert speech.samples == len(sound)
    assert speech.samples % UNIT == 0
    at = 0.0
    for word in speech.words:
        assert at <= word.start < word.end <= speech.seconds
        assert speech.text[slice(*word.span)].strip() == word.text
        for edge in (word.start, word.end):
            assert edge * RATE == pytest.approx(round(edge * RATE), abs=1e-6)
        at = word.end
    begin, end = loud_from_to(sound)
    assert abs(speech.words[0].start - begin) <= 0.08
    assert abs(speech.words[-1].end - end) <= 0.08
    assert 0.05 < np.abs(sound).max() <= 0.951


# --- readings ---------------------------------------------------------------------------------


def speakable(c: str, language: str) -> bool:
    """Tell whether a voice for `language` must say the character."""
    if c.isascii():
        return c.isalnum()
    name = unicodedata.name(c, "")
    return name.startswith("FULLWIDTH DIGIT") or (
        language == "zh-TW" and name.startswith("CJK UNIFIED")
    )


def assert_reading(text: str, language: str) -> None:
    reading = (_mandarin if language == "zh-TW" else _english).read(text)
    reading.close()
    assert set(reading.symbols) <= set(VOCABULARY)
    assert len(reading.symbols) == len(reading.owners)
    words = [o for o in reading.owners if o != SILENCE]
    assert words == sorted(words)
    assert set(words) == set(range(len(reading.spans)))
    at, said = 0, set()
    for start, end in reading.spans:
        assert at <= start < end <= len(text)
        assert not any(c.isspace() for c in text[start:end])
        said |= set(range(start, end))
        at = end
    missed = [c for i, c in enumerate(text) if i not in said and speakable(c, language)]
    assert not missed
    pieces = reading.pieces()
    assert all(len(reading.tokens(p)) <= _voice.LONGEST + 2 for p in pieces)
    kept = {o for p in pieces for o in reading.owners[p]}
    assert kept - {SILENCE} == set(words)


@pytest.mark.parametrize("language", ["en", "zh-TW"])
@pytest.mark.parametrize("text", NASTY)
def test_each_speakable_character_has_one_word_in_order(text: str, language: str) -> None:
    assert_reading(text, language)


ALPHABET = st.sampled_from("aZ 09.,:%$/-°kmx'’我你一不得3音樂長，。「」😀\n（）年月元…—~&+#@")


@settings(max_examples=150, deadline=None)
@given(text=st.text(ALPHABET, max_size=40), language=st.sampled_from(["en", "zh-TW"]))
def test_any_mixture_is_read_without_losing_its_place(text: str, language: str) -> None:
    assert_reading(text, language)


def test_a_number_without_end_is_read() -> None:
    assert _english.read("1" + ",111" * 14).symbols


def test_a_word_of_five_thousand_letters_is_read_in_pieces() -> None:
    reading = _english.read("a" * 5000)
    assert len(reading.spans) == -(-5000 // _english.LONGEST_WORD)
    assert reading.spans[-1][1] == 5000
    assert all(p.stop - p.start <= _voice.LONGEST for p in reading.pieces())


def test_the_vocabulary_is_that_of_the_models() -> None:
    theirs = json.loads((resources.files("hibari") / "assets" / "vocab.json").read_text("utf-8"))
    assert theirs == VOCABULARY


def test_every_syllable_of_mandarin_has_symbols() -> None:
    from pypinyin import pinyin_dict
    from pypinyin.contrib.tone_convert import to_tone3

    accented = {s for row in pinyin_dict.pinyin_dict.values() for s in row.split(",")}
    silent = {
        s
        for s in (to_tone3(a, neutral_tone_with_five=True) for a in accented)
        if not set(_mandarin.symbols(s)) <= set(VOCABULARY) or not _mandarin.symbols(s)
    }
    # Sounds of hesitation without a vowel of their own.
    assert {s[:-1] for s in silent} <= {"hm", "hng", "m", "n", "ng"}


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("垃圾", "le4 se4"),
        ("藷", "shu3"),  # which the table knows, but not its simplified form
        ("星期五", "xing1 qi2 wu3"),
        ("企業", "qi4 ye4"),
        ("研究", "yan2 jiu4"),
        ("品質", "pin3 zhi2"),
        ("人質", "ren2 zhi4"),
        ("認識", "ren4 shi4"),
        ("播放", "bo4 fang4"),
        ("檔案", "dang3 an4"),
        ("頭髮", "tou2 fa3"),
        ("一隻貓", "yi4 zhi1 mao1"),
        ("看著", "kan4 zhe5"),
        ("著名", "zhu4 ming2"),
        ("銀行行長", "yin2 hang2 hang2 zhang3"),
        ("音樂會", "yin1 yue4 hui4"),
        ("很長的路", "hen3 chang2 de5 lu4"),
        ("長大", "zhang3 da4"),
        ("跑得快", "pao3 de5 kuai4"),
        ("慢慢地走", "man4 man4 de5 zou3"),
        ("還有", "hai2 you3"),
        ("還給", "huan2 gei3"),
        ("嗯", "en1"),
        ("艋舺", "meng2 jia3"),
        ("澎湖", "peng2 hu2"),
        ("細菌的痕跡", "xi4 jun4 de5 hen2 ji1"),
        ("嘉南大圳", "jia1 nan2 da4 zun4"),
        ("他得了獎", "ta1 de2 le5 jiang3"),
    ],
)
def test_words_sound_as_in_taiwan(text: str, sounds: str) -> None:
    assert heard(text) == pinyin(sounds)


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("你好", "ni2 hao3"),
        ("老虎很好", "lao2 hu3 hen2 hao3"),
        ("展覽館", "zhan2 lan2 guan3"),
        ("一個", "yi2 ge4"),
        ("一起", "yi4 qi3"),
        ("一天", "yi4 tian1"),
        ("第一", "di4 yi1"),
        ("一月", "yi1 yue4"),
        ("看一看", "kan4 yi5 kan4"),
        ("不是", "bu2 shi4"),
        ("不好", "bu4 hao3"),
        ("好不好", "hao3 bu5 hao3"),
    ],
)
def test_tones_change_in_company(text: str, sounds: str) -> None:
    assert heard(text) == pinyin(sounds)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("2024年", "二零二四年"),
        ("30%", "百分之三十"),
        ("3.5倍", "三點五倍"),
        ("2個", "兩個"),
        ("第2個", "第二個"),
        ("12個", "十二個"),
        ("200元", "兩百元"),
        ("1005", "一千零五"),
        ("20000", "兩萬"),
        ("10:30", "十點三十分"),
        ("14:05", "十四點零五分"),
        ("16:9", "十六比九"),
        ("$50", "五十元"),
        ("$50元", "五十元"),
        ("NT$100", "新台幣一百元"),
        ("5km", "五公里"),
        ("25°C", "攝氏二十五度"),
        ("-5°C", "攝氏零下五度"),
        ("2024/05/01", "二零二四年五月一日"),
        ("2/3", "三分之二"),
        ("3-5天", "三到五天"),
        ("0912-345-678", "零九一二三四五六七八"),
        ("(02)1234-5678", "零二一二三四五六七八"),
        ("NT$ 2", "新台幣兩元"),
        ("2 L", "兩公升"),
        ("5公里~10公里", "五公里到十公里"),
        ("撥打119", "撥打一一九"),
        ("2026年前", "二零二六年前"),
        ("台北101", "台北一零一"),
        ("7-5=2", "七減五等於二"),
        ("１２３％", "百分之一百二十三"),
        ("2026世界盃", "二零二六世界盃"),
        ("2000人", "兩千人"),
        ("85折", "八五折"),
        ("5㎏", "五公斤"),
        ("②", "二"),
        ("10%-20%", "百分之十到百分之二十"),
        ("3月5日-7日", "三月五日到七日"),
        ("週一~週五", "週一到週五"),
        ("20-25°C", "攝氏二十到二十五度"),
        ("-5~3度", "零下五到三度"),
        ("100 °C", "攝氏一百度"),
        ("100%", "百分之百"),
        ("民國113年", "民國一一三年"),
        ("90年代", "九零年代"),
        ("2年級", "二年級"),
        ("2分之1", "二分之一"),
        ("中山路2段", "中山路二段"),
        ("2、3個", "兩、三個"),
        ("307公車", "三零七公車"),
        ("100元/月", "一百元每月"),
        ("10 - 3 = 7", "十減三等於七"),
        (">90%", "大於百分之九十"),
        ("第Ⅱ章", "第二章"),
        ("10⁸", "十的八次方"),
        ("GPT-4", "GPT四"),
        ("PM2.5", "PM二點五"),
        ("3C產品", "三C產品"),
        ("台北~高雄", "台北到高雄"),
        ("$10–20", "十到二十元"),
        ("US$1.5M", "一百五十萬美元"),
        ("1.5x", "1.5倍"),
        ("第III章", "第三章"),
        ("v2.0.1", "V 二點零點一"),
        ("4-3-3", "四三三"),
        ("2024-25球季", "二零二四到二五球季"),
        ("921大地震", "九二一大地震"),
        ("分機 123", "分機 一二三"),
        ("時速 60 km/h", "時速 六十公里"),
    ],
)
def test_numbers_are_said_in_chinese(written: str, said: str) -> None:
    assert heard(written) == heard(said)


def test_a_number_is_one_word_and_a_character_is_one() -> None:
    text = "成長了 30%，用 FFmpeg。"
    reading = _mandarin.read(text)
    assert [text[a:b] for a, b in reading.spans] == ["成", "長", "了", "30%", "用", "FFmpeg"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("$5 million", "five million dollars"),
        ("$3.50", "three dollars and fifty cents"),
        ("$2.5B", "2.5 billion dollars"),
        ("10:00 p.m.", "ten P.M."),
        ("March 3", "March third"),
        ("5 km", "five kilometers"),
        ("20 °C", "twenty degrees Celsius"),
        ("1920×1080", "1920 by 1080"),
        ("github.com", "github dot com"),
        ("Dr. Smith", "Doctor Smith"),
        ("rock & roll", "rock and roll"),
        ("#1", "number one"),
        ("Chapter IV", "Chapter four"),
        ("from the Sun.", "from the sun."),
        ("I said no.", "I said know."),
        ("on Sun, Dec 25th", "on Sunday, December twenty-fifth"),
        ("Mar 5", "March fifth"),
        ("$5 bn", "five billion dollars"),
        ("3 m", "three meters"),
        ("1.5 L", "1.5 liters"),
        ("2 1/2 cups", "two and a half cups"),
        ("World War II", "World War two"),
        ("~50", "about fifty"),
        ("007", "zero zero seven"),
        ("a 30-second clip", "a thirty second clip"),
        ("e.g. this", "for example this"),
        ("Ｆｕｌｌ", "Full"),
        ("[a](/ɹɹɹ/)", "a"),
        ("9:30-18:00", "nine thirty to eighteen o'clock"),
        ("9am to 5pm", "nine A.M. to five P.M."),
        ("9 a.m.-5 p.m.", "nine A.M. to five P.M."),
        ("10-15% off", "ten to fifteen percent off"),
        ("1.2bn people", "1.2 billion people"),
        ("$1.2bn", "1.2 billion dollars"),
        ("$10-$20", "ten to twenty dollars"),
        ("$5–10 million", "five to ten million dollars"),
        ("Call 911", "call nine one one"),
        ("Room 405", "room four oh five"),
        ("Boeing 747", "boeing seven forty seven"),
        ("1.5x faster", "1.5 times faster"),
        ("it's 5'10\"", "it's five foot ten"),
        ("a $5 bill", "a five dollar bill"),
        ("a $5 an hour job", "a five dollars an hour job"),
        ("Mulholland Dr. is long", "mulholland drive is long"),
        ("Mon–Fri", "monday to friday"),
        ("10%–15%", "ten percent to fifteen percent"),
        ("3 – 5 doors", "three to five doors"),
        ("7 - 5 = 2", "seven minus five equals two"),
        ("½ cup", "half a cup"),
        ("⅔ of them", "two thirds of them"),
        ("1/100", "one one hundredth"),
        ("Napoleon III", "Napoleon the third"),
        ("the XIX century", "the nineteenth century"),
        ("Final Fantasy VII", "Final Fantasy seven"),
        ("an IV drip", "an I.V. drip"),
        ("WWII", "World War two"),
        ("9.8 m/s²", "9.8 meters per second squared"),
        ("1M views", "one million views"),
        ("720p", "seven twenty P"),
        ("<5 minutes", "less than five minutes"),
        ("10⁶", "ten to the sixth"),
        ("H₂O", "H. two O."),
        ("20 EUR", "twenty euros"),
        ("Python 3.12", "Python three point twelve"),
        ("1-800-555-0199", "one, eight hundred, five five five, zero one nine nine"),
        ("100€", "100 euros"),
        ("(415) 555-2671", "four one five, five five five, two six seven one"),
        ("+1 415 555 2671", "one, four one five, five five five, two six seven one"),
        ("2026/11/22", "November twenty-second, 2026"),
        ("−3", "minus three"),
        (".5", "point five"),
        ("oﬀice", "office"),
        ("C-3PO", "C three P O"),
        ("on 5-10-15", "on five, ten, fifteen"),
        ("class of '05", "class of oh five"),
        ("Jan 5–7", "January fifth to seventh"),
        ("$20/month", "twenty dollars a month"),
        ('a 12" pizza', "a twelve inch pizza"),
        ("Boeing 737-800", "Boeing seven thirty seven eight hundred"),
        ("3 x 4 = 12", "three times four equals twelve"),
        ("1 lb. of beef", "one pound of beef"),
        ("5 ft 10 in tall", "five foot ten tall"),
        ("main.py", "main dot P Y"),
        ("an 80/20 rule", "an eighty twenty rule"),
        (
            "ISBN 978-3-16-148410-0",
            "ISBN nine seven eight, three, one six, one four eight four one zero, zero",
        ),
        ("Act II, Scene iii", "Act two, Scene three"),
    ],
)
def test_english_figures_are_read_out(written: str, said: str) -> None:
    assert english(written).strip() == english(said).strip()


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [("API", "ˌApˌiˈI"), ("YouTube", "jˈutˌub"), ("AI", "ˈAˌI"), ("3D", "θɹˈi dˈi")],
)
def test_acronyms_are_spelled(text: str, phonemes: str) -> None:
    assert english(text) == phonemes


def test_an_english_voice_says_the_han_characters_in_its_text() -> None:
    text = "Say 你好, world (世界) in 2024!"
    reading = _mandarin.read_within_english(text)
    assert "".join(text[a:b] for a, b in reading.spans) == "Say你好world世界in2024"
    assert pinyin("ni2 hao3") in "".join(reading.symbols).replace(" ", "")
    plain, mixed = _english.read("A cat."), _mandarin.read_within_english("A cat.")
    plain.close()
    mixed.close()
    assert mixed == plain


def test_words_keep_their_place_when_figures_grow() -> None:
    text = "It cost $5 million on March 3, 2024."
    words = [text[a:b] for a, b in _english.read(text).spans]
    assert words == ["It", "cost", "$5", "million", "on", "March", "3", "2024"]


# --- voices -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick() -> hibari.HibariSpeech:
    return hibari.HibariSpeech()


@pytest.fixture(scope="module")
def natural() -> kokoro.KokoroSpeech:
    return kokoro.KokoroSpeech()


def test_hibari_says_a_sentence_with_exact_times(
    quick: hibari.HibariSpeech, tmp_path: Path
) -> None:
    request = SpeechRequest(text="The harbor wakes at 5 am, before the sun. 😀", language="en")
    speech = quick.speak(request, tmp_path / "a.wav")
    assert_speech(speech, tmp_path / "a.wav")
    assert [w.text for w in speech.words] == [
        "The",
        "harbor",
        "wakes",
        "at",
        "5",
        "am",
        "before",
        "the",
        "sun",
    ]
    again = quick.speak(request, tmp_path / "b.wav")
    assert again == speech
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_faster_speech_is_shorter(quick: hibari.HibariSpeech, tmp_path: Path) -> None:
    text = "One two three four five six seven."
    slow, fast = (
        quick.speak(SpeechRequest(text=text, language="en", speed=s), tmp_path / "s.wav")
        for s in (1.0, 1.6)
    )
    assert fast.seconds < slow.seconds * 0.8


def test_a_text_longer_than_a_call_is_joined_exactly(
    quick: hibari.HibariSpeech, tmp_path: Path
) -> None:
    text = "A boat came home, " * 30 + "x" * 100
    speech = quick.speak(SpeechRequest(text=text, language="en"), tmp_path / "long.wav")
    assert_speech(speech, tmp_path / "long.wav")
    assert len(speech.words) == 30 * 4 + -(-100 // _english.LONGEST_WORD)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "It cost $3, today."),
        ("zh-TW", "AI 做了30秒。"),
        ("ja", "AIで30秒。"),
    ],
)
def test_kokoro_says_a_sentence_with_exact_times(
    natural: kokoro.KokoroSpeech, tmp_path: Path, language: str, text: str
) -> None:
    request = SpeechRequest.model_validate({"text": text, "language": language})
    speech = natural.speak(request, tmp_path / "k.wav")
    assert_speech(speech, tmp_path / "k.wav")
    read = {"en": _english, "zh-TW": _mandarin, "ja": _japanese}[language].read(text)
    assert [w.span for w in speech.words] == read.spans
    assert len(speech.words) * 0.1 < speech.seconds < len(speech.words)


def test_every_voice_has_its_style() -> None:
    speaker = kokoro.KokoroSpeech()
    for voice in speaker.voices():
        rows = speaker._style(voice.name)
        assert rows.shape == (510, 256)
        assert 0.5 < np.abs(rows).max() < 5


@pytest.mark.parametrize(
    ("provider", "request_", "code"),
    [
        ("kokoro", {"text": "hi", "language": "en", "voice": "nobody"}, "voice_unknown"),
        ("kokoro", {"text": "hi", "language": "en", "voice": "zf_xiaoxiao"}, "voice_language"),
        ("kokoro", {"text": "hi", "language": "en", "speed": 9}, "speech_speed"),
        ("kokoro", {"text": "。……！", "language": "zh-TW"}, "speech_empty"),
        ("kokoro", {"text": "مرحبا", "language": "en"}, "speech_empty"),
        ("hibari", {"text": "", "language": "en"}, "speech_empty"),
        ("hibari", {"text": "😀🎉", "language": "en"}, "speech_empty"),
        ("hibari", {"text": "你好", "language": "zh-TW"}, "speech_language"),
    ],
)
def test_what_can_not_be_said_is_refused(
    provider: str, request_: dict[str, object], code: str, tmp_path: Path
) -> None:
    target = tmp_path / "no.wav"
    with pytest.raises(InputError) as error:
        providers.speech(provider).speak(SpeechRequest.model_validate(request_), target)
    assert error.value.code == code
    assert not target.exists()
    if code.startswith("voice"):
        assert "af_heart" in error.value.hint


def test_a_damaged_model_is_noticed() -> None:
    with pytest.raises(MediaError) as error:
        kokoro.joined_model([b"not", b"a", b"model"])
    assert error.value.code == "voice_damaged"


def test_a_missing_model_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kokoro, "MODEL_PARTS", ("no_such_package",))
    with pytest.raises(MediaError) as error:
        kokoro.KokoroSpeech().speak(SpeechRequest(text="hi", language="en"), tmp_path / "x.wav")
    assert error.value.code == "voice_missing"
