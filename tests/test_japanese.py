"""Japanese as it is read and said: figures, Latin words, spans, the voice that stands in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import _cheap
from _mutations import stage_of
from app import disk, pipeline, providers
from app import settings as configuration
from app.errors import InputError, MediaError
from app.models import Language
from app.project import Project
from app.providers import SpeechRequest, _japanese, _katakana, kokoro, openjtalk, sayable
from app.providers._voice import RATE
from app.tasks import assets, script
from test_speech import assert_speech, wav

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")


def kana(text: str) -> str:
    return " ".join(word.kana for word in _japanese.words(text))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("私は学校へ行きます", "ワタシ ワ ガッコー エ イキマス"),
        ("3月5日", "サンガツ イツカ"),
        ("2026年", "ニセンニジューロクネン"),
        ("10時30分", "ジュージ サンジュップン"),
        ("10:30", "ジュージサンジュップン"),
        ("16:9", "ジューロクタイキュー"),
        ("〒100-0001", "ユービンバンゴーイチゼロゼロノゼロゼロゼロイチ"),
        ("芝公園4-2-8", "シバコーエン ヨンノニノハチ"),
        ("+81-3-1234-5678", "プラス ハチイチ サン イチニーサンヨン ゴーロクナナハチ"),
        ("2時p.m.", "ニジ ピーエム"),
        ("1stアルバム", "ファースト アルバム"),
        ("辛いカレーと辛い日", "カライ カレー ト ツライ ヒ"),
        ("2026/11/22", "ニセンニジューロクネンジューイチガツニジューニニチ"),
        ("一人と二人と3人", "ヒトリ ト フタリ ト サンニン"),
        ("1本、2本、3本", "イッポン ニホン サンボン"),
        ("第1回", "ダイイッカイ"),
        ("10%", "ジュッパーセント"),
        ("1,200円", "センニヒャクエン"),
        ("¥1,200", "センニヒャクエン"),
        ("$3.5", "サンテンゴドル"),
        ("25°C", "ニジューゴド"),
        ("-5℃", "マイナス ゴド"),
        ("3〜5日", "サン カラ イツカ"),
        ("1/2", "ニブンノイチ"),
        ("2GBと15cm", "ニギガバイト ト ジューゴセンチメートル"),
        ("時速60km/h", "ジソク ロクジュッキロ"),
        ("AIとUSB-C", "エーアイ ト ユーエスビーシー"),
        ("Pythonでhello", "パイソン デ ハロー"),
        ("C#とC++", "シーシャープ ト シープラスプラス"),
        ("ｺﾞﾙﾌ１００", "ゴルフ ヒャク"),
        ("食べられなかった", "タベラレナカッタ"),
        ("一番高い山です", "イチバン タカイ ヤマ デス"),
        ("初雪が降りました", "ハツユキ ガ フリマシタ"),
        ("電車を降りました", "デンシャ ヲ オリマシタ"),
        ("光は届く", "ヒカリ ワ トドク"),
        ("午前0時、0度", "ゴゼン レージ レード"),
        ("1000万人と2000万人", "イッセンマンニン ト ニセンマンニン"),
        ("朝の市場と株式市場", "アサ ノ イチバ ト カブシキ シジョー"),
        ("店は7時に開いて、会議を開いた", "ミセ ワ シチジ ニ アイテ カイギ ヲ ヒライタ"),
        ("空の箱と青い空", "カラ ノ ハコ ト アオイ ソラ"),
        ("人気のない道と人気の店", "ヒトケ ノ ナイ ミチ ト ニンキ ノ ミセ"),
        ("調査を行って、店に行って", "チョーサ ヲ オコナッテ ミセ ニ イッテ"),
        ("金を払い、金を掘る", "カネ ヲ ハライ キン ヲ ホル"),
        ("駅から十分かかれば十分だ", "エキ カラ ジュップン カカレバ ジューブン ダ"),
        ("夢を抱く、犬を抱く", "ユメ ヲ イダク イヌ ヲ ダク"),
        ("寒気がする、強い寒気が流れ込む", "サムケ ガ スル ツヨイ カンキ ガ ナガレコム"),
        ("赤道の白鳥", "セキドー ノ ハクチョー"),
        ("木と木の間で間を置く", "キ ト キ ノ アイダ デ マ ヲ オク"),
        ("$10–20", "ジューカラニジュードル"),
        ("$1.5M", "ヒャクゴジューマンドル"),
        ("1.5x倍速", "イッテンゴバイソク"),
        ("台北~高雄", "タイペー カラ タカオ"),
        ("3-2で勝った", "サンタイニ デ カッタ"),
        ("2対1", "ニ タイ イチ"),
        ("v2.0.1", "ブイ ニテンゼロテンイチ"),
        ("第III章とルイXIV世", "ダイサンショー ト ルイ ジューヨンセー"),
        ("ドラゴンクエストIII", "ドラゴンクエストスリー"),
        ("911に電話", "キューイチイチ ニ デンワ"),
        ("ご希望の方は東の方へ", "ゴキボー ノ カタ ワ ヒガシ ノ ホー エ"),
        ("表で遊び、表を見る", "オモテ デ アソビ ヒョー ヲ ミル"),
        ("知らない間に席が空く", "シラナイ マ ニ セキ ガ アク"),
        ("九份の夜市", "キューフン ノ ヨイチ"),
        ("😀🎉", ""),
    ],
)
def test_what_is_written_is_read_as_in_japan(written: str, said: str) -> None:
    assert kana(written) == said


@pytest.mark.parametrize(
    ("language", "text", "listed", "can"),
    [
        ("zh-TW", "ありがとう。", {}, False),
        ("zh-TW", "ありがとう。", {"ありがとう": "阿里嘎多"}, True),
        ("zh-TW", "𠮷野家", {}, True),
        ("en", "ありがとう。", {}, False),
        ("en", "謝謝。", {}, True),
        ("ja", "ㄅㄆㄇ。", {}, False),
        ("ja", "ありがとう。", {}, True),
    ],
)
def test_what_a_voice_can_say_is_known_without_its_model(
    language: Language, text: str, listed: dict[str, str], can: bool
) -> None:
    assert sayable.can(text, language, listed) is can


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("harbor", "ハーバー"),
        ("lighthouse", "ライトハウス"),
        ("cues", "キューズ"),
        ("OpenStreetMap", "Open Street Map"),
        ("Tanaka", "タナカ"),
        ("tottori", "トットリ"),
        ("NASA", None),
    ],
)
def test_an_english_word_is_said_in_kana(word: str, said: str | None) -> None:
    assert _katakana.said(word) == said


@pytest.mark.parametrize(
    ("said", "symbols"),
    [
        ("キョー", "kʲoː"),
        ("ガッコー", "ɡaʔkoː"),
        ("サンポ", "sampo"),
        ("サンカ", "saŋka"),
        ("ホン", "hoɴ"),
        ("ファンディ", "ɸandʲi"),
        ("シチュー", "ɕiʨɨː"),
    ],
)
def test_kana_become_the_voices_alphabet(said: str, symbols: str) -> None:
    assert _japanese.symbols(said) == symbols


def test_a_text_longer_than_the_dictionary_takes_is_read_sentence_by_sentence() -> None:
    text = "長い道が、続く。" * 400
    found = _japanese.words(text)
    assert [text[slice(*word.span)] for word in found] == ["長い", "道", "が", "続く"] * 400


def test_rests_stand_where_the_text_has_them() -> None:
    symbols = "".join(_japanese.read("「島」の端に、灯台が立つ。すごい！").symbols)
    assert symbols == "ɕima no haɕi ɲi, toːdai ɡa taʦɨ. sɨɡoi!"


def test_a_projects_list_says_how_a_name_is_read() -> None:
    text = "神戸さんと Qdrant。"
    table = {"神戸": "かんべ", "Qdrant": "クアドラント"}
    reading = _japanese.read(text, table)
    assert "".join(reading.symbols) == "kambesaɴ to kɯadoɾanto."
    assert [text[a:b] for a, b in reading.spans] == ["神戸さん", "と", "Qdrant"]
    long = _japanese.read("東雲", {"東雲": "とううん"})
    assert "".join(long.symbols) == "toːɯɴ"


@settings(max_examples=30, deadline=None)
@given(
    st.text("あがはっんー漢字東京一二々0159.,:%/-〜¥$年月日分本ABcx「」。！ 😀\nｶﾞ°C²", max_size=24)
)
def test_words_lie_in_order_and_each_label_is_one_of_a_words_phonemes(text: str) -> None:
    parsed = _japanese.parse(text)
    words = [word for part in parsed for word in part.words]
    spans = [(0, 0), *(word.span for word in words), (len(text), len(text))]
    assert all(a <= b for a, b in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    spoken = [label.split("-")[1].split("+")[0] for part in parsed for label in part.labels]
    assert [p for p in spoken if p not in ("sil", "pau")] == [
        phone for word in words for phone in word.phones
    ]


def test_mei_says_a_sentence_with_exact_times(tmp_path: Path) -> None:
    text = "島に、3本の木。"
    request = SpeechRequest(text=text, language="ja", speed=1.5)
    speech = openjtalk.OpenJTalkSpeech().speak(request, tmp_path / "mei.wav")
    assert_speech(speech, tmp_path / "mei.wav")
    assert [word.text for word in speech.words] == ["島", "に", "3本", "の", "木"]
    assert speech.timing == "exact"
    # the rest of the comma is silent between the words around it, and nowhere else
    sound = np.abs(wav(tmp_path / "mei.wav"))
    _, before, after = (round(word.end * RATE) for word in speech.words[:3])
    rest = sound[before : round(speech.words[2].start * RATE)]
    assert len(rest) > 0.07 * RATE
    assert rest[len(rest) // 4 : -len(rest) // 4].max() < 0.02 < sound[before - 2400 : before].max()
    assert sound[after - 2400 : after].max() > 0.02


# -- a whole stage -----------------------------------------------------------------------------

STORY = """---
title: Harbour
language: {language}
{more}
---
# Harbour

