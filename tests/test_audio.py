from __future__ import annotations

import math
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import InputError, MediaError, NotFoundError
from app.media import audio, ffmpeg, tracks

RATE = 48_000


def save(path: Path, sound: np.ndarray, rate: int = 24_000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if sound.ndim == 1 else sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def load(path: Path) -> np.ndarray:
    """Decode any sound to (samples, channels) at its own rate."""
    decoded = path.with_name(f"{path.name}.decoded.wav")
    ffmpeg.run(["-i", path, "-acodec", "pcm_s16le", decoded])
    with wave.open(str(decoded)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.reshape(-1, file.getnchannels()) / 32768


def speech(seconds: float, seed: int = 0, level: float = 0.3) -> np.ndarray:
    """Voiced syllables of changing pitch and strength with breath noise: as dense as a narrator."""
    rng = np.random.default_rng(seed)
    clock = np.arange(round(seconds * 24_000)) / 24_000
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * clock + seed)
    phase = 2 * np.pi * np.cumsum(pitch) / 24_000
    voiced = sum(
        np.sin(k * phase + 6 * rng.random()) / (1 + ((k * 120 - 500) / 400) ** 2)
        for k in range(1, 30)
    )
    syllables = np.clip(np.sin(2 * np.pi * 3.7 * clock) + 0.4, 0, 1) ** 1.5
    words = np.repeat(rng.uniform(0.35, 1, math.ceil(seconds * 2)), 12_000)[: len(clock)]
    sound = voiced * syllables * words + 0.05 * rng.standard_normal(len(clock)) * syllables
    return level * sound / np.abs(sound).max()


def burst(seconds: float, hertz: float, level: float = 0.3) -> np.ndarray:
    clock = np.arange(round(seconds * RATE)) / RATE
    tone = level * np.sin(2 * np.pi * hertz * clock)
    return np.stack([tone, tone], axis=1)


def power(sound: np.ndarray, hertz: float) -> float:
    """Level in dB of one frequency."""
    turns = np.exp(-2j * np.pi * hertz * np.arange(len(sound)) / RATE) * np.hanning(len(sound))
    return float(20 * np.log10(abs((sound * turns).sum()) / len(sound) + 1e-12))


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, int]]:
    """Five sentences at odd samples: short pauses, then a pause of three seconds (7 s to 10 s)."""
    folder = tmp_path_factory.mktemp("voice")
    starts = (24_001, 24_001 + 110_000, 240_003, 480_001, 600_007)
    return [(save(folder / f"{n}.wav", speech(2, seed=n)), start) for n, start in enumerate(starts)]


def clean(folder: Path) -> bool:
    return not [path for path in folder.iterdir() if ".wav" in path.name]


# --- placement


def test_a_sentence_lies_at_its_sample_also_an_odd_one(tmp_path: Path) -> None:
    click = np.zeros(2400)
    click[1000] = 0.5
    voice = [(save(tmp_path / "a.wav", click), 48_001), (save(tmp_path / "b.wav", click), 7)]
    tracks.place(voice, 96_000, tmp_path / "out.wav")
    out = load(tmp_path / "out.wav")[:, 0]
    assert len(out) == 96_000
    for start in (7, 48_001):
        assert np.argmax(np.abs(out[start : start + 4800])) == 2000
        assert out[start + 2000] == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("hertz", [100, 3000, 9000])
def test_doubling_the_rate_keeps_the_wave(hertz: float) -> None:
    fine = np.sin(2 * np.pi * hertz * np.arange(8000) / RATE).astype(np.float32)
    error = (tracks.upsample(fine[::2]) - fine)[400:-400]
    assert 20 * np.log10(np.abs(error).max()) < -70


def test_joins_do_not_click(tmp_path: Path) -> None:
    loud = save(tmp_path / "loud.wav", np.full(4800, 0.9))
    tracks.place([(loud, 1000), (loud, 10_601)], 30_000, tmp_path / "out.wav")
    assert np.abs(np.diff(load(tmp_path / "out.wav")[:, 0])).max() < 0.02


def test_overlapping_and_unordered_sentences_both_sound(tmp_path: Path) -> None:
    tone = save(tmp_path / "tone.wav", np.full(2400, 0.2))
    spoken = tracks.place([(tone, 2400), (tone, 0)], 8000, tmp_path / "out.wav")
    out = load(tmp_path / "out.wav")[:, 0]
    assert out[3600] == pytest.approx(0.4, abs=0.01)
    assert out[1200] == pytest.approx(0.2, abs=0.01)
    assert [start for start, _ in spoken.intervals] == pytest.approx([0, 2400], abs=100)


