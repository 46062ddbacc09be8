"""Gemini as a voice, by the real SDK over real HTTP: one sentence in, what every voice gives out."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from _gemini import Gemini, environment
from app import providers
from app.errors import InputError, ReelchainError, TransientError
from app.models import Language, Speech
from app.providers import SpeechRequest
from app.providers._voice import RATE, UNIT

pytestmark = pytest.mark.redis

SENTENCE = "Honey never spoils: it was found in tombs, and it could still be eaten."


def voiced(seconds: float, silence: float = 0.0) -> bytes:
    """Return a hum between two silences: 16-bit mono samples at 24 kHz."""
    at = np.arange(round(seconds * RATE)) / RATE
    hum = np.sin(2 * np.pi * 170 * at) * (0.2 + 0.1 * np.sin(2 * np.pi * 4 * at))
    return np.round(np.pad(hum, round(silence * RATE)) * 32767).astype("<i2").tobytes()


@pytest.fixture
def gemini(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gemini]:
    """A Gemini of our own that speaks, and no recogniser, whatever is installed here."""
    monkeypatch.setenv("ALIGN", "off")
    with Gemini() as server:
        server.speaks = lambda text, voice: voiced(4.0, 0.7)
        for setting, value in environment(server).items():
            monkeypatch.setenv(setting, value)
        yield server
        assert not server.violations


def say(
    target: Path, text: str = SENTENCE, language: Language = "en", **more: str | float
) -> Speech:
    request = SpeechRequest.model_validate({"text": text, "language": language, **more})
    return providers.speech("gemini").speak(request, target)


@pytest.mark.parametrize("model", ["gemini-3.8-flash-tts", "gemini-2.5-flash-preview-tts"])
def test_a_sentence_is_what_other_voices_give(
    gemini: Gemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str
) -> None:
    monkeypatch.setenv("GEMINI_SPEECH_MODEL", model)
    gemini.models = (*gemini.models, model)
    said = say(tmp_path / "a.wav")
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    assert (said.provider, said.voice, said.timing) == ("gemini", "Kore", "proportional")
    assert said.samples == len(sound)
    assert said.samples % UNIT == 0
    assert said.seconds == pytest.approx(4.15, abs=0.1)
    assert [w.text for w in said.words][:3] == ["Honey", "never", "spoils"]
    at = 0.0
    for word in said.words:
        assert at <= word.start < word.end <= said.seconds
        assert SENTENCE[slice(*word.span)] == word.text
        at = word.end
    level = 20 * np.log10(np.sqrt(np.square(sound[RATE:-RATE]).mean()))
    assert level == pytest.approx(-18, abs=1)


def test_the_text_is_said_as_it_stands_and_its_markup_is_none(
    gemini: Gemini, tmp_path: Path
) -> None:
    say(tmp_path / "a.wav", "<gasp> Stop [whispers] the\nboat, say {it} <break time='9s'/> now.")
    (call,) = gemini.asked("speech")
    assert call.prompt == "gasp Stop whispers the boat, say it break time='9s'/ now."
    (part,) = call.body["contents"][0]["parts"]
    assert "narrator" in part["speechMetadata"]["style"]


def test_speed_is_ours_and_not_asked_for(gemini: Gemini, tmp_path: Path) -> None:
    usual, quick = (say(tmp_path / "a.wav", speed=speed) for speed in (1.0, 1.6))
    assert quick.seconds == pytest.approx(4.0 / 1.6 + 0.15, abs=0.1)
    assert [w.span for w in quick.words] == [w.span for w in usual.words]
    first, second = gemini.asked("speech")
    assert first.body == second.body


def test_each_voice_speaks_each_language(
    gemini: Gemini, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def speaks(text: str, voice: str) -> bytes:
        asked.append(voice)
        return voiced(3.0)

    gemini.speaks = speaks
    mandarin = say(tmp_path / "a.wav", "蜂蜜不會壞，三千年後還能吃。", "zh-TW", voice="Puck")
    assert [w.text for w in mandarin.words] == list("蜂蜜不會壞三千年後還能吃")
    japanese = say(tmp_path / "a.wav", "蜂蜜は腐りません🍯。今も食べられます。", "ja", voice="Puck")
    assert [w.text for w in japanese.words][:3] == ["蜂蜜", "は", "腐りません"]
    monkeypatch.setenv("GEMINI_VOICE", "Sulafat")
    say(tmp_path / "a.wav")
    assert asked == ["Puck", "Puck", "Sulafat"]
    offered = providers.speech("gemini").voices()
    assert len({(v.name, v.language) for v in offered}) == len(offered) == 90
    assert (offered[0].name, offered[0].description) == ("Sulafat", "woman, warm")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"voice": "af_heart"}, "voice_unknown"),
        ({"speed": 3.0}, "speech_speed"),
        ({"text": "😀 …"}, "speech_empty"),
    ],
)
def test_what_cannot_be_said_is_not_paid_for(
    gemini: Gemini, tmp_path: Path, request_: dict[str, str | float], code: str
) -> None:
    with pytest.raises(InputError) as caught:
        say(tmp_path / "a.wav", **request_)  # type: ignore[arg-type] - one of three fields
    assert caught.value.code == code
    assert not gemini.calls


@pytest.mark.parametrize(
    "sound", [b"", bytes(200_000), voiced(0.3), voiced(60), np.random.default_rng(1).bytes(200_000)]
)
def test_no_sound_is_worth_another_try_and_leaves_no_file(
    gemini: Gemini, tmp_path: Path, sound: bytes
) -> None:
    gemini.speaks = lambda text, voice: sound
    with pytest.raises(TransientError):
        say(tmp_path / "a.wav")
    assert not (tmp_path / "a.wav").exists()


@pytest.mark.parametrize(
    ("fault", "retryable"),
    [
        ("503", True),
        ("drop", True),
        ("prose", True),
        ("finish+:MAX_TOKENS", True),
        ("429:day", False),
        ("block:SAFETY", False),
        ("403", False),
    ],
)
def test_refusals_are_told_apart(
    gemini: Gemini, tmp_path: Path, fault: str, retryable: bool
) -> None:
    gemini.fault = lambda point, facts: fault
    with pytest.raises(ReelchainError) as caught:
        say(tmp_path / "a.wav")
    assert caught.value.retryable is retryable
    assert len(gemini.calls) == 1
    assert gemini.key not in f"{caught.value!r}"
