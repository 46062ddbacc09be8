"""Sound as a service sends it: read, brought to our rate, told from noise, made quicker or slower.

Nothing here is trusted: lengths and formats are checked before they are used, and whatever is no
voice is an error worth another try.
"""

from __future__ import annotations

import re
import struct

import numpy as np
import numpy.typing as npt

from app import language
from app.errors import TransientError
from app.models import Language
from app.providers import _voice
from app.providers._voice import RATE, Samples

LARGEST = 64 * 2**20
"""Bytes of one answer; twenty minutes of ordinary sound."""
SHORTEST, LONGEST = 0.2, 5.0
"""Share of the time a text takes to read, below and above which something else was said."""
RATES = range(4_000, 192_001)

_RAW = re.compile(r"\s*audio/(?:l16|pcm|x-pcm|raw)\s*(?:;|$)", re.IGNORECASE)
_PARAMETER = re.compile(r";\s*(rate|channels)\s*=\s*\"?(\d{1,9})\"?", re.IGNORECASE)
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_UNKNOWN_LENGTH = (0, 0xFFFFFFFF)
_FAINTEST = 10 ** (-60 / 20)
_KINDRED = 0.1  # of neighbouring samples: a voice's lie near each other, those of noise don't

_FRAME, _HOP, _SEARCH = 720, 360, 200  # samples: 30, 15 and 8 ms; a search sees a period of 60 Hz


def decoded(data: bytes, mime: str) -> Samples:
    """Return a service's answer as 24 kHz mono samples, without an offset.

    Args:
        data: A WAV file of integers or floats, or bare 16-bit little-endian samples.
        mime: Its type as the service names it, which counts for bare samples alone: their rate
            (`rate=`, 24000 otherwise) and `channels=`.

    Raises:
        TransientError: `speech_unusable`.
    """
    if len(data) > LARGEST:
        raise _unusable(f"{len(data) // 2**20} MiB are no sentence")
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        sound, rate = _wav(data)
    elif _RAW.match(mime):
        told = {name.lower(): int(number) for name, number in _PARAMETER.findall(mime)}
        rate, channels = told.get("rate", RATE), told.get("channels", 1)
        sound = _mono(_integers(data, 16), channels)
    else:
        raise _unusable(f"its type is {' '.join(mime.split())[:60] or 'not said'}")
    if rate not in RATES:
        raise _unusable(f"{rate} samples a second are no voice's")
    if not len(sound):
        raise _unusable("it is empty")
    return resampled((sound - sound.mean()).astype(np.float32), rate)


def check(sound: Samples, text: str, tongue: Language) -> None:
    """Refuse what can't be the text spoken: silence, noise, a length far from the text's.

    Raises:
        TransientError: `speech_unusable`.
    """
    if len(sound) < _FRAME or float(np.abs(sound).max(initial=0.0)) < _FAINTEST:
        raise _unusable("it is silent")
    power = float(np.square(sound, dtype=np.float64).sum())
    if float(np.dot(sound[1:].astype(np.float64), sound[:-1])) < _KINDRED * power:
        raise _unusable("it is noise, not a voice")
    start, end = _voice.edges(sound)
    seconds, expected = (end - start) / RATE, language.reading_seconds(text, tongue)
    if not SHORTEST * expected <= seconds <= LONGEST * expected:
        raise _unusable(f"it lasts {seconds:.1f} s for a text of about {expected:.1f} s")


def resampled(sound: Samples, rate: int, to: int = RATE) -> Samples:
    """Return the sound at another rate; what the lower of the two can't hold is cut off."""
    if rate == to:
        return sound
    edge = rate // 10  # of silence, so that the end does not ring at the start
    padded = np.pad(sound, edge)
    length = round(len(padded) * to / rate)
    spectrum = np.fft.rfft(padded)
    bins = length // 2 + 1
    shaped = np.zeros(bins, spectrum.dtype)
    shaped[: len(spectrum)] = spectrum[:bins]
    whole = np.fft.irfft(shaped, length) * (length / len(padded))
    start = round(edge * to / rate)
    return whole[start : start + round(len(sound) * to / rate)].astype(np.float32)


