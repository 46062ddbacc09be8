"""When each word sounds, for a voice that does not say: by proportion, or aligned by a recogniser.

By proportion: each word is given a share of the sound by what it is made of (its phonemes, as our
own voices read it), and the pauses that can be heard are laid on the ends of words, those after
punctuation first. Aligned: the recogniser Whisper tells where in the sound the written words lie
(extra `asr`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.models import Language
from app.providers import _japanese, _mandarin, _recogniser, _voice
from app.providers._recogniser import Heard
from app.providers._voice import PAUSES, RATE, SILENCE, Mark, Reading, Samples, Timing, Utterance

CERTAIN = 0.35
"""How sure a recogniser has to be of the words to be believed: of what is said it was from 0.52
up, of what is not said up to 0.26 (base model, 60 sentences)."""
_LATE = 0.08
"""Seconds by which the model looks for a word before it sounds."""
_TRUST = 0.5
"""Weight of what was heard against the words' shares: each mends the other's worst mistakes."""

_WEIGHTS: dict[Language, dict[str, float]] = {
    "en": {
        "AIOWYQ": 0.49,
        "ɑæɔɛʌʊuɜaeoəᵊɐɪiᵻɚ": 0.32,
        "szʃʒfvθðh": 0.24,
        "ptkbdɡʧʤTʔmnŋlɹwj": 0.18,
        "ˈ": 0.47,
        "ˌ": 0.12,
    },
    "zh-TW": {
        "↓→↗↘": 0.5,
        "ʂɕxʐɻszfhʦʨꭧptkbdɡʰ": 0.26,
        "mnŋlɹwjɥ": 0.12,
        "ɑæɔɛʌʊuɜaeoəᵊɐɪiᵻɚyɤɨAIOWYQ": 0.03,
        "ˈ": 0.47,
    },
    "ja": {
        "aeioɯɨɑ": 0.135,
        "ː": 0.25,
        "ɴ": 0.19,
        "ʔ": 0.16,
        "szʃʒfvθðhɕʑçɸʨʥʦʣptkbdɡmnŋɲlɾɹwjβ": 0.07,
        "ʲᵝ": 0.0,
    },
}
"""Symbols → their share of a word's time, fitted by least squares to what hibari and Kokoro's
`af_heart`, `zf_xiaoxiao`, `jf_alpha` and `jm_kumo` make of them."""
_WORD: dict[Language, float] = {"en": 0.02, "zh-TW": 0.23, "ja": 0.06}
"""What each word has beside its symbols."""
_READERS: dict[Language, Callable[[str], Reading]] = {
    "en": _mandarin.read_within_english,
    "zh-TW": _mandarin.read,
    "ja": _japanese.read,
}
_LENGTHENED = 0.3
"""What a word before a rest has more: the last syllable is drawn out."""

_FULL_STOPS = frozenset(".!?…;:—")
_MISSED: dict[str, float] = {"full": 4.0, "comma": 1.0, "none": 0.0}
"""Price of punctuation at which no pause is heard."""
_HEARD: dict[str, float] = {"full": 0.0, "comma": 0.0, "none": 2.0}
"""Price of a pause at the end of a word with that punctuation after it."""
_SCATTER = 0.35
"""Standard deviation of a word's share, of the share of an average word."""

_STEP = 120  # samples, 5 ms
_QUIET = 0.03  # of the loudest moment, -30 dB: a room's hiss or a breath is no speech
_SHORTEST_PAUSE = 0.06
_LONGEST_CLOSURE = 0.12  # the silence inside a word before p, t or k
_MOST_PAUSES = 40


class Span(NamedTuple):
    """A pause in the sound, in samples."""

    start: int
    end: int


@dataclass(frozen=True)
class Plan:
    """A reading in words: what share each has of the time, and what follows it.

    Attributes:
        words: Which word of the reading each is; one that is read in two places counts twice.
        weights: Shares.
        rests: What stands after each: `full`, `comma` or `none`.
    """

    words: tuple[int, ...]
    weights: npt.NDArray[np.float64]
    rests: tuple[str, ...]


def read(text: str, language: Language) -> Reading:
    """Return the text as our own voices read it, with the words and spans they give."""
    reading = _READERS[language](text)
    _voice.check_reading(reading, text, language)
    reading.close()
    return reading


