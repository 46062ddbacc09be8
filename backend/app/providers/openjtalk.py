"""Open JTalk with the voice Mei: Japanese by a statistical model of a megabyte. Plain, very clear.

It stands in where Kokoro's model can't be loaded. What it says goes with a credit: the voice is
licensed CC BY 3.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import ClassVar

import numpy as np

from app.errors import MediaError
from app.models import Speech
from app.providers import SpeechRequest, Voice, _japanese, _sound, _voice
from app.providers._voice import RATE, SILENCE, Mark, Reading, Utterance

_VOICES = (
    Voice(
        name="mei",
        language="ja",
        description="woman, high and very clear, Japanese",
        credit="HTS Voice “Mei”, MMDAgent Project Team, Nagoya Institute of Technology, CC BY 3.0",
        credit_url="https://creativecommons.org/licenses/by/3.0/",
    ),
)
_RATE = 48_000
_FULL = 32_768.0


class OpenJTalkSpeech:
    """Says Japanese sentences with the voice that comes with pyopenjtalk-plus."""

    name: ClassVar[str] = "openjtalk"
    version: ClassVar[str] = "3"

    def __init__(self) -> None:
        self._lock = Lock()

    def voices(self) -> tuple[Voice, ...]:
        return _VOICES

    def concurrency(self) -> int:
        return 1  # there is one engine

    def speak(self, request: SpeechRequest, target: Path) -> Speech:
        """Write the sentence to `target`; return its words with exact times.

        Raises:
            InputError: `speech_language`, `voice_unknown`, `speech_speed`, `speech_empty`.
            MediaError: `voice_missing`, `speech_timing`.
        """
        voice = _voice.check(request, _VOICES, self.name)
        changed = _japanese.spoken(request.text, request.pronunciations)
        parsed = _japanese.parse(changed.text)
        reading = _reading([word for part in parsed for word in part.words])
        _voice.check_reading(reading, request.text, request.language)
        reading = changed.written(reading)
        owners = iter(reading.owners)
        parts = []
        for part in parsed:
            with self._lock:
                sound, marks = _said(part, list(islice(owners, len(part.words))))
            parts.append(_quickened(sound, marks, request.speed))
        whole = _voice.cut(_voice.joined(parts))
        return _voice.spoken(request, reading, whole, target, voice=voice.name, provider=self.name)


def _reading(words: Sequence[_japanese.Word]) -> Reading:
    """Return a reading with one symbol per word: a voice of labels needs no others."""
    count = len(words)
    return Reading([" "] * count, list(range(count)), [word.span for word in words])


def _said(parsed: _japanese.Parsed, owners: Sequence[int]) -> tuple[_voice.Samples, list[Mark]]:
    """Return the sound of a stretch at 48 kHz with the marks of its words.

    The engine tells no durations. But at its own pace a label lasts as long alone as in company:
    each state's duration is the rounded mean of its distribution.

    Args:
        parsed: The stretch.
        owners: Word as written, of each of its words.

    Raises:
        MediaError: `speech_timing`, when the labels are not those of the words.
    """
    sound = _synthesized(parsed.labels)
    left = iter([o for o, word in zip(owners, parsed.words, strict=True) for _ in word.phones])
    marks, at = [], 0
    for label in parsed.labels:
        rest = label.split("-")[1].split("+")[0] in ("sil", "pau")
        end = at + len(_synthesized((label,)))
        marks.append(Mark(at, end, SILENCE if rest else next(left, SILENCE)))
        at = end
    if at != len(sound) or next(left, None) is not None:
        raise MediaError(
            "speech_timing",
            "Open JTalk returned sound and times that don't belong together.",
            "Install the tested versions of the requirements (constraints.txt).",
        )
    return sound, marks


def _synthesized(labels: Sequence[str]) -> _voice.Samples:
    import pyopenjtalk

    sound, _ = pyopenjtalk.synthesize(list(labels))
    return (sound / _FULL).astype(np.float32)


def _quickened(sound: _voice.Samples, marks: Sequence[Mark], speed: float) -> Utterance:
    """Return a sound at the common rate and the wanted pace, and its marks."""
    sound = _sound.stretched(_sound.resampled(sound, _RATE, RATE), speed)
    pace = RATE / _RATE / speed
    placed = [Mark(round(m.start * pace), round(m.end * pace), m.word) for m in marks]
    last = placed.pop()
    return Utterance(sound, _voice.merged([*placed, Mark(last.start, len(sound), last.word)]))
