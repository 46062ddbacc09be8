"""hibari: the quick English voice. 8 MB, about a hundred times faster than real time."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from app.errors import MediaError
from app.models import Speech
from app.providers import SpeechRequest, Voice, _english, _pronounce, _voice

_SHA256 = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
"""Of hibari.onnx in hibari-tts 0.2.1."""
_DURATIONS = "/Clip_output_0"
_VOICES = (
    Voice(name="heart", language="en", description="woman, quick to make, American English"),
)


class HibariSpeech:
    """Says English sentences with the small model of the package hibari-tts.

    The model is opened on first use and kept for the life of the process. The same request gives
    the same samples: the noise in the voice is drawn from a generator seeded by the request.
    """

    name: ClassVar[str] = "hibari"
    version: ClassVar[str] = "4"

    def __init__(self) -> None:
        self._model: Any = None
        self._lock = Lock()

    def voices(self) -> tuple[Voice, ...]:
        return _VOICES

    def concurrency(self) -> int:
        return 1  # quicker than the hand-over to a thread

    def speak(self, request: SpeechRequest, target: Path) -> Speech:
        """Write the sentence to `target`; return its words with exact times.

        Raises:
            InputError: `speech_language`, `voice_unknown`, `speech_speed`, `speech_empty`.
            MediaError: `voice_missing`, `voice_damaged`, `speech_timing`.
        """
        voice = _voice.check(request, _VOICES, self.name)
        changed = _pronounce.spoken(request.text, request.pronunciations, "en")
        reading = changed.written(_english.read(changed.text))
        _voice.check_reading(reading, request.text, request.language)
        reading.close()
        seed = hashlib.sha256(f"{request.speed}|{request.text}".encode()).digest()
        noise = np.random.default_rng(int.from_bytes(seed[:8], "little"))
        parts = [self._say(reading, p, request.speed, noise) for p in reading.pieces()]
        whole = _voice.joined(parts)
        return _voice.spoken(request, reading, whole, target, voice=voice.name, provider=self.name)

    def _say(
        self, reading: _voice.Reading, piece: slice, speed: float, noise: np.random.Generator
    ) -> _voice.Utterance:
        from hibari import dsp

        *spectra, durations = _voice.answers(
            self._open(),
            {
                "ids": np.asarray([reading.tokens(piece)], np.int64),
                "speed": np.asarray([speed], np.float32),
            },
        )
        sound = dsp.synth(*(part[0] for part in spectra), noise)
        owners, units = reading.owners[piece], np.ravel(durations).astype(int).tolist()
        rested = _voice.rested(sound, reading.symbols[piece], owners, units, speed)
        return _voice.utterance(rested[0], owners, rested[1])

    def _open(self) -> Any:
        with self._lock:
            if self._model is None:
                try:
                    blob = (resources.files("hibari") / "assets" / "hibari.onnx").read_bytes()
                except (ModuleNotFoundError, OSError) as error:
                    raise MediaError(
                        "voice_missing",
                        f"The model of the hibari voice can't be read: {error}.",
                        "Install the requirements again: remove .venv and start ./reelchain.",
                    ) from error
                blob = _voice.checked(blob, _SHA256, "The model of the hibari voice")
                self._model = _voice.session(_voice.with_output(blob, _DURATIONS))
            return self._model