def timed(
    reading: Reading, text: str, language: Language, sound: Samples
) -> tuple[Utterance, Timing]:
    """Return the sound with its marks, by the best means there is, and which that was."""
    heard = _recogniser.times(text, language, sound)
    if heard is not None and heard.certainty >= CERTAIN:
        return aligned(reading, text, language, sound, heard), "aligned"
    return proportional(reading, language, sound), "proportional"


def proportional(reading: Reading, language: Language, sound: Samples) -> Utterance:
    """Return the sound with marks that lie end to end over it, by the words' shares.

    Args:
        reading: Of the text that is said.
        language: Its language.
        sound: At 24 kHz, with silence at its ends at most.
    """
    return _laid(_plan(reading, language), sound)


def aligned(
    reading: Reading, text: str, language: Language, sound: Samples, heard: Heard
) -> Utterance:
    """Return the sound with marks that lie end to end over it, by what a recogniser heard.

    Its moments are some 50 ms rough and now and then far off, so they mend the words' shares rather
    than take their place; the pauses of the sound mend both.
    """
    plan = _plan(reading, language)
    onset, offset = _voice.edges(sound)
    pauses = _pauses(sound, onset, offset)
    told = [heard.at(text, reading.spans[word][0]) + _LATE * RATE for word in plan.words[1:]]
    begun = np.clip([onset, *told, offset], onset, offset)
    silent = [sum(min(max(t - p.start, 0), p.end - p.start) for p in pauses) for t in begun]
    spoken = np.diff(np.maximum.accumulate(begun - np.asarray(silent)))
    for first in range(len(plan.words) - 1):
        if any(c.isdigit() for c in text[slice(*reading.spans[plan.words[first]])]):
            # a figure is one sign to the model: it looks on before the last of it is said
            both, pair = slice(first, first + 2), plan.weights[first : first + 2]
            spoken[both] = spoken[both].sum() * pair / pair.sum()
    shares = plan.weights * (spoken.sum() / plan.weights.sum())
    weights = _TRUST * spoken + (1 - _TRUST) * shares
    return _laid(replace(plan, weights=np.maximum(weights, 1.0)), sound)


def _laid(plan: Plan, sound: Samples) -> Utterance:
    onset, offset = _voice.edges(sound)
    anchors = _anchored(plan, _pauses(sound, onset, offset), onset, offset)
    return Utterance(sound, _marks(plan, anchors, onset, offset, len(sound)))


def _plan(reading: Reading, language: Language) -> Plan:
    worth = {symbol: w for symbols, w in _WEIGHTS[language].items() for symbol in symbols}
    words: list[int] = []
    weights: list[float] = []
    rests: list[str] = []
    for symbol, owner in zip(reading.symbols, reading.owners, strict=True):
        if owner != SILENCE:
            if not words or words[-1] != owner:
                words.append(owner)
                weights.append(_WORD[language])
                rests.append("none")
            weights[-1] += worth.get(symbol, 0.1)
        elif words and symbol in PAUSES and rests[-1] != "full":
            rests[-1] = "full" if symbol in _FULL_STOPS else "comma"
    lengthened = [w + _LENGTHENED * (r != "none") for w, r in zip(weights, rests, strict=True)]
    return Plan(tuple(words), np.asarray(lengthened), tuple(rests))


