from __future__ import annotations

import time
import tracemalloc
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from app.media import audio, music, tones, tracks
from app.media.moods import MOODS
from app.media.styles import Mood

SEEDS = (1, 6, 7, 8)
"""Between them: each instrument, major and minor."""
LENGTH = 24


def sound(seconds: float, seed: int) -> np.ndarray:
    return np.concatenate(list(music.blocks(seconds, seed)))


@pytest.fixture(scope="module")
def beds() -> dict[int, np.ndarray]:
    return {seed: sound(LENGTH, seed) for seed in SEEDS}


def test_bed_is_as_long_as_asked_stereo_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one.wav", "two.wav"):
        music.bed(tmp_path / name, 4.33, seed=4)
    with wave.open(str(tmp_path / "one.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 2, 2)
        assert file.getnframes() == round(4.33 * 48_000)
    assert (tmp_path / "one.wav").read_bytes() == (tmp_path / "two.wav").read_bytes()


def test_seeds_give_different_pieces(beds: dict[int, np.ndarray]) -> None:
    played = {music._Piece(LENGTH, seed)._band._instrument for seed in SEEDS}
    assert played == set(MOODS["calm"].instruments)
    for one, other in pairwise(SEEDS):
        assert abs(np.corrcoef(beds[one][:, 0], beds[other][:, 0])[0, 1]) < 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_bed_is_clean(beds: dict[int, np.ndarray], seed: int) -> None:
    bed = beds[seed]
    assert np.abs(bed).max() < 0.8, "clips nearly"
    assert np.abs(bed.mean(axis=0)).max() < 1e-3, "has an offset"
    assert np.abs(np.diff(bed, axis=0)).max() < 0.12, "clicks"
    assert np.abs(bed[[0, -1]]).max() < 1e-4, "starts or ends with a step"
    assert 0 < np.corrcoef(bed.T)[0, 1] < 0.8, "is mono, or out of phase"


@pytest.mark.parametrize("seed", SEEDS)
def test_bed_is_balanced(beds: dict[int, np.ndarray], seed: int) -> None:
    """Octave levels of a calm arrangement: full below 1 kHz, falling gently above, no hiss."""
    power = np.abs(np.fft.rfft(beds[seed].mean(axis=1))) ** 2
    pitch = np.fft.rfftfreq(len(beds[seed]), 1 / 48_000)

    def level(low: float, high: float) -> float:
        return float(10 * np.log10(power[(pitch >= low) & (pitch < high)].sum() / power.sum()))

    assert level(0, 35) < -15
    assert level(35, 125) > -16
    assert level(125, 500) > -6
    assert level(500, 1000) > -12
    assert -22 < level(1000, 2000) < -10
    assert level(4000, 10_000) < -28
    assert level(10_000, 24_000) < -45


@pytest.mark.parametrize("seed", SEEDS)
def test_bed_keeps_its_loudness_and_moves(beds: dict[int, np.ndarray], seed: int) -> None:
    body = beds[seed][: 20 * 48_000]
    windows = 20 * np.log10(np.sqrt((body.reshape(-1, 120_000, 2) ** 2).mean(axis=(1, 2))))
    assert windows.max() - windows.min() < 10
    quarters = [np.abs(np.fft.rfft(part.mean(axis=1))) for part in np.array_split(body, 4)]
    for one, other in pairwise(quarters):
        assert np.corrcoef(one, other)[0, 1] < 0.97, "repeats itself"


@pytest.mark.parametrize("seed", SEEDS)
def test_bed_resolves_to_the_tonic_and_fades(beds: dict[int, np.ndarray], seed: int) -> None:
    bed = beds[seed].mean(axis=1)
    piece = music._Piece(LENGTH, seed)
    last = bed[piece.start(piece.bars) :]
    power = np.abs(np.fft.rfft(last[: 2 * 48_000])) ** 2
    pitch = np.fft.rfftfreq(2 * 48_000, 1 / 48_000)
    classes = np.zeros(12)
    for note in range(33, 84):
        near = np.abs(pitch / tones.frequency(note) - 1) < 0.02
        classes[note % 12] += power[near].sum()
    chord = {(piece._tonic + tone) % 12 for tone in piece._home}
    assert sum(classes[list(chord)]) > 0.85 * classes.sum()
    steps = [np.abs(part).max() for part in np.array_split(bed[-96_000:], 4)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < 0.1 * steps[0]


def test_a_bed_is_heard_once_nobody_speaks_any_more() -> None:
    bed = np.concatenate(list(music.blocks(12, 3, quiet=1.4)))
    power = 20 * np.log10(np.sqrt((bed.reshape(-1, 4800, 2) ** 2).mean(axis=(1, 2))) + 1e-9)
    spoken, chord = power[40:100].mean(), power[107:113].mean()
    assert chord > spoken - 4, "its last chord has only begun"
    assert power[-1] < spoken - 20


@pytest.mark.ffmpeg
@pytest.mark.parametrize("seed", SEEDS)
def test_beds_are_about_equally_loud(
    beds: dict[int, np.ndarray], tmp_path: Path, seed: int
) -> None:
    with tracks.writing(tmp_path / "bed.wav", channels=2) as file:
        tracks.write(file, beds[seed])
    loudness = audio.measure(tmp_path / "bed.wav")
    assert -23 < loudness.integrated < -17
    assert loudness.true_peak < -3
    assert loudness.range < 9


@pytest.mark.ffmpeg
@pytest.mark.parametrize("mood", [mood for mood in MOODS if mood != "calm"])
def test_every_mood_is_clean_and_as_loud_as_the_others(mood: Mood, tmp_path: Path) -> None:
    bed = np.concatenate(list(music.blocks(14, 7, mood)))
    assert np.abs(bed).max() < 0.8, "clips nearly"
    assert np.abs(np.diff(bed, axis=0)).max() < 0.15, "clicks"
    assert np.abs(bed[[0, -1]]).max() < 1e-4, "starts or ends with a step"
    power = np.abs(np.fft.rfft(bed.mean(axis=1))) ** 2
    pitch = np.fft.rfftfreq(len(bed), 1 / 48_000)
    assert power[pitch < 35].sum() < 0.01 * power.sum(), "rumbles"
    assert power[pitch > 4000].sum() < 0.01 * power.sum(), "hisses"
    with tracks.writing(tmp_path / "bed.wav", channels=2) as file:
        tracks.write(file, bed)
    loudness = audio.measure(tmp_path / "bed.wav")
    assert -23 < loudness.integrated < -17
    assert loudness.true_peak < -3


@pytest.mark.parametrize("seconds", [0.3, 2])
def test_short_beds_are_one_chord(seconds: float) -> None:
    bed = sound(seconds, 7)
    assert len(bed) == round(seconds * 48_000)
    assert np.abs(bed).max() > 0.02
    assert np.abs(bed[-1]).max() < 1e-4


def test_length_changes_neither_memory_nor_cost_per_second() -> None:
    def cost(seconds: float) -> tuple[int, float]:
        tracemalloc.start()
        started = time.process_time()
        for _ in music.blocks(seconds, 5):
            pass
        spent = time.process_time() - started
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, spent / seconds

    short, long = cost(15), cost(50)
    assert long[0] < 1.8 * short[0]
    assert long[0] < 150e6
    assert long[1] < 0.03


def test_report_hears_each_bar_and_may_stop(tmp_path: Path) -> None:
    heard: list[float] = []
    music.bed(tmp_path / "bed.wav", 12, 1, report=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == pytest.approx(1)
    assert len(heard) >= 3

    def stop(fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        music.bed(tmp_path / "bed.wav", 3, 1, report=stop)


def test_pads_hold_common_notes_without_a_seam() -> None:
    band = tones.Band(np.random.default_rng(1), "felt")
    period = band.pad((55, 62))[0]
    whole = tones.looped(period, len(period) - 500, 1000)
    assert np.abs(np.diff(whole[:, 0])).max() < 2 * np.abs(np.diff(period[:, 0])).max()
    assert np.array_equal(whole[500:], period[:500])
