"""What every voice shares: times of words, rests, level, pieces of a long text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MediaError
from app.providers import _voice
from app.providers._voice import RATE, SILENCE, UNIT, Reading

TOKENS = st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 1)), min_size=1, max_size=40)


@given(TOKENS)
def test_marks_lie_end_to_end(tokens: list[tuple[int, int]]) -> None:
    word, owners = 0, []
    for _, step in tokens:
        word += max(step, 0)
        owners.append(SILENCE if step < 0 else word)
    durations = [3, *(units for units, _ in tokens), 4]
    marks = _voice.mark(owners, durations)
    assert marks[0].start == 0
    assert marks[-1].end == sum(durations) * UNIT
    assert all(a.end == b.start for a, b in pairwise(marks))
    assert all(m.start < m.end for m in marks)


def test_a_space_is_shared_and_a_comma_is_silence() -> None:
    marks = _voice.mark([0, SILENCE, 1, SILENCE, SILENCE, 2], [2, 4, 2, 4, 3, 1, 4, 5])
    assert [(m.start // UNIT, m.end // UNIT, m.word) for m in marks] == [
        (0, 2, SILENCE),
        (2, 7, 0),
        (7, 12, 1),
        (12, 16, SILENCE),
        (16, 20, 2),
        (20, 25, SILENCE),
    ]


def test_ends_move_to_the_sound_and_long_silence_goes() -> None:
    sound = np.zeros(40 * UNIT, np.float32)
    sound[15 * UNIT : 25 * UNIT] = np.sin(np.arange(10 * UNIT) / 20).astype(np.float32)
    whole = _voice.utterance(sound, [0, SILENCE, 1], [10, 8, 2, 8, 12])
    done = _voice.snapped(whole)
    assert len(done.sound) == (2 + 10 + 4) * UNIT
    assert [m.word for m in done.marks] == [SILENCE, 0, 1, SILENCE]
    assert abs(done.marks[1].start - 2 * UNIT) <= 240
    assert abs(done.marks[2].end - 12 * UNIT) <= 240
    assert done.marks[-1].end == len(done.sound)


def test_sound_and_times_that_differ_are_refused() -> None:
    with pytest.raises(MediaError, match="don't belong together"):
        _voice.utterance(np.ones(UNIT * 5 + 1, np.float32), [0], [1, 3, 1])


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.4])
def test_every_file_has_the_same_level_and_never_clips(scale: float) -> None:
    rng = np.random.default_rng(1)
    sound = (rng.standard_normal(RATE) * 0.2 * scale).astype(np.float32)
    sound[: RATE // 2] = 0
    out = _voice.levelled(sound)
    assert np.abs(out).max() <= 0.95
    assert 20 * np.log10(np.sqrt((out[RATE // 2 :] ** 2).mean())) == pytest.approx(-18, abs=0.3)
    assert not _voice.levelled(np.zeros(RATE, np.float32)).any()


def test_a_voice_with_high_peaks_is_not_heard_softer_than_another() -> None:
    sound = np.sin(np.arange(RATE) / 10).astype(np.float32) * 0.1
    sound[:: RATE // 10] = 0.6
    out = _voice.levelled(sound)
    assert np.abs(out).max() <= 0.95
    assert 20 * np.log10(np.sqrt((out**2).mean())) == pytest.approx(-18, abs=0.5)


def test_an_ellipsis_is_a_rest_that_no_word_loses_sound_to() -> None:
    owners = [0, 0, SILENCE, SILENCE, 1, SILENCE, SILENCE, 2]
    units = [2, 8, 8, 2, 2, 12, 2, 2, 12, 3]
    sound = np.sin(np.arange(sum(units) * UNIT) / 10).astype(np.float32)
    sound[18 * UNIT : 22 * UNIT] *= 0.1
    out, lengths = _voice.rested(sound, list("ab… c, d"), owners, units, 1.0)
    assert sum(lengths) * UNIT == len(out)
    assert [i for i, (a, b) in enumerate(zip(units, lengths, strict=True)) if a != b] == [4]
    silent = np.flatnonzero(out == 0)
    assert 0.33 < len(silent) / RATE < 0.37
    assert 18 * UNIT <= silent[1] < silent[-1] <= 36 * UNIT + UNIT // 2
    kept = np.concatenate([out[: silent[1] - 120], out[silent[-1] + 121 :]])
    assert len(kept) == pytest.approx(len(sound) - 240, abs=4)
    assert np.abs(out).max() == np.abs(sound).max()


def test_a_long_reading_is_cut_after_clauses() -> None:
    reading = Reading()
    for i in range(60):
        reading.word((i * 2, i * 2 + 1), "həlO")
        reading.pause("," if i % 10 == 9 else "")
        reading.space()
    pieces = reading.pieces(120)
    assert "".join("".join(reading.symbols[p]) for p in pieces) == "".join(reading.symbols)
    assert all("".join(reading.symbols[p]).rstrip().endswith(",") for p in pieces)
