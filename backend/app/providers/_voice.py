"""What every voice shares: readings, exact times from the model's durations, level, the WAV file.

Kokoro and hibari read one symbol per token and compute how long each sounds, as a whole number of
units of 600 samples at 24 kHz (25 ms). The times of the words follow from those numbers alone, so
they are exact: silences and words lie end to end from sample 0 to the last one (`Mark`).
"""

from __future__ import annotations

import difflib
import hashlib
import os
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from app import settings
from app.errors import InputError, MediaError
from app.models import Language, Speech, Word
from app.providers import SpeechRequest, Voice

Samples = npt.NDArray[np.float32]
Timing = Literal["exact", "aligned", "proportional"]

RATE = 24_000
"""Samples per second of every voice."""

UNIT = 600
"""Samples per unit of duration: both models make frames of 25 ms."""

SILENCE = -1
"""Owner of a symbol, or word of a mark, that belongs to no word."""

PAUSES = frozenset(';:,.!?—…"()“”')
"""Symbols the models read as rests or tone of voice; none belongs to a word."""

# fmt: off
VOCABULARY: dict[str, int] = {
    ";": 1, ":": 2, ",": 3, ".": 4, "!": 5, "?": 6, "—": 9, "…": 10, '"': 11, "(": 12, ")": 13,
    "“": 14, "”": 15, " ": 16, "\u0303": 17, "ʣ": 18, "ʥ": 19, "ʦ": 20, "ʨ": 21, "ᵝ": 22, "ꭧ": 23,
    "A": 24, "I": 25, "O": 31, "Q": 33, "S": 35, "T": 36, "W": 39, "Y": 41, "ᵊ": 42, "a": 43,
    "b": 44, "c": 45, "d": 46, "e": 47, "f": 48, "h": 50, "i": 51, "j": 52, "k": 53, "l": 54,
    "m": 55, "n": 56, "o": 57, "p": 58, "q": 59, "r": 60, "s": 61, "t": 62, "u": 63, "v": 64,
    "w": 65, "x": 66, "y": 67, "z": 68, "ɑ": 69, "ɐ": 70, "ɒ": 71, "æ": 72, "β": 75, "ɔ": 76,
    "ɕ": 77, "ç": 78, "ɖ": 80, "ð": 81, "ʤ": 82, "ə": 83, "ɚ": 85, "ɛ": 86, "ɜ": 87, "ɟ": 90,
    "ɡ": 92, "ɥ": 99, "ɨ": 101, "ɪ": 102, "ʝ": 103, "ɯ": 110, "ɰ": 111, "ŋ": 112, "ɳ": 113,
    "ɲ": 114, "ɴ": 115, "ø": 116, "ɸ": 118, "θ": 119, "œ": 120, "ɹ": 123, "ɾ": 125, "ɻ": 126,
    "ʁ": 128, "ɽ": 129, "ʂ": 130, "ʃ": 131, "ʈ": 132, "ʧ": 133, "ʊ": 135, "ʋ": 136, "ʌ": 138,
    "ɣ": 139, "ɤ": 140, "χ": 142, "ʎ": 143, "ʒ": 147, "ʔ": 148, "ˈ": 156, "ˌ": 157, "ː": 158,
    "ʰ": 162, "ʲ": 164, "↓": 169, "→": 171, "↗": 172, "↘": 173, "ᵻ": 177,
}
# fmt: on
"""Symbol → token of Kokoro-82M, the alphabet hibari shares (Kokoro's published configuration)."""

LONGEST = 400
"""Symbols per call. The models take 510; beyond about 400 Kokoro begins to hurry."""

_QUIET = 0.01
"""Sound below this share of the loudest moment is silence: -40 dB."""
_FAINT = 0.003
"""What is cut off at the ends stays below this share: -50 dB."""
_SOFT = 0.02
"""Between words, what is below this share is a rest: -34 dB."""
_RESTS = {"…": 0.35, "—": 0.25, ".": 0.2, "!": 0.2, "?": 0.2}
"""Symbol → seconds of silence that it stands for at the usual speed."""
_WINDOW = 240  # samples, 10 ms: two periods of the lowest voice
_LEAD, _TRAIL = 2, 4  # units of silence kept before and after the sound: 50 and 100 ms
_LEVEL = 0.126  # -18 dBFS: RMS of the sounding parts
_PEAK = 0.95
_PRESSED = 1.6  # 4 dB, by which single peaks may be turned down unheard
_FADE = 120  # samples, 5 ms


class Mark(NamedTuple):
    """`start` to `end`, in samples: one word of the reading, or silence."""

    start: int
    end: int
    word: int


