"""The runner of FFmpeg against a real FFmpeg, real processes and real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from _processes import alive
from _redis import until
from app import settings
from app.errors import DiskError, MediaError
from app.media import _child, _facts, ffmpeg

pytestmark = pytest.mark.ffmpeg

TONE = ("-f", "lavfi", "-i", "sine=r=48000:d=2")
SOUND_IN = ("-f", "s16le", "-i", "pipe:0", "-f", "null", "-")
ENDLESS = ("-re", "-f", "lavfi", "-i", "testsrc2=s=64x36:r=30", "-f", "null", "-")


def forget() -> None:
    for cached in (settings.get, ffmpeg.describe, _child.setpriv):
        cached.cache_clear()


@pytest.fixture
def fresh() -> Iterator[None]:
    """Forget which FFmpeg was chosen, before and after."""
    forget()
    yield
    forget()


def media_processes() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [child for child in found if alive(child.pid) and "valkey" not in child.name()]


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_without_another_the_one_from_the_wheel_is_used(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("FFMPEG_BINARY", raising=False)
    chosen = ffmpeg.describe()
    assert "imageio" in str(chosen.path)
    assert chosen.version
    assert "none on the PATH" in chosen.reason


def test_one_on_the_path_is_used_when_it_is_fit(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FFMPEG_BINARY", raising=False)
    wheels = ffmpeg.binary()
    ffmpeg.describe.cache_clear()
    program(tmp_path / "ffmpeg", f'exec {wheels} "$@"')
    program(tmp_path / "ffprobe", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    chosen = ffmpeg.describe()
    assert chosen.path == tmp_path / "ffmpeg"
    assert chosen.ffprobe == tmp_path / "ffprobe"


def test_one_on_the_path_that_lacks_something_is_passed_over(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FFMPEG_BINARY", raising=False)
    program(tmp_path / "ffmpeg", 'echo "ffmpeg version 4.0 Copyright"; echo " V..... libx264 "')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    chosen = ffmpeg.describe()
    assert "imageio" in str(chosen.path)
    assert "it lacks aac, adelay" in chosen.reason


@pytest.mark.parametrize("script", ["echo hello", "exit 3", "kill -9 $$"])
def test_a_named_one_that_is_unfit_is_refused(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    monkeypatch.setenv("FFMPEG_BINARY", str(program(tmp_path / "other", script)))
    with pytest.raises(MediaError) as caught:
        ffmpeg.describe()
    assert caught.value.code == "ffmpeg_unusable"


def test_a_named_one_that_is_not_there_is_refused(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FFMPEG_BINARY", str(tmp_path / "nothing"))
    with pytest.raises(MediaError) as caught:
        ffmpeg.describe()
    assert caught.value.code == "ffmpeg_unusable"


def test_run_reports_and_returns_the_log(tmp_path: Path) -> None:
    seen: list[float] = []
    log = ffmpeg.run(
        [*TONE, "-af", "volumedetect", "-c:a", "aac", tmp_path / "a.m4a"],
        report=seen.append,
        duration=2,
    )
    assert "mean_volume" in log
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert ffmpeg.probe(tmp_path / "a.m4a").duration == pytest.approx(2, abs=0.05)


def test_an_exception_in_report_ends_ffmpeg() -> None:
    def stop(_: float) -> None:
        raise InterruptedError

    start = time.monotonic()
    with pytest.raises(InterruptedError):
        ffmpeg.run(ENDLESS, report=stop, duration=60)
    assert time.monotonic() - start < 2
    assert not media_processes()


def test_an_exception_from_a_signal_ends_ffmpeg() -> None:
    def raised(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGUSR1, raised)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        with pytest.raises(TimeoutError):
            ffmpeg.run(ENDLESS)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert not media_processes()


def test_a_failure_shows_the_end_of_the_log_without_secrets() -> None:
    with pytest.raises(MediaError) as caught:
        ffmpeg.run(["-i", "/nowhere/password=hunter2", "-f", "null", "-"])
    assert caught.value.code == "ffmpeg_failed"
    assert "No such file" in caught.value.message
    assert "hunter2" not in caught.value.message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_told_apart() -> None:
    with pytest.raises(DiskError) as caught:
        ffmpeg.run([*TONE, "-f", "wav", "/dev/full"])
    assert caught.value.code == "disk_full"


def test_a_silent_ffmpeg_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    with pytest.raises(MediaError) as caught:
        ffmpeg.run(["-f", "s16le", "-i", tmp_path / "never", "-f", "null", "-"], stall=0.5)
    assert caught.value.code == "ffmpeg_stalled"
    assert not media_processes()


def test_an_ffmpeg_that_speaks_but_gets_nowhere_is_ended() -> None:
    """Progress lines come twice a second; only what moves in them counts."""

    def feed_a_stopped_one() -> None:
        with ffmpeg.feed(SOUND_IN, stall=1.2) as feeder:
            feeder.write(bytes(4096))
            media_processes()[0].suspend()
            feeder.write(bytes(8 << 20))

    with pytest.raises(MediaError) as caught:
        feed_a_stopped_one()
    assert caught.value.code == "ffmpeg_stalled"
    assert not media_processes()


def test_the_time_a_caller_takes_is_no_stall(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    with ffmpeg.feed(["-f", "s16le", "-i", "pipe:0", target], stall=0.4) as feeder:
        feeder.write(bytes(4096))
        time.sleep(0.8)
        feeder.write(bytes(4096))
    assert target.stat().st_size > 8192


def test_much_log_and_much_input_do_not_block_each_other() -> None:
    noisy = ["-loglevel", "trace", "-f", "s16le", "-i", "pipe:0", "-af", "ashowinfo"]
    with ffmpeg.feed([*noisy, "-f", "null", "-"], stall=10) as feeder:
        for _ in range(64):
            feeder.write(bytes(256 << 10))
    assert len(feeder.log) > 128 << 10  # twice what a pipe holds
    assert len(feeder.log) <= 4 << 20


def test_an_end_while_it_is_fed_is_a_failure_with_its_reason() -> None:
    def feed_for_ever() -> None:
        with ffmpeg.feed(["-f", "nonsense", "-i", "-"]) as feeder:
            while True:
                feeder.write(bytes(1 << 20))

    with pytest.raises(MediaError) as caught:
        feed_for_ever()
    assert caught.value.code == "ffmpeg_failed"
    assert "nonsense" in caught.value.message


def test_an_exception_while_it_is_fed_ends_it() -> None:
    def fail() -> None:
        with ffmpeg.feed(SOUND_IN) as feeder:
            feeder.write(bytes(4096))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not media_processes()


PARENT = """
import sys
from app.media import _child, ffmpeg
if "python" in sys.argv:
    _child.setpriv = lambda: None