## One

{text}
"""


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("RENDER_SCALE", "0.1")
    monkeypatch.setattr(disk, "fsync", lambda path: None)  # no power is cut here
    restore = _cheap.install()
    configuration.get.cache_clear()
    yield monkeypatch
    restore()


def made_of(tmp_path: Path, language: str, text: str, more: str = "") -> Project:
    path = tmp_path / "story.md"
    path.write_text(STORY.format(language=language, text=text, more=more), encoding="utf-8")
    made = pipeline.create_project(path)
    stage_of("script_generation", made.id)
    return made


def test_mei_stands_in_for_a_model_that_can_not_be_loaded_and_is_credited(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stages.setattr(kokoro, "MODEL_PARTS", ("no_such_package",))
    stages.setitem(providers._made, ("speech", "kokoro"), kokoro.KokoroSpeech())
    made = made_of(tmp_path, "ja", "港の朝です。", "voice: jm_kumo")
    result = stage_of("asset_generation", made.id)
    assert "by openjtalk in place of kokoro" in result["warnings"][0]
    told = assets.credit_lines(made, script.load_of(made))
    assert told[-1].startswith("音声：HTS Voice “Mei”")
    assert "creativecommons.org/licenses/by/3.0" in told[-1]
    strict = made_of(tmp_path, "ja", "港の朝です。", "strict: true")
    with pytest.raises(MediaError):
        stage_of("asset_generation", strict.id)


def test_a_sentence_that_no_voice_can_say_is_refused_before_anything_is_made(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"Scene s001: .*'ありがとう。'"):
        made_of(tmp_path, "zh-TW", "他笑了。ありがとう。再見。")
    made = made_of(tmp_path, "zh-TW", "他笑了。再見。")
    path = made.path(script.SCRIPT)
    path.write_text(path.read_text(encoding="utf-8").replace("再見", "さよなら"), encoding="utf-8")
    with pytest.raises(InputError, match="さよなら") as refused:
        stage_of("script_generation", made.id)
    assert refused.value.code == "speech_empty"


def test_a_new_pronunciation_remakes_the_sentences_that_have_the_word(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stages.setenv("SPEECH_PROVIDER", "hibari")
    configuration.get.cache_clear()
    made = made_of(tmp_path, "en", "A gif is small. The sea is wide. GIFs are old.")
    stage_of("asset_generation", made.id)
    before = {path.name for path in made.path("assets/voice").glob("*.wav")}
    table = {"gif": "jif", "lake": "loch"}
    pipeline.update_project(made.id, tmp_path / "story.md", overrides={"pronunciations": table})
    stage_of("asset_generation", made.id)
    sentences = assets.load_of(made).scenes[0].sentences
    new = [s.text for s in sentences if Path(s.wav).name not in before]
    assert new == ["A gif is small."]
    words = assets.speech_of(made, sentences[0]).words
    assert [word.text for word in words] == ["A", "gif", "is", "small"]