@dataclass
class Reading:
    """A text as the model reads it: a symbol per token and the word each belongs to.

    `owners` runs parallel to `symbols`; an owner is an index into `spans` (ranges of code points
    of the text as written) or `SILENCE`.
    """

    symbols: list[str] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def word(self, span: tuple[int, int], phonemes: str) -> None:
        """Add a spoken word; one without a symbol the models know leaves no trace."""
        self.syllables(((span, phonemes),))

    def syllables(self, parts: Iterable[tuple[tuple[int, int], str]]) -> None:
        """Add spoken parts; neighbours with the same span are one word."""
        for span, phonemes in parts:
            known = [c for c in phonemes if c in VOCABULARY and c not in PAUSES]
            if not any(c.isalpha() for c in known):
                continue
            if not self.spans or self.spans[-1] != span:
                self.spans.append(span)
            self._add(known, len(self.spans) - 1)

    def pause(self, symbols: str) -> None:
        """Add punctuation; never two marks of one kind in a row, and none but `(` at the start."""
        for symbol in symbols:
            if symbol == ")" and self.symbols[-1:] == ["("]:
                self.symbols.pop()
                self.owners.pop()
            elif self.symbols or symbol == "(":
                if self.symbols and self.symbols[-1] == " " and symbol not in "(—":
                    self.symbols.pop()
                    self.owners.pop()
                if self.symbols[-1:] != [symbol]:
                    self._add([symbol], SILENCE)

    def space(self) -> None:
        """Add a space between words, if there is none yet."""
        if self.symbols and self.symbols[-1] != " ":
            self._add([" "], SILENCE)

    def extend(self, other: Reading) -> None:
        """Add another reading of the same text."""
        shift = len(self.spans)
        self.symbols += other.symbols
        self.owners += [o if o == SILENCE else o + shift for o in other.owners]
        self.spans += other.spans

    def close(self) -> None:
        """End with a full stop where no punctuation does: a voice cut short sounds broken."""
        while self.symbols and self.symbols[-1] in ' ,;:—("“':
            self.symbols.pop()
            self.owners.pop()
        if self.symbols and not {".", "!", "?", "…"} & set(self.symbols[-2:]):
            self._add(["."], SILENCE)

    def _add(self, symbols: Sequence[str], owner: int) -> None:
        self.symbols += symbols
        self.owners += [owner] * len(symbols)

    def tokens(self, piece: slice) -> list[int]:
        """Return the model's tokens of a piece, with the pad at both ends."""
        return [0, *(VOCABULARY[s] for s in self.symbols[piece]), 0]

    def pieces(self, longest: int = LONGEST) -> list[slice]:
        """Return pieces of at most `longest` symbols: cut after a clause, a word, or anywhere."""
        pieces, start = [], 0
        while len(self.symbols) - start > longest:
            cut = self._cut(start, start + longest)
            pieces.append(slice(start, cut))
            start = cut
        pieces.append(slice(start, len(self.symbols)))
        return [p for p in pieces if any(o != SILENCE for o in self.owners[p])]

    def _cut(self, start: int, end: int) -> int:
        half = (start + end) // 2
        for stops in (".!?…;", ",:—)”", " "):
            for i in range(end, half, -1):
                if self.symbols[i - 1] in stops and self.symbols[i] not in PAUSES:
                    return i
        for i in range(end, half, -1):
            if self.owners[i - 1] != self.owners[i]:
                return i
        return end


@dataclass
class Utterance:
    """Sound at 24 kHz and its marks, which lie end to end from 0 to its length."""

    sound: Samples
    marks: list[Mark]


def check(request: SpeechRequest, offered: Sequence[Voice], provider: str) -> Voice:
    """Return the voice to use.

    Raises:
        InputError: `speech_language`, `voice_unknown`, `voice_language`, `speech_speed`.
    """
    fitting = [v for v in offered if v.language == request.language]
    names = ", ".join(f"{v.name} ({v.language})" for v in offered)
    if not fitting:
        raise InputError(
            "speech_language",
            f"The voices of {provider} don't speak {request.language}.",
            f"Choose another speech provider; these are its voices: {names}.",
        )
    if not 0.5 <= request.speed <= 2.0:
        raise InputError(
            "speech_speed",
            f"A speed of {request.speed:g} can't be spoken.",
            "Give a speed from 0.5 to 2.0.",
        )
    if request.voice is None:
        return fitting[0]
    # one that speaks several languages is offered for each
    for voice in (*fitting, *offered):
        if voice.name == request.voice:
            if voice.language != request.language:
                raise InputError(
                    "voice_language",
                    f"The voice {voice.name} speaks {voice.language}, not {request.language}.",
                    f"Choose one of: {', '.join(v.name for v in fitting)}.",
                )
            return voice
    alike = difflib.get_close_matches(request.voice, [v.name for v in fitting], n=1)
    raise InputError(
        "voice_unknown",
        f"There is no voice called {request.voice[:60]!r}.",
        (f"Did you mean {alike[0]}? " if alike else "")
        + f"Choose one of: {', '.join(v.name for v in fitting)}.",
    )