def _pauses(sound: Samples, onset: int, offset: int) -> list[Span]:
    """Return the longest silences between the sound's ends, in order."""
    frames = sound[: len(sound) // _STEP * _STEP].reshape(-1, _STEP)
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    smooth = np.convolve(power, np.ones(2) / 2, "same")
    quiet = np.concatenate(([False], smooth < smooth.max(initial=0.0) * _QUIET**2, [False]))
    turns = np.flatnonzero(np.diff(quiet.astype(np.int8))) * _STEP
    spans = [Span(int(a), int(b)) for a, b in zip(turns[::2], turns[1::2], strict=True)]
    inner = [
        s
        for s in spans
        if s.start > onset and s.end < offset and s.end - s.start >= _SHORTEST_PAUSE * RATE
    ]
    longest = sorted(inner, key=lambda s: s.start - s.end)[:_MOST_PAUSES]
    return sorted(longest)


def _anchored(
    plan: Plan, pauses: Sequence[Span], onset: int, offset: int
) -> list[tuple[int, Span]]:
    """Return which pauses stand after which words: (number of words before it, pause), in order.

    The dearest mistakes are avoided together: a stretch of words that lasts much more or less than
    its share, a pause amid a phrase, a full stop without one.
    """
    count = len(plan.words)
    if count < 2 or not pauses:
        return []
    share = np.concatenate(([0.0], np.cumsum(plan.weights)))
    missed = np.cumsum([0.0, *(_MISSED[rest] for rest in plan.rests)])
    missed_before = np.concatenate(([0.0], missed[:-1]))  # up to, without, the boundary itself
    heard = np.asarray([0.0, *(_HEARD[rest] for rest in plan.rests)])
    silent = sum(p.end - p.start for p in pauses if p.end - p.start > _LONGEST_CLOSURE * RATE)
    pace = max(offset - onset - silent, 1) / share[-1]
    spread = (_SCATTER * pace) ** 2 * float(plan.weights.mean())

    ways = [Span(onset, onset), *pauses, Span(offset, offset)]
    skipped = np.cumsum([0.0, *(_skip(p) for p in pauses), 0.0])
    gaps = share[None, :] - share[:, None]
    lost = missed_before[None, :] - missed[:, None]
    between = np.arange(count + 1)[None, :] - np.arange(count + 1)[:, None]
    best = np.full((len(ways), count + 1), np.inf)
    best[0, 0] = 0.0
    origin: dict[tuple[int, int], tuple[int, int]] = {}
    for j in range(1, len(ways)):
        ends = [count] if j == len(ways) - 1 else range(1, count)
        for i in range(j):
            lasts = ways[j].start - ways[i].end
            price = np.square(lasts - gaps * pace) / (spread * np.maximum(gaps, 1e-9))
            passed = skipped[j - 1] - skipped[i]
            able = (between > 0) & (between <= lasts)
            total = np.where(able, best[i][:, None] + price + lost + passed, np.inf) + heard
            for b in ends:
                a = int(total[:, b].argmin())
                if total[a, b] < best[j, b]:
                    best[j, b] = total[a, b]
                    origin[j, b] = (i, a)
    return _followed(origin, ways, count)


def _skip(pause: Span) -> float:
    """Return the price of taking a pause for a part of a word."""
    return max(0.0, (pause.end - pause.start) / RATE - _LONGEST_CLOSURE) * 40.0


def _followed(
    origin: dict[tuple[int, int], tuple[int, int]], ways: Sequence[Span], count: int
) -> list[tuple[int, Span]]:
    found: list[tuple[int, Span]] = []
    at = origin.get((len(ways) - 1, count))
    while at is not None and at[0] > 0:
        found.append((at[1], ways[at[0]]))
        at = origin.get(at)
    return found[::-1]


def _marks(
    plan: Plan, anchors: Sequence[tuple[int, Span]], onset: int, offset: int, length: int
) -> list[Mark]:
    """Return the marks from 0 to `length`: between two anchors the words share the time."""
    marks = [Mark(0, onset, SILENCE)]
    stations = [(0, Span(onset, onset)), *anchors, (len(plan.words), Span(offset, offset))]
    for (first, before), (last, after) in pairwise(stations):
        if before.end > before.start:
            marks.append(Mark(before.start, before.end, SILENCE))
        edges = _divided(plan.weights[first:last], before.end, after.start)
        marks += [
            Mark(a, b, word)
            for word, (a, b) in zip(plan.words[first:last], pairwise(edges), strict=True)
        ]
    return _voice.merged([*marks, Mark(offset, length, SILENCE)])


def _divided(weights: npt.NDArray[np.float64], start: int, end: int) -> list[int]:
    """Return the edges of parts of `start` to `end` by weight, each of at least one sample."""
    shares = np.concatenate(([0.0], np.cumsum(weights)))
    shares /= shares[-1]
    steps = np.arange(len(weights) + 1)
    room = end - start - len(weights)
    return [int(edge) for edge in start + steps + np.floor(shares * room)]
