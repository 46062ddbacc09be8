"""Sound from a service: every form it may come in, what is refused, and its speed."""

from __future__ import annotations

import io
import struct
import wave
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import TransientError
from app.providers import _sound, _voice
from app.providers._voice import RATE, UNIT, Samples

TEXT = "A boat came home with nine lanterns on its mast."


def hum(seconds: float = 3.0, rate: int = RATE, pitch: float = 150.0) -> Samples:
    """Return a voice-like sound: harmonics of one pitch, louder and softer like syllables."""
    at = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * pitch * k * at) / k for k in range(1, 12))
    swell = 0.2 + 0.15 * np.sin(2 * np.pi * 3 * at)
    sound: Samples = (tone * swell).astype(np.float32)
    return sound


def wav(sound: Samples, *, rate: int = RATE, bits: int = 16, channels: int = 1) -> bytes:
    """Return a WAV file of integers, every channel alike."""
    flat = np.repeat(sound.astype(np.float64), channels)
    if bits == 8:
        raw = np.round(flat * 127 + 128).astype(np.uint8).tobytes()
    else:
        whole = np.round(flat * (2 ** (bits - 1) - 1)).astype("<i4")
        raw = whole.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(bits // 8)
        out.setframerate(rate)
        out.writeframes(raw)
    return file.getvalue()


def chunks(form: bytes, body: bytes, size: int | None = None) -> bytes:
    """Return a WAV file with another chunk before its samples, whose length may be a lie."""
    told = struct.pack("<I", len(body) if size is None else size)
    parts = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    parts += b"fmt " + struct.pack("<I", len(form)) + form + b"data" + told + body
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WAVE" + parts


def pcm(sound: Samples) -> bytes:
    return np.round(sound * 32767).astype("<i2").tobytes()


def near(heard: Samples, wanted: Samples, tolerance: float) -> None:
    assert len(heard) == len(wanted)
    inner = slice(500, -500)
    assert np.abs(heard - wanted)[inner].max() < tolerance


@pytest.mark.parametrize("bits", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_files_of_integers(bits: int, channels: int) -> None:
    sound = hum(0.5)
    near(
        _sound.decoded(wav(sound, bits=bits, channels=channels), ""),
        sound,
        2.0 ** (2 - bits) + 1e-6,
    )


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_other_rates(rate: int) -> None:
    near(_sound.decoded(wav(hum(0.5, rate), rate=rate), "audio/wav"), hum(0.5), 2e-3)


def test_wav_files_of_floats_and_of_the_longer_form() -> None:
    sound = hum(0.5)
    for bits in (32, 64):
        form = struct.pack("<HHIIHH", 3, 1, RATE, RATE * bits // 8, bits // 8, bits)
        near(
            _sound.decoded(chunks(form, sound.astype(f"<f{bits // 8}").tobytes()), ""), sound, 1e-5
        )
    longer = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, RATE * 2, 2, 16, 22, 16, 4)
    longer += struct.pack("<H", 1) + bytes.fromhex("000000001000800000aa00389b71")
    near(_sound.decoded(chunks(longer, pcm(sound)), ""), sound, 1e-4)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_streamed_wav_that_does_not_know_its_length(size: int) -> None:
    form = struct.pack("<HHIIHH", 1, 1, RATE, RATE * 2, 2, 16)
    near(_sound.decoded(chunks(form, pcm(hum(0.5)), size), ""), hum(0.5), 1e-4)


@pytest.mark.parametrize(
    ("mime", "rate"),
    [
        ("audio/L16;codec=pcm;rate=24000", 24_000),
        ("audio/l16; rate=16000; channels=1", 16_000),
        ("audio/pcm", 24_000),
        ('Audio/PCM ; Rate="48000"', 48_000),
    ],
)
def test_bare_samples(mime: str, rate: int) -> None:
    near(_sound.decoded(pcm(hum(0.5, rate)), mime), hum(0.5), 2e-3)


def test_bare_samples_of_two_channels_and_a_cut_one() -> None:
    both = pcm(np.repeat(hum(0.5), 2)) + b"\x01"
    near(_sound.decoded(both, "audio/L16;rate=24000;channels=2"), hum(0.5), 1e-4)


def test_an_offset_is_taken_off() -> None:
    near(_sound.decoded(pcm(hum(0.5) * 0.5 + 0.4), "audio/L16"), hum(0.5) * 0.5, 2e-3)


GARBAGE = {
    "nothing": (b"", "audio/L16;rate=24000"),
    "one byte": (b"\0", "audio/L16;rate=24000"),
    "no type": (pcm(hum()), ""),
    "mp3": (b"ID3\x04" + bytes(range(256)) * 400, "audio/mpeg"),
    "html": (b"<!DOCTYPE html><p>busy</p>" * 3000, "text/html"),
    "html called sound": (b"<!DOCTYPE html><p>busy</p>" * 3000, "audio/L16;rate=24000"),
    "packed bytes called sound": (np.random.default_rng(1).bytes(150_000), "audio/L16"),
    "samples the other way round": (
        np.round(hum() * 32767).astype(">i2").tobytes(),
        "audio/L16;rate=24000",
    ),
    "silence": (bytes(150_000), "audio/L16;rate=24000"),
    "one value": (b"\x10\x20" * 75_000, "audio/L16;rate=24000"),
    "a click": (bytes(74_000) + b"\xff\x7f" * 40 + bytes(74_000), "audio/L16;rate=24000"),
    "too short": (pcm(hum(0.2)), "audio/L16;rate=24000"),
    "too long": (pcm(hum(40)), "audio/L16;rate=24000"),
    "no rate": (pcm(hum()), "audio/L16;rate=0"),
    "a rate of mad height": (pcm(hum()), "audio/L16;rate=999999999"),
    "no channels": (pcm(hum()), "audio/L16;channels=0"),
    "wav, only its head": (wav(hum())[:44], "audio/wav"),
    "wav, cut in its head": (wav(hum())[:30], "audio/wav"),
    "wav without a format": (b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd", "audio/wav"),
    "wav of A-law": (
        chunks(struct.pack("<HHIIHH", 6, 1, RATE, RATE, 1, 8), bytes(90_000)),
        "audio/wav",
    ),
    "wav of no channels": (
        chunks(struct.pack("<HHIIHH", 1, 0, RATE, RATE, 0, 16), bytes(90_000)),
        "audio/wav",
    ),
    "wav of no numbers": (
        chunks(
            struct.pack("<HHIIHH", 3, 1, RATE, RATE * 4, 4, 32),
            np.full(70_000, np.nan, "<f4").tobytes(),
        ),
        "audio/wav",
    ),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_what_is_no_voice_is_worth_another_try(what: str) -> None:
    with pytest.raises(TransientError) as caught:
        _sound.check(_sound.decoded(*GARBAGE[what]), TEXT, "en")
    assert caught.value.code == "speech_unusable"


def test_more_than_a_sentence_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sound, "LARGEST", 1000)
    with pytest.raises(TransientError, match="no sentence"):
        _sound.decoded(pcm(hum()), "audio/L16")


@settings(max_examples=40, deadline=None)
@given(
    data=st.binary(max_size=300), mime=st.text(max_size=40), head=st.sampled_from([0, 12, 36, 44])
)
def test_any_bytes_are_sound_or_an_error_of_ours(data: bytes, mime: str, head: int) -> None:
    for kind in (mime, "audio/L16;rate=8000"):
        with suppress(TransientError):
            sound = _sound.decoded(wav(hum(0.01))[:head] + data, kind)
            assert sound.dtype == np.float32
            assert np.isfinite(sound).all()
            _sound.check(sound, TEXT, "en")


def test_a_voice_passes() -> None:
    sound = _sound.decoded(wav(hum()), "audio/wav")
    _sound.check(sound, TEXT, "en")


# --- its ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 7), (11_111, 30_001)])
def test_ends_are_as_those_of_other_voices(before: int, after: int) -> None:
    sound = hum(1.0)
    done = _voice.trimmed(np.pad(sound, (before, after)))
    assert len(done) % UNIT == 0
    onset, offset = _voice.edges(done)
    assert 0.03 * RATE <= onset <= 0.1 * RATE
    assert 0.08 * RATE <= len(done) - offset <= 0.15 * RATE
    assert abs(offset - onset - len(sound)) < 0.02 * RATE


# --- speed ------------------------------------------------------------------------------------


def pitch(sound: Samples, near_to: float) -> float:
    """Return the frequency with the most power around one."""
    inner = sound[2000:-2000]
    power = np.abs(np.fft.rfft(inner * np.hanning(len(inner)), 2**19))
    rates = np.arange(len(power)) * RATE / 2**19
    around = (rates > near_to * 0.7) & (rates < near_to * 1.4)
    return float(rates[around][power[around].argmax()])


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
@pytest.mark.parametrize("height", [90.0, 150.0, 240.0])
def test_speed_changes_the_length_and_neither_pitch_nor_level(speed: float, height: float) -> None:
    sound = hum(2.0, pitch=height)
    done = _sound.stretched(sound, speed)
    assert len(done) == pytest.approx(len(sound) / speed, rel=0.01)
    assert pitch(done, height) == pytest.approx(height, rel=0.01)
    assert np.sqrt((done**2).mean()) == pytest.approx(np.sqrt((sound**2).mean()), rel=0.1)
    assert np.isfinite(done).all()


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 3000), speed=st.floats(0.5, 2.0))
def test_any_length_takes_any_speed(length: int, speed: float) -> None:
    done = _sound.stretched(hum(0.2)[:length], speed)
    assert len(done) == round(length / speed)