def check_reading(reading: Reading, text: str, language: Language) -> None:
    """Refuse a text of which nothing can be said.

    Raises:
        InputError: `speech_empty`.
    """
    if not reading.spans:
        raise InputError(
            "speech_empty",
            f"There is nothing in {text[:60]!r} that a voice for {language} can say.",
            "Write at least one word of its language; signs and emoji alone are silent.",
        )


def checked(blob: bytes, sha256: str, what: str) -> bytes:
    """Return `blob` if it is what was published.

    Raises:
        MediaError: `voice_damaged`.
    """
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise MediaError(
            "voice_damaged",
            f"{what} is damaged: its checksum is not the published one.",
            "Install the requirements again: remove the folder .venv and start ./reelchain.",
        )
    return blob


def with_output(model: bytes, name: str) -> bytes:
    """Return an ONNX model that also returns the float tensor called `name`.

    Protocol Buffers merge a message field given twice, so a second `graph` field with one `output`
    at the end of the file adds it to the graph. Field numbers: onnx.proto3 (ModelProto.graph 7,
    GraphProto.output 12, ValueInfoProto.name 1 and type 2, TypeProto.tensor_type 1, elem_type 1).
    """

    def varint(n: int) -> bytes:
        out = bytearray()
        while n > 127:
            out.append(n & 127 | 128)
            n >>= 7
        return bytes([*out, n])

    def message(number: int, body: bytes) -> bytes:
        return varint(number << 3 | 2) + varint(len(body)) + body

    tensor = message(1, varint(1 << 3) + varint(1))
    return model + message(7, message(12, message(1, name.encode()) + message(2, tensor)))


def session(model: bytes) -> Any:
    """Open an ONNX model on the processor, one thread a call: see `parallel`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # no plan is kept for lengths that never come again
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def answers(model: Any, inputs: dict[str, Any]) -> Any:
    """Return the model's outputs, and give the memory of the call back to the system.

    Kept for the next call, as is the runtime's custom, it would stay with the worker while FFmpeg
    wants its own: some 250 MB, without which the calls take no longer.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return model.run(None, inputs, options)