ffmpeg.run({args!r}, report=lambda done: print("alive", flush=True), duration=60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a parent-death signal is Linux's")
@pytest.mark.parametrize("leash", ["setpriv", "python"])
def test_kill_9_of_the_parent_ends_ffmpeg(leash: str) -> None:
    if leash == "setpriv" and _child.setpriv() is None:
        pytest.skip("util-linux's setpriv is not here")
    code = PARENT.format(args=list(ENDLESS))
    with subprocess.Popen(
        [sys.executable, "-c", code, leash],
        stdout=subprocess.PIPE,
        env=settings.child_environment(PYTHONPATH=str(settings.ROOT / "backend")),
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"alive\n"
        (child,) = psutil.Process(parent.pid).children(recursive=True)
        assert "ffmpeg" in child.name()
        parent.kill()
        until(lambda: not alive(child.pid))


def test_an_interrupted_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(child: subprocess.Popen[bytes], *rest: object) -> None:
        started(child, *rest)
        raise KeyboardInterrupt

    started = subprocess.Popen._execute_child  # type: ignore[attr-defined]
    monkeypatch.setattr(subprocess.Popen, "_execute_child", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ffmpeg.run(ENDLESS)
    monkeypatch.undo()
    assert not media_processes()


def test_probe_of_a_video(tmp_path: Path) -> None:
    path = tmp_path / "a b.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=128x72:r=30:d=2")
    ffmpeg.run([*picture, *TONE, "-ac", "2", "-c:v", "libx264", "-pix_fmt", "yuv420p", path])
    info = ffmpeg.probe(path)
    assert (info.video_codec, info.width, info.height, info.fps) == ("h264", 128, 72, 30.0)
    assert (info.audio_codec, info.sample_rate, info.channels) == ("aac", 48000, 2)
    assert info.pixel_format == "yuv420p"
    assert info.duration == pytest.approx(2, abs=0.05)


def test_probe_of_a_sound_and_of_a_picture(tmp_path: Path) -> None:
    ffmpeg.run([*TONE, tmp_path / "a.wav"])
    sound = ffmpeg.probe(tmp_path / "a.wav")
    assert (sound.format, sound.channels, sound.duration) == ("wav", 1, 2.0)
    assert sound.video_codec is None
    ffmpeg.run(["-f", "lavfi", "-i", "color=s=48x32", "-frames:v", "1", tmp_path / "a.png"])
    picture = ffmpeg.probe(tmp_path / "a.png")
    assert (picture.video_codec, picture.width, picture.height) == ("png", 48, 32)


@pytest.mark.parametrize("content", [b"", b"once upon a time\n" * 50, bytes(5000), None])
def test_probe_of_what_is_no_media(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "story.mp3"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        ffmpeg.probe(path)
    assert caught.value.code == "media_unreadable"
    assert "story.mp3" in caught.value.message


def test_probe_opens_nothing_but_the_file(tmp_path: Path) -> None:
    playlist = tmp_path / "music.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError):
        ffmpeg.probe(playlist)


def test_what_ffprobe_says_is_understood(tmp_path: Path) -> None:
    said = (
        'a warning\n{"streams": [{"codec_type": "video", "codec_name": "h264", "width": 1920,'
        ' "height": 1080, "pix_fmt": "yuv420p", "avg_frame_rate": "30000/1001"},'
        ' {"codec_type": "audio", "codec_name": "aac", "sample_rate": "48000", "channels": 2}],'
        ' "format": {"format_name": "mov,mp4", "duration": "12.500000"}}'
    )
    info = _facts.from_json(said)
    assert info is not None
    assert info.fps == pytest.approx(29.97, abs=0.001)
    assert (info.duration, info.channels, info.sample_rate) == (12.5, 2, 48000)
    assert _facts.from_json("{}") is None
    assert _facts.from_json("moov atom not found") is None