def stretched(sound: Samples, speed: float) -> Samples:
    """Return the sound `speed` times as quick, at the same pitch.

    Waveform similarity: overlapping frames are laid out at the new pace, each taken from where,
    near its due place, the sound goes on most like the frame before it would have.
    """
    if speed == 1.0:
        return sound
    length = round(len(sound) / speed)
    margin = _FRAME + _SEARCH
    source = np.pad(sound, (margin, 2 * margin)).astype(np.float64)
    window = np.hanning(_FRAME + 1)[:-1]
    out = np.zeros(length + 2 * _FRAME)
    taken: int | None = None
    for at in range(-_HOP, length, _HOP):
        due = margin - _HOP + round((at + _HOP) * speed)
        due = min(due, len(source) - margin)
        if taken is not None:
            due = _likest(source, due, source[taken + _HOP : taken + _HOP + _FRAME])
        out[at + _HOP : at + _HOP + _FRAME] += window * source[due : due + _FRAME]
        taken = due
    return out[_HOP : _HOP + length].astype(np.float32)


def _likest(source: npt.NDArray[np.float64], due: int, wanted: npt.NDArray[np.float64]) -> int:
    """Return the place near `due` where the sound is most like `wanted`."""
    first = max(0, due - _SEARCH)
    region = source[first : due + _SEARCH + _FRAME]
    total = np.concatenate(([0.0], np.cumsum(np.square(region))))
    power = total[_FRAME:] - total[:-_FRAME]
    if len(wanted) < _FRAME or not wanted.any() or not power.any():
        return due
    likeness = np.correlate(region, wanted, "valid") / np.sqrt(power + 1e-9)
    return first + int(likeness.argmax())


def _unusable(why: str) -> TransientError:
    return TransientError(
        "speech_unusable",
        f"The voice service sent no usable sound: {why}.",
        "Run the project again in a while, or give SPEECH_PROVIDER a second voice to fall back on.",
    )


def _wav(data: bytes) -> tuple[Samples, int]:
    """Return the samples of a WAV file, channels mixed, and its rate."""
    form, at = b"", 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        body = data[at + 8 : at + 8 + size]
        if name == b"fmt ":
            form = body
        elif name == b"data":
            # a streamed file is headed before its length is known
            return _formed(form, data[at + 8 :] if size in _UNKNOWN_LENGTH else body)
        at += 8 + size + size % 2
    raise _unusable("its WAV file holds no samples")


def _formed(form: bytes, body: bytes) -> tuple[Samples, int]:
    if len(form) < 16:
        raise _unusable("its WAV file does not say its format")
    kind, channels, rate, _, align, bits = struct.unpack("<HHIIHH", form[:16])
    if kind == _EXTENSIBLE and len(form) >= 26:
        kind = int.from_bytes(form[24:26], "little")
    width = align // channels * 8 if channels else 0
    if kind == _PCM and width == bits and bits in (8, 16, 24, 32):
        flat = _integers(body, bits)
    elif kind == _FLOAT and width == bits and bits in (32, 64):
        flat = np.frombuffer(body[: len(body) // (bits // 8) * (bits // 8)], f"<f{bits // 8}")
        if not np.isfinite(flat).all():
            raise _unusable("its samples are no numbers")
        flat = np.clip(flat, -1.0, 1.0).astype(np.float32)
    else:
        raise _unusable(f"its WAV file has format {kind} of {bits} bits")
    return _mono(flat, channels), rate


def _integers(body: bytes, bits: int) -> Samples:
    """Return little-endian integers as samples from -1 to 1; a cut last one is left out."""
    size = bits // 8
    raw = np.frombuffer(body[: len(body) // size * size], np.uint8)
    if bits == 8:
        return (raw.astype(np.float32) - 128.0) / 128.0
    if bits == 24:
        whole = np.zeros((len(raw) // 3, 4), np.uint8)
        whole[:, 1:] = raw.reshape(-1, 3)
        return whole.view("<i4").ravel().astype(np.float32) / np.float32(2**31)
    return raw.view(f"<i{size}").astype(np.float32) / np.float32(2 ** (bits - 1))


def _mono(flat: Samples, channels: int) -> Samples:
    if not 1 <= channels <= 8:
        raise _unusable(f"{channels} channels are no voice's")
    whole = flat[: len(flat) // channels * channels].reshape(-1, channels)
    mixed: Samples = whole.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mixed