def parallel() -> int:
    """Return how many calls at once use the cores best: the worker's share, but both of two.

    Two sentences on a thread each take 0.65 s a second of speech, one after the other on two
    threads 0.9 s (Kokoro, two cores): most of a call can't be divided. Each call at work takes
    about 100 MB, so there are eight at the most.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return min(cores, 8, max(2, cores // settings.get().video_concurrency))


def mark(owners: Sequence[int], durations: Sequence[int]) -> list[Mark]:
    """Return the marks of one call, end to end from 0 to `sum(durations) * UNIT`.

    Args:
        owners: Word of each symbol, without the two pads.
        durations: Units of each token, pads included: two more than owners.

    A space between two words is shared by both, half and half, so that speech without a rest has
    no gap; the model spreads the sound over it.
    """
    marks: list[Mark] = []
    at = 0
    everyone = [SILENCE, *owners, SILENCE]
    for i, (owner, units) in enumerate(zip(everyone, durations, strict=True)):
        end = at + int(units) * UNIT
        before, after = everyone[i - 1 : i], everyone[i + 1 : i + 2]
        if owner == SILENCE and SILENCE not in (before + after) and before and after:
            middle = (at + end) // 2
            marks += [Mark(at, middle, before[0]), Mark(middle, end, after[0])]
        else:
            marks.append(Mark(at, end, owner))
        at = end
    return merged(marks)


def merged(marks: Iterable[Mark]) -> list[Mark]:
    """Return `marks` without empty ones, neighbours of one word made one."""
    out: list[Mark] = []
    for m in marks:
        if m.end <= m.start:
            continue
        if out and out[-1].word == m.word:
            out[-1] = Mark(out[-1].start, m.end, m.word)
        else:
            out.append(m)
    return out


def rested(
    sound: Samples,
    symbols: Sequence[str],
    owners: Sequence[int],
    durations: Sequence[int],
    speed: float,
) -> tuple[Samples, list[int]]:
    """Return a model's answer with a rest for each `…`, `—` and full stop between words.

    The models hardly make one in short texts. Silence is laid where the sound is softest between
    the two words, as much as is missing of the rest, in whole units.

    Args:
        sound: What the model returned.
        symbols: Symbols of the call, without the two pads.
        owners: Word of each symbol.
        durations: Units of each token, pads included.
        speed: How quick it is spoken; the rests are shorter with it.
    """
    lengths = list(durations)
    ends = np.cumsum(lengths) * UNIT
    if ends[-1] != len(sound):
        return sound, lengths  # `utterance` refuses it
    for group in reversed(_gaps(owners)):
        wanted = max((_RESTS.get(symbols[i], 0.0) for i in group), default=0.0) / speed
        if not wanted:
            continue
        start, end = int(ends[group.start]) - UNIT // 2, int(ends[group.stop]) + UNIT // 2
        at, heard = _softest(sound, start, end)
        missing = round((wanted * RATE - heard) / UNIT)
        if missing > 0:
            ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
            before, after = sound[:at].copy(), sound[at:].copy()
            before[-_FADE:] *= ramp[::-1][-len(before) :]
            after[:_FADE] *= ramp[: len(after)]
            sound = np.concatenate([before, np.zeros(missing * UNIT, np.float32), after])
            lengths[group.stop] += missing
    return sound, lengths


def _gaps(owners: Sequence[int]) -> list[range]:
    """Return the runs of symbols between two words."""
    spoken = [i for i, owner in enumerate(owners) if owner != SILENCE]
    return [range(a + 1, b) for a, b in pairwise(spoken) if b - a > 1]


def _softest(sound: Samples, start: int, end: int) -> tuple[int, int]:
    """Return where it is softest from `start` to `end`, and how many samples around it are silent."""
    total = np.concatenate(([0.0], np.cumsum(np.square(sound, dtype=np.float64))))
    power = total[_WINDOW:] - total[:-_WINDOW]
    start, end = max(start, 0), min(end, len(power))
    at = start + int(power[start:end].argmin())
    loud = np.flatnonzero(power > power.max() * _SOFT * _SOFT)
    before, after = loud[loud < at], loud[loud > at]
    first = int(before[-1]) + _WINDOW if len(before) else 0
    last = int(after[0]) if len(after) else len(sound)
    return at + _WINDOW // 2, max(0, last - first)


def utterance(sound: Samples, owners: Sequence[int], durations: Sequence[int]) -> Utterance:
    """Join a model's answer to its times and take the long silence off both ends.

    Raises:
        MediaError: `speech_timing`, when the durations don't add up to the sound.
    """
    marks = mark(owners, durations)
    if not len(sound) or marks[-1].end != len(sound):
        raise MediaError(
            "speech_timing",
            "The voice model returned sound and times that don't belong together.",
            "Install the tested versions of the requirements (constraints.txt).",
        )
    return cut(Utterance(sound.astype(np.float32, copy=False), marks))


def cut(whole: Utterance) -> Utterance:
    """Return an utterance with whole units of silence cut off both ends, but for a few."""
    onset, offset = edges(whole.sound, _FAINT)
    spoken = [m for m in whole.marks if m.word != SILENCE]
    onset = min(onset, spoken[0].end - UNIT)
    offset = max(offset, spoken[-1].start + UNIT)
    start, end = _bounds(onset, offset, len(whole.sound))
    kept = [Mark(max(m.start, start) - start, min(m.end, end) - start, m.word) for m in whole.marks]
    return Utterance(whole.sound[start:end], merged(kept))


def trimmed(sound: Samples) -> Samples:
    """Return a sound in whole units with as much silence at its ends as our own voices leave."""
    ends = (_LEAD * UNIT, (_TRAIL + 1) * UNIT)
    padded = np.pad(sound, (ends[0], ends[1] - (ends[0] + len(sound)) % UNIT))
    start, end = _bounds(*edges(padded, _FAINT), len(padded))
    return padded[start:end]


def _bounds(onset: int, offset: int, length: int) -> tuple[int, int]:
    """Return where a sound is cut, in whole units, that is heard from `onset` to `offset`."""
    first = max(0, onset // UNIT - _LEAD)
    last = min(length // UNIT, -(-offset // UNIT) + _TRAIL)
    return first * UNIT, last * UNIT


def edges(sound: Samples, share: float = _QUIET) -> tuple[int, int]:
    """Return the first and the last sample (exclusive) of the sound.

    A window of 10 ms counts as sound when its RMS is above `share` of the loudest window's. The
    first such window has only its last samples in the sound, the last one its first.
    """
    total = np.cumsum(np.square(sound, dtype=np.float64))
    power = total[_WINDOW:] - total[:-_WINDOW]
    loud = np.flatnonzero(power > power.max(initial=0.0) * share * share)
    if not len(loud) or loud[0] + _WINDOW >= loud[-1]:
        return 0, len(sound)
    return int(loud[0]) + _WINDOW, int(loud[-1]) + 1


def joined(parts: Sequence[Utterance]) -> Utterance:
    """Return the utterances one after another."""
    marks: list[Mark] = []
    at = 0
    for part in parts:
        marks += [Mark(m.start + at, m.end + at, m.word) for m in part.marks]
        at += len(part.sound)
    return Utterance(np.concatenate([p.sound for p in parts]), merged(marks))


def snapped(whole: Utterance) -> Utterance:
    """Move the start of the first word and the end of the last to where the sound is.

    The durations often begin a word in the silence before it; captions should not.
    """
    onset, offset = edges(whole.sound)
    spoken = [m for m in whole.marks if m.word != SILENCE]
    start = min(onset, spoken[0].end - UNIT // 2)
    end = max(offset, spoken[-1].start + UNIT // 2, start + 1)
    inner = [
        Mark(
            start if m is spoken[0] else max(m.start, start),
            end if m is spoken[-1] else min(m.end, end),
            m.word,
        )
        for m in whole.marks[whole.marks.index(spoken[0]) : whole.marks.index(spoken[-1]) + 1]
    ]
    ends = [Mark(0, start, SILENCE), *inner, Mark(end, len(whole.sound), SILENCE)]
    return Utterance(whole.sound, merged(ends))


def levelled(sound: Samples) -> Samples:
    """Return the sound at the common level, never above 0.95 of full scale, its ends faded.

    A voice with high peaks would be heard softer than another if they set its level.
    """
    frames = sound[: len(sound) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    loudest = power.max(initial=0.0)
    if not loudest:
        return sound
    level = float(np.sqrt(power[power > loudest * 0.01].mean()))
    gain = min(_LEVEL / level, _PEAK * _PRESSED / float(np.abs(sound).max()))
    out = _limited((sound * np.float32(gain)).astype(np.float32))
    ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
    out[:_FADE] *= ramp[: len(out)]
    out[-_FADE:] *= ramp[::-1][-len(out) :]
    return out


def _limited(sound: Samples) -> Samples:
    """Return the sound with its peaks turned down to the highest allowed, and 5 ms around them."""
    blocks = np.abs(np.pad(sound, (0, -len(sound) % _FADE))).reshape(-1, _FADE).max(axis=1)
    over = np.maximum(blocks / _PEAK, 1.0)
    if over.max(initial=1.0) <= 1.0:
        return sound
    around = np.pad(over, 1, mode="edge")
    worst = np.maximum(np.maximum(around[:-2], around[2:]), over)
    middles = (np.arange(len(over)) + 0.5) * _FADE
    pressed: Samples = sound / np.interp(np.arange(len(sound)), middles, worst).astype(np.float32)
    return pressed


def write(sound: Samples, target: Path) -> None:
    """Write 24 kHz mono 16-bit WAV."""
    pcm = np.round(np.clip(sound, -1.0, 1.0) * 32767.0).astype("<i2")
    with target.open("wb") as file, wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(pcm.tobytes())


def words(text: str, reading: Reading, marks: Sequence[Mark]) -> tuple[Word, ...]:
    """Return the words with their times; one that a cut went through is one word again."""
    times: dict[int, tuple[int, int]] = {}
    for m in marks:
        if m.word != SILENCE:
            times[m.word] = (times.get(m.word, m)[0], m.end)
    return tuple(
        Word(
            text=text[slice(*reading.spans[i])],
            start=start / RATE,
            end=end / RATE,
            span=reading.spans[i],
        )
        for i, (start, end) in times.items()
    )


def spoken(
    request: SpeechRequest,
    reading: Reading,
    whole: Utterance,
    target: Path,
    *,
    voice: str,
    provider: str,
    timing: Timing = "exact",
) -> Speech:
    """Write the sound to `target`; return its facts."""
    whole = snapped(whole)
    write(levelled(whole.sound), target)
    return Speech(
        text=request.text,
        voice=voice,
        provider=provider,
        sample_rate=RATE,
        samples=len(whole.sound),
        words=words(request.text, reading, whole.marks),
        timing=timing,
    )