def test_speech_is_found_inside_its_silence(tmp_path: Path) -> None:
    sound = np.concatenate([np.zeros(6000), speech(1), np.zeros(12_000)])
    spoken = tracks.place([(save(tmp_path / "a.wav", sound), 1)], 100_000, tmp_path / "out.wav")
    [(start, end)] = spoken.intervals
    assert start == pytest.approx(12_001, abs=2500)
    assert end == pytest.approx(60_001, abs=12_000)
    assert -30 < spoken.level < -10


def test_ducking_goes_ahead_of_speech_and_stays_down_in_short_pauses(tmp_path: Path) -> None:
    speaks = [(2.0, 3.0), (4.0, 5.0), (8.0, 9.0)]
    intervals = [(round(a * RATE), round(b * RATE)) for a, b in speaks]
    tracks.duck(intervals, 12 * RATE, 9.0, tmp_path / "duck.wav")
    gain = load(tmp_path / "duck.wav")[:, 0]
    low = 10 ** (-9 / 20)
    assert len(gain) >= 12_000
    assert gain[1740] == pytest.approx(1, abs=0.001)
    assert gain[2000:5140] == pytest.approx(low, abs=0.001)
    assert gain[5760:7740] == pytest.approx(1, abs=0.001)
    assert np.abs(np.diff(gain)).max() < 0.01


# --- looping


def test_short_music_is_looped_without_a_seam(tmp_path: Path) -> None:
    silence = np.zeros((RATE, 2))
    song = np.concatenate([silence, burst(5.0, 220), silence])
    tracks.loop(save(tmp_path / "song.wav", song, RATE), 20 * RATE, tmp_path / "out.wav")
    out = load(tmp_path / "out.wav")
    assert len(out) == 20 * RATE
    assert np.abs(np.diff(out, axis=0)).max() < 0.02
    levels = np.sqrt((out.reshape(-1, 4800, 2) ** 2).mean(axis=(1, 2)))
    assert levels.min() > 0.1, "the silence round the song is left out, the seam has no hole"


def test_music_that_is_long_enough_is_only_cut(tmp_path: Path) -> None:
    song = burst(4.0, 220)
    tracks.loop(save(tmp_path / "song.wav", song, RATE), 3 * RATE, tmp_path / "out.wav")
    assert np.abs(load(tmp_path / "out.wav") - song[: 3 * RATE]).max() < 1e-3


def test_sides_that_cancel_each_other_are_heard_from_one_loudspeaker(tmp_path: Path) -> None:
    song = burst(4.0, 220) * np.array([1, -1])
    tracks.loop(save(tmp_path / "song.wav", song, RATE), 3 * RATE, tmp_path / "out.wav")
    out = load(tmp_path / "out.wav")
    assert np.abs(out[:, 0] - out[:, 1]).max() < 1e-3
    assert np.abs(out).max() > 0.25


# --- the whole mix


SECONDS = 14.57
Mixes = dict[str, tuple[Path, audio.Loudness, list[float]]]


@pytest.fixture(scope="module")
def mixes(sentences: Sequence[tuple[Path, int]], tmp_path_factory: pytest.TempPathFactory) -> Mixes:
    """The same narration over a bed of ours and alone, with its loudness and what was reported."""
    made: Mixes = {}
    for name, music in (("auto", "auto"), ("none", None)):
        heard: list[float] = []
        path = tmp_path_factory.mktemp(name) / "out.m4a"
        loudness = audio.mix(sentences, SECONDS, path, music=music, seed=8, report=heard.append)
        assert [file.name for file in path.parent.iterdir()] == ["out.m4a"]
        made[name] = (path, loudness, heard)
    return made


@pytest.mark.ffmpeg
@pytest.mark.parametrize("name", ["auto", "none"])
def test_narration_meets_the_loudness_of_the_platforms(mixes: Mixes, name: str) -> None:
    path, loudness, heard = mixes[name]
    assert loudness == audio.measure(path)
    assert loudness.integrated == pytest.approx(-14, abs=0.4)
    assert loudness.true_peak <= -1
    assert heard == sorted(heard)
    assert heard[-1] == pytest.approx(1)
    info = ffmpeg.probe(path)
    assert (info.audio_codec, info.sample_rate, info.channels) == ("aac", RATE, 2)
    assert len(load(path)) == pytest.approx(SECONDS * RATE, abs=1024)


