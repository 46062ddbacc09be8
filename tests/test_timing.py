"""Word times of a voice that tells none: by proportion and, with the extra `asr`, aligned."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import settings as house
from app.errors import InputError
from app.models import Language
from app.providers import SpeechRequest, _recogniser, _timing, _voice, hibari
from app.providers._recogniser import Heard
from app.providers._voice import RATE, SILENCE, Samples, Utterance

EN = "Honey never spoils: pots from old tombs, three thousand years old, could still be eaten."
ZH = "蜂蜜不會壞：埃及古墓裡的蜂蜜，三千年後還能吃。"


def tone(seconds: float) -> Samples:
    """Return a steady tone, its ends soft."""
    at = np.arange(round(seconds * RATE))
    return (0.3 * np.sin(at * 2 * np.pi * 180 / RATE)).astype(np.float32)


def rest(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


def proportional(text: str, language: Language, sound: Samples) -> tuple[Utterance, list[str]]:
    reading = _timing.read(text, language)
    whole = _timing.proportional(reading, language, sound)
    return whole, [text[slice(*span)] for span in reading.spans]


def assert_end_to_end(whole: Utterance, words: int) -> None:
    assert whole.marks[0].start == 0
    assert whole.marks[-1].end == len(whole.sound)
    assert all(a.end == b.start for a, b in pairwise(whole.marks))
    assert all(m.start < m.end for m in whole.marks)
    said = [m.word for m in whole.marks if m.word != SILENCE]
    assert said == list(range(words))


SOUNDS = st.lists(st.tuples(st.floats(0.05, 2.0), st.floats(0.0, 0.5)), min_size=1, max_size=4)
WORDS = {
    "en": st.sampled_from(
        ("a", "lighthouse", "counts,", "stars.", "$35", "isn't", "10:30", "— and", "(so)", "AI;")
    ),
    "zh-TW": st.sampled_from(
        ("我們，", "燈塔", "1969年", "Python", "。「好」", "嗎？", "的", "……")
    ),
    "ja": st.sampled_from(
        ("島の端に、", "灯台", "1969年", "Python", "。「はい」", "コーヒー", "ちょっと", "……")
    ),
}


@settings(max_examples=25, deadline=None)
@given(data=st.data(), language=st.sampled_from(["en", "zh-TW", "ja"]), spans=SOUNDS)
def test_marks_lie_end_to_end_whatever_is_heard(
    data: st.DataObject, language: Language, spans: list[tuple[float, float]]
) -> None:
    joint = " " if language == "en" else ""
    text = joint.join(data.draw(st.lists(WORDS[language], min_size=1, max_size=15))) + " a"
    parts = [part for voiced, silent in spans for part in (tone(voiced), rest(silent))]
    whole, words = proportional(text, language, _voice.trimmed(np.concatenate(parts)))
    assert_end_to_end(whole, len(words))


def test_pauses_are_laid_on_the_punctuation() -> None:
    sounds = (tone(1.05), rest(0.3), tone(1.3), rest(0.25), tone(1.3), rest(0.3), tone(1.2))
    whole, words = proportional(EN, "en", _voice.trimmed(np.concatenate(sounds)))
    before = [
        words[a.word] for a, b in pairwise(whole.marks) if a.word != SILENCE and b.word == SILENCE
    ]
    assert before == ["spoils", "tombs", "old", "eaten"]
    rests = [m for m in whole.marks if m.word == SILENCE][1:-1]
    lead = whole.marks[0].end / RATE
    due = [lead + 1.05, lead + 2.65, lead + 4.2]
    assert [m.start / RATE for m in rests] == pytest.approx(due, abs=0.03)
    assert [(m.end - m.start) / RATE for m in rests] == pytest.approx([0.3, 0.25, 0.3], abs=0.03)


def test_a_pause_amid_a_phrase_belongs_to_the_nearest_word() -> None:
    text = "One two three four five six seven eight nine ten."
    sound = _voice.trimmed(np.concatenate((tone(1.5), rest(0.4), tone(1.5))))
    whole, words = proportional(text, "en", sound)
    assert_end_to_end(whole, len(words))
    gap = next(i for i, m in enumerate(whole.marks) if m.word == SILENCE and i)
    assert words[whole.marks[gap - 1].word] in ("five", "six")
    assert (whole.marks[gap].end - whole.marks[gap].start) / RATE == pytest.approx(0.4, abs=0.03)


def test_the_short_silence_inside_a_word_is_not_a_pause() -> None:
    text = "Absolutely everything stopped."
    sound = _voice.trimmed(np.concatenate((tone(0.5), rest(0.07), tone(1.4))))
    whole, _ = proportional(text, "en", sound)
    assert [m.word for m in whole.marks] == [SILENCE, 0, 1, 2, SILENCE]


def test_a_long_word_has_more_time_than_a_short_one() -> None:
    whole, words = proportional("An extraordinary day is to come.", "en", _voice.trimmed(tone(2)))
    lasts = {words[m.word]: m.end - m.start for m in whole.marks if m.word != SILENCE}
    assert lasts["extraordinary"] > 3 * lasts["is"]
    assert lasts["An"] < lasts["day"] < lasts["extraordinary"]


def test_a_text_without_a_word_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        _timing.read("😀 … !", "en")
    assert caught.value.code == "speech_empty"


# --- aligned ----------------------------------------------------------------------------------

UNEVEN = "One two three four five six seven eight."


def heard(text: str, starts: list[float], certainty: float = 0.8) -> Heard:
    """Return what a recogniser would tell that hears the words begin at these seconds."""
    places = [len(text[: text.index(word)].encode()) for word in text.split()]
    moments = np.asarray([*starts[: len(places)], starts[-1]]) - _timing._LATE
    ends = np.asarray([*places, len(text.encode())], float)
    return Heard(places=ends, moments=moments * RATE, certainty=certainty)


def test_what_is_heard_mends_the_shares() -> None:
    sound = _voice.trimmed(tone(4.0))
    truth = [0.05, 1.05, 2.05, 2.45, 2.85, 3.05, 3.25, 3.65, 4.05]
    reading = _timing.read(UNEVEN, "en")
    alone = _timing.proportional(reading, "en", sound)
    mended = _timing.aligned(reading, UNEVEN, "en", sound, heard(UNEVEN, truth))
    assert_end_to_end(mended, 8)

    def error(whole: Utterance) -> float:
        starts = [w.start for w in _voice.words(UNEVEN, reading, whole.marks)]
        return float(np.abs(np.asarray(starts) - truth[:-1]).mean())

    assert error(mended) < 0.6 * error(alone)


def test_a_figure_that_the_recogniser_leaves_early_keeps_its_time() -> None:
    text = "In 1969 two people walked over there."
    truth = [0.05, 0.2, 1.6, 1.9, 2.3, 2.7, 3.1, 3.5]
    reading, sound = _timing.read(text, "en"), _voice.trimmed(tone(3.5))
    early = heard(text, [*truth[:2], 0.6, *truth[3:]])
    whole = _timing.aligned(reading, text, "en", sound, early)
    starts = [w.start for w in _voice.words(text, reading, whole.marks)]
    assert starts[2] == pytest.approx(truth[2], abs=0.25)


@given(starts=st.lists(st.floats(-5, 50), min_size=9, max_size=9), length=st.floats(0.2, 6))
@settings(max_examples=25, deadline=None)
def test_marks_lie_end_to_end_whatever_a_recogniser_says(
    starts: list[float], length: float
) -> None:
    reading = _timing.read(UNEVEN, "en")
    sound = _voice.trimmed(np.concatenate((tone(length), rest(0.2), tone(length))))
    whole = _timing.aligned(reading, UNEVEN, "en", sound, heard(UNEVEN, starts))
    assert_end_to_end(whole, 8)


@pytest.mark.parametrize(
    ("certainty", "timing"), [(None, "proportional"), (0.2, "proportional"), (0.6, "aligned")]
)
def test_the_means_is_told_and_an_unsure_recogniser_not_believed(
    monkeypatch: pytest.MonkeyPatch, certainty: float | None, timing: str
) -> None:
    told = None if certainty is None else heard(UNEVEN, [n / 2 for n in range(9)], certainty)
    monkeypatch.setattr(_recogniser, "times", lambda *_: told)
    reading = _timing.read(UNEVEN, "en")
    whole, means = _timing.timed(reading, UNEVEN, "en", _voice.trimmed(tone(4.0)))
    assert means == timing
    assert_end_to_end(whole, 8)


def test_a_recogniser_that_is_off_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_recogniser, "_found", lambda: True)
    monkeypatch.setenv("ALIGN", "off")
    house.get.cache_clear()
    assert not _recogniser.installed()
    assert _recogniser.times(UNEVEN, "en", tone(1.0)) is None
    monkeypatch.setenv("ALIGN", "auto")
    house.get.cache_clear()
    assert _recogniser.installed()


def test_a_recogniser_that_fails_costs_no_sound_and_is_asked_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened: list[int] = []

    def fails() -> None:
        opened.append(1)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(_recogniser, "_found", lambda: True)
    monkeypatch.setattr(_recogniser, "_broken", Event())
    monkeypatch.setattr(_recogniser, "opened", fails)
    reading = _timing.read(UNEVEN, "en")
    for _ in range(3):
        _, means = _timing.timed(reading, UNEVEN, "en", _voice.trimmed(tone(4.0)))
        assert means == "proportional"
    assert len(opened) == 1
    assert "out of memory" in caplog.text


# --- against a voice that knows its times ------------------------------------------------------


@pytest.fixture(scope="module")
def voice() -> hibari.HibariSpeech:
    return hibari.HibariSpeech()


def test_words_of_a_known_voice_start_within_a_sixth_of_a_second(
    voice: hibari.HibariSpeech, tmp_path: Path
) -> None:
    exact = voice.speak(SpeechRequest(text=EN, language="en"), tmp_path / "a.wav")
    whole, _ = proportional(EN, "en", _timing_sound(tmp_path / "a.wav"))
    found = _voice.words(EN, _timing.read(EN, "en"), whole.marks)
    assert [w.span for w in found] == [w.span for w in exact.words]
    errors = [abs(a.start - b.start) for a, b in zip(found, exact.words, strict=True)]
    assert float(np.median(errors)) < 0.06
    assert max(errors) < 1 / 6


def _timing_sound(path: Path) -> Samples:
    import wave

    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