@pytest.mark.ffmpeg
def test_the_voice_keeps_its_place_through_filters_and_aac(
    mixes: Mixes, sentences: Sequence[tuple[Path, int]], tmp_path: Path
) -> None:
    tracks.place(sentences, round(SECONDS * RATE), tmp_path / "voice.wav")
    out, voice = load(mixes["none"][0])[:, 0], load(tmp_path / "voice.wav")[:, 0]
    size = 1 << 20
    likeness = np.fft.irfft(np.fft.rfft(out, size) * np.conj(np.fft.rfft(voice, size)))
    lag = int(np.argmax(likeness))
    assert min(lag, size - lag) <= 24, "half a millisecond: what the high-pass turns phases"


@pytest.mark.ffmpeg
def test_no_pause_is_digital_zero(mixes: Mixes) -> None:
    pause = load(mixes["none"][0])[round(7.3 * RATE) : round(9.7 * RATE)]
    blocks = np.sqrt((pause[: len(pause) // 480 * 480].reshape(-1, 480, 2) ** 2).mean(axis=(1, 2)))
    assert 20 * np.log10(blocks.min()) > -85
    assert 20 * np.log10(blocks.max()) < -55


@pytest.mark.ffmpeg
def test_music_lies_under_the_voice_and_rises_in_long_pauses(
    sentences: Sequence[tuple[Path, int]], tmp_path: Path
) -> None:
    """A tone where the voice has nothing stands for the music, so it can be told from it."""
    song = save(tmp_path / "song.wav", burst(15, 6000), RATE)
    audio.mix(sentences[:4], 12.5, tmp_path / "out.m4a", music=song)
    out = load(tmp_path / "out.m4a").mean(axis=1)
    spoken = power(out[round(5.1 * RATE) : round(6.9 * RATE)], 6000)
    pause = power(out[round(8.0 * RATE) : round(9.4 * RATE)], 6000)
    short_pause = power(out[round(2.55 * RATE) : round(2.75 * RATE)], 6000)
    assert pause - spoken == pytest.approx(9, abs=1)
    assert short_pause == pytest.approx(spoken, abs=1)
    save(tmp_path / "pause.wav", load(tmp_path / "out.m4a")[8 * RATE : round(9.4 * RATE)], RATE)
    alone = audio.measure(tmp_path / "pause.wav").integrated
    assert -14 - alone == pytest.approx(audio.IN_PAUSES, abs=1.5)


@pytest.mark.ffmpeg
def test_music_alone_is_as_loud_as_speech(tmp_path: Path) -> None:
    loudness = audio.mix([], 4, tmp_path / "out.m4a", music="auto", seed=3)
    assert loudness.integrated == pytest.approx(-14, abs=0.5)
    assert loudness.true_peak <= -1


@pytest.mark.ffmpeg
def test_nothing_at_all_is_quiet_room_tone(tmp_path: Path) -> None:
    loudness = audio.mix([], 2, tmp_path / "out.m4a", music=None)
    assert loudness.integrated < -55
    assert np.abs(load(tmp_path / "out.m4a")).max() > 0


@pytest.mark.ffmpeg
def test_hard_peaks_are_limited(tmp_path: Path) -> None:
    """Speech with knocks 20 dB above it: it must reach its loudness without passing -1 dBTP."""
    sound = speech(5, level=0.08)
    sound[12_000::24_000] = 0.95
    sound[12_001::24_000] = -0.95
    knocks = save(tmp_path / "knocks.wav", sound)
    loudness = audio.mix([(knocks, 4801)], 6, tmp_path / "out.m4a", music=None)
    assert loudness.true_peak <= -1
    assert loudness.integrated == pytest.approx(-14, abs=0.5)


@pytest.mark.ffmpeg
@pytest.mark.parametrize("noise", ["white", "square"])
def test_the_worst_music_stays_below_the_ceiling(tmp_path: Path, noise: str) -> None:
    if noise == "white":
        song = np.random.default_rng(1).uniform(-1, 1, (2 * RATE, 2))
    else:
        song = np.sign(burst(2, 997))
    path = save(tmp_path / "song.wav", song, RATE)
    loudness = audio.mix([], 2, tmp_path / "out.m4a", music=path)
    assert loudness.true_peak <= -1
    assert loudness.integrated == pytest.approx(-14, abs=0.5)


@pytest.mark.ffmpeg
def test_music_in_an_old_format_with_a_cover_is_looped(
    sentences: Sequence[tuple[Path, int]], tmp_path: Path
) -> None:
    """Mono, 8 kHz, MP3, with a picture inside, shorter than the video, an odd name."""
    wav = save(tmp_path / "song.wav", burst(3, 440), RATE)
    Image.new("RGB", (64, 64), "red").save(tmp_path / "cover.png")
    song = tmp_path / "-i song: 'ü' [x].mp3"
    inputs = ["-i", wav, "-i", tmp_path / "cover.png", "-map", "0:a", "-map", "1:v"]
    ffmpeg.run([*inputs, "-ac", "1", "-ar", "8000", "-disposition:v", "attached_pic", song])
    loudness = audio.mix(sentences[:1], 6, tmp_path / "out.m4a", music=song)
    assert loudness.integrated == pytest.approx(-14, abs=0.4)
    pause = load(tmp_path / "out.m4a").mean(axis=1)[round(3.6 * RATE) : round(4.4 * RATE)]
    assert power(pause, 440) > power(pause, 700) + 20


# --- what can't be used


def broken(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.wav"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no sound")
    elif kind == "no samples":
        save(path, np.zeros(0))
    elif kind == "cut":
        path.write_bytes(save(path, speech(1)).read_bytes()[:-2001])
    elif kind == "stereo":
        save(path, np.zeros((2400, 2)))
    elif kind == "fast":
        save(path, np.zeros(2400), RATE)
    return path


@pytest.mark.parametrize(
    "kind", ["empty", "text", "no samples", "cut", "stereo", "fast", "missing"]
)
def test_a_broken_sentence_is_named(tmp_path: Path, kind: str) -> None:
    path = broken(tmp_path, kind)
    with pytest.raises(MediaError, match=path.name) as caught:
        audio.mix([(path, 0)], 2, tmp_path / "out.m4a", music=None)
    assert caught.value.code == "voice_unreadable"
    assert not (tmp_path / "out.m4a.voice.wav").exists()


@pytest.mark.parametrize("start", [-1, 24_001])
def test_speech_outside_the_video_is_refused(tmp_path: Path, start: int) -> None:
    path = save(tmp_path / "a.wav", speech(1))
    with pytest.raises(MediaError) as caught:
        audio.mix([(path, start)], 1.5, tmp_path / "out.m4a", music=None)
    assert caught.value.code == "voice_past_end"


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf])
def test_impossible_durations_are_refused(tmp_path: Path, seconds: float) -> None:
    with pytest.raises(InputError) as caught:
        audio.mix([], seconds, tmp_path / "out.m4a", music=None)
    assert caught.value.code == "duration_invalid"


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("missing", NotFoundError, "music_missing"),
        ("empty", MediaError, "media_unreadable"),
        ("text", MediaError, "media_unreadable"),
        ("picture", InputError, "music_no_sound"),
        ("silent", InputError, "music_silent"),
        ("short", InputError, "music_short"),
        ("no samples", InputError, "music_silent"),
    ],
)
def test_music_that_cannot_be_used_is_a_clear_error(
    tmp_path: Path, kind: str, error: type[Exception], code: str
) -> None:
    path = broken(tmp_path, kind)
    if kind == "picture":
        path = tmp_path / "picture.png"
        Image.new("RGB", (64, 64)).save(path)
    elif kind == "silent":
        save(path, np.zeros((3 * RATE, 2)), RATE)
    elif kind == "short":
        save(path, burst(0.6, 440), RATE)
    with pytest.raises(error) as caught:
        audio.mix([], 3, tmp_path / "out.m4a", music=path)
    assert caught.value.code == code  # type: ignore[attr-defined]
    assert not list(tmp_path.glob("out.m4a*"))


@pytest.mark.ffmpeg
def test_stopping_leaves_no_working_files(
    sentences: Sequence[tuple[Path, int]], tmp_path: Path
) -> None:
    def stop(fraction: float) -> None:
        if fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audio.mix(sentences, 15, tmp_path / "out.m4a", music=None, report=stop)
    assert clean(tmp_path)
