"""The only starter of media processes: which FFmpeg, its progress, its failures, its end.

Every child leads its own process group, is killed with that group on any way out but success,
and is killed by the kernel when the thread that started it dies (`kill -9` included).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from app import settings
from app.errors import DiskError, MediaError, ReelchainError, TransientError
from app.logs import masked

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

Report = Callable[[float], None]
"""Called with the fraction done (0-1). It may raise, to stop the work."""

Argument = str | Path

NEEDED_ENCODERS = ("libx264", "aac")
NEEDED_FILTERS = (
    *("adelay", "afade", "alimiter", "amix", "anull", "aresample", "atrim", "ebur128"),
    *("loudnorm", "sidechaincompress", "silencedetect", "volume"),
)
"""What a foreign FFmpeg must offer before it is used instead of the one in the wheel."""

_BASE = ("-hide_banner", "-nostdin", "-nostats", "-y", "-progress", "pipe:1")
_PIPE_BYTES = 1 << 20  # the most an unprivileged process may ask for (fs.pipe-max-size)
_LOG_BYTES = 4 << 20
_CHECK_SECONDS = 30
_FULL = ("No space left on device", "Disk quota exceeded", "Read-only file system")

_LEASH = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""PR_SET_PDEATHSIG (1) with SIGKILL (9), then the program itself; for systems without setpriv."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """The FFmpeg in use.

    Attributes:
        path: The program.
        version: As it names itself.
        reason: Why this one, in a few words.
        ffprobe: The ffprobe beside it on the PATH, if any.
    """

    path: Path
    version: str
    reason: str
    ffprobe: Path | None


@dataclass(frozen=True)
class MediaInfo:
    """Facts of a media file; fields of a stream it does not have are None.

    Attributes:
        format: FFmpeg's name of the container.
        duration: Seconds; 0.0 where the file does not tell, as for a picture.
        fps: Average frames per second of the first video stream.
        sample_rate: Hertz, of the first audio stream.
    """

    format: str
    duration: float
    video_codec: str | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    pixel_format: str | None = None
    audio_codec: str | None = None
    sample_rate: int | None = None
    channels: int | None = None


def binary() -> Path:
    """Return the FFmpeg to use; see `describe`."""
    return describe().path


@cache
def describe() -> Program:
    """Choose the FFmpeg once per process: FFMPEG_BINARY, a fit one on the PATH, the wheel's.

    Raises:
        MediaError: `ffmpeg_unusable` for a named one that lacks something, `ffmpeg_missing`
            where there is none at all.
    """
    named = settings.get().ffmpeg_binary
    if named is not None:
        version, lacks = _check(named)
        if lacks:
            raise MediaError(
                "ffmpeg_unusable",
                f"The FFmpeg that FFMPEG_BINARY names can't be used: {lacks}.",
                "Name another one, or unset FFMPEG_BINARY to use the one that comes with us.",
            )
        return Program(named, version, "named by FFMPEG_BINARY", _ffprobe(named))
    found = shutil.which("ffmpeg")
    lacks = "none on the PATH"
    if found:
        version, lacks = _check(Path(found))
        if not lacks:
            return Program(Path(found), version, "found on the PATH", _ffprobe(Path(found)))
        lacks = f"the one on the PATH: {lacks}"
    return _from_wheel(lacks)


def _from_wheel(why: str) -> Program:
    # not by `get_ffmpeg_exe`: it tries the program itself, and remembers for good if that was killed
    folder = resources.files("imageio_ffmpeg") / "binaries"
    found = [Path(str(entry)) for entry in folder.iterdir() if entry.name.startswith("ffmpeg-")]
    path = found[0] if found else Path()
    version, lacks = _check(path)
    if lacks:
        raise MediaError(
            "ffmpeg_missing",
            f"There is no usable FFmpeg: {why}; the wheel's: {lacks}.",
            "Install ffmpeg with libx264, or reinstall the requirements.",
        )
    return Program(path, version, f"from the imageio-ffmpeg wheel ({why})", _ffprobe(path))


def _check(program: Path) -> tuple[str, str]:
    """Return the version, and what makes `program` unfit (empty when it is fit)."""
    try:
        version = _persistent([program, "-version"])
        encoders = _persistent([program, "-hide_banner", "-encoders"])
        filters = _persistent([program, "-hide_banner", "-filters"])
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"it does not run ({type(error).__name__})"
    except TransientError:
        return "", "a signal ends it each time"
    lacks = [name for name in NEEDED_ENCODERS if f" {name} " not in encoders]
    lacks += [name for name in NEEDED_FILTERS if f" {name} " not in filters]
    match = re.match(r"ffmpeg version (\S+)", version)
    if match is None:
        return "", "it is no FFmpeg"
    return match[1], f"it lacks {', '.join(lacks)}" if lacks else ""


def _ffprobe(program: Path) -> Path | None:
    beside = program.with_name("ffprobe")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("ffprobe")
    return Path(found) if found else None


@cache
def _setpriv() -> str | None:
    """Return the `setpriv` that knows --pdeathsig (util-linux's does, BusyBox's does not)."""
    path = shutil.which("setpriv")
    true = shutil.which("true")
    if sys.platform != "linux" or not path or not true:
        return None
    done = subprocess.run([path, "--pdeathsig", "KILL", true], check=False, capture_output=True)
    return path if done.returncode == 0 else None


def _leashed(argv: Sequence[str]) -> list[str]:
    """Return `argv` so started that it dies with the thread that starts it.

    A `preexec_fn` would do it without a helper program, but runs Python between fork and exec,
    which can deadlock once a heartbeat thread holds a lock. Off Linux there is no such signal.
    """
    if sys.platform != "linux":
        return list(argv)
    if setpriv := _setpriv():
        return [setpriv, "--pdeathsig", "KILL", *argv]
    return [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *argv]


class _Child(subprocess.Popen[bytes]):
    """A child in its own process group, killed even if its own start is interrupted."""

    def __init__(self, argv: Sequence[str], *, stdin: int) -> None:
        try:
            super().__init__(
                _leashed(argv),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            if getattr(self, "pid", None) is not None:
                self.kill_group()
            raise

    def kill_group(self) -> None:
        """Kill the child with everything it started, and reap it."""
        if self.returncode is None:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)
            self.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _persistent(argv: Sequence[Argument]) -> str:
    """Return what a program says; a signal that ends it once or twice says nothing of it."""
    for _ in range(2):
        with contextlib.suppress(TransientError):
            return _output(argv)
    return _output(argv)


def _output(argv: Sequence[Argument]) -> str:
    """Return what a short-lived program says on both channels.

    Raises:
        TransientError: `ffmpeg_killed`, where something else ended it.
    """
    child = _Child([str(part) for part in argv], stdin=subprocess.DEVNULL)
    try:
        out, err = child.communicate(timeout=_CHECK_SECONDS)
    except BaseException:
        child.kill_group()
        raise
    if child.returncode < 0:
        raise _killed(child.returncode)
    return (out + err).decode(errors="replace")


def _killed(returncode: int) -> TransientError:
    """Return the error of a program that a signal ended: it may well work the next time."""
    return TransientError(
        "ffmpeg_killed",
        f"FFmpeg was ended by signal {-returncode}.",
        "Look whether the machine is short of memory, then run the project again.",
    )


class Feeder:
    """A running FFmpeg: give it frames with `write`, then `finish`. Use through `feed`.

    Everything happens in the calling thread (a signal's exception reaches it there), and both of
    FFmpeg's channels are read whenever we wait, so neither side can block the other.
    """

    def __init__(
        self,
        args: Sequence[Argument],
        *,
        report: Report | None = None,
        duration: float | None = None,
        stall: float | None = None,
        feeding: bool = True,
    ) -> None:
        self._report = report
        self._duration = duration
        self._stall = settings.get().ffmpeg_stall_seconds if stall is None else stall
        self._finished = False
        self._log = bytearray()
        self._line = b""
        self._facts: dict[bytes, bytes] = {}
        self._moved_to: tuple[bytes | None, ...] = ()
        argv = [str(binary()), *_BASE, *(_text(part) for part in args)]
        _log.debug("starting %s", argv)
        self._selector = selectors.DefaultSelector()
        stdin = subprocess.PIPE if feeding else subprocess.DEVNULL
        self._child = _Child(argv, stdin=stdin)
        try:
            self._watch()
        except BaseException:
            self.kill()
            raise

    def _watch(self) -> None:
        child = self._child
        for pipe, take in ((child.stdout, self._take_progress), (child.stderr, self._take_log)):
            self._selector.register(_open(pipe), selectors.EVENT_READ, take)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            if hasattr(fcntl, "F_SETPIPE_SZ"):
                with contextlib.suppress(OSError):  # over the user's limit: slower, not wrong
                    fcntl.fcntl(child.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._alive = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.kill()

    @property
    def log(self) -> str:
        """What FFmpeg has said so far on its standard error (the last 4 MiB)."""
        return self._log[-_LOG_BYTES:].decode(errors="replace")

    def write(self, buffer: Buffer) -> None:
        """Send the bytes of `buffer` (contiguous) to FFmpeg's standard input.

        Raises:
            MediaError: `ffmpeg_stalled`, or `ffmpeg_failed` where FFmpeg ended too early.
            DiskError: `disk_full`.
        """
        stdin = _open(self._child.stdin)
        rest = memoryview(buffer).cast("B")
        self._alive = time.monotonic()  # the time the caller took is not FFmpeg's
        try:
            while rest:
                try:
                    rest = rest[os.write(stdin.fileno(), rest) :]
                    self._alive = time.monotonic()
                except BlockingIOError:
                    self._selector.register(stdin, selectors.EVENT_WRITE)
                    try:
                        self._wait()
                    finally:
                        self._selector.unregister(stdin)
            self._pump(0)
        except BrokenPipeError:
            self._drain()
            raise self._failure() from None
        except BaseException:
            self.kill()
            raise

    def finish(self) -> str:
        """Close the input, wait for FFmpeg's end and return its log.

        Raises:
            MediaError: `ffmpeg_stalled` or `ffmpeg_failed`, with the end of the log.
            DiskError: `disk_full`.
        """
        if not self._finished:
            try:
                self._drain()
                if self._child.returncode != 0:
                    raise self._failure()
                self._finished = True
                if self._report is not None:
                    self._report(1.0)
            finally:
                self.kill()
        return self.log

    def kill(self) -> None:
        """End FFmpeg and all it started, at once. Harmless when it has ended already."""
        self._selector.close()
        self._child.kill_group()

    def _drain(self) -> None:
        """Read both channels to their end, then reap the child."""
        try:
            if self._child.stdin is not None:
                self._child.stdin.close()
            self._alive = time.monotonic()
            while self._selector.get_map():
                self._wait()
            self._child.wait(timeout=self._stall)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._stalled() from None
        except BaseException:
            self.kill()
            raise

    def _wait(self) -> None:
        """Wait until something can be read or written, for as long as FFmpeg shows life."""
        left = self._alive + self._stall - time.monotonic()
        if left <= 0:
            raise self._stalled()
        self._pump(left)

    def _pump(self, timeout: float) -> None:
        for key, events in self._selector.select(timeout):
            if events & selectors.EVENT_READ:
                chunk = os.read(key.fd, 1 << 16)
                if chunk:
                    key.data(chunk)
                else:
                    self._selector.unregister(key.fileobj)

    def _take_log(self, chunk: bytes) -> None:
        self._log += chunk
        if len(self._log) > 2 * _LOG_BYTES:
            del self._log[:-_LOG_BYTES]

    def _take_progress(self, chunk: bytes) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            name, _, value = line.strip().partition(b"=")
            self._facts[name] = value
            if name == b"progress":
                self._progressed()

    def _progressed(self) -> None:
        """A block of progress is complete: it counts as life only if something moved."""
        moved_to = tuple(self._facts.get(n) for n in (b"frame", b"out_time_us", b"total_size"))
        if moved_to != self._moved_to:
            self._moved_to = moved_to
            self._alive = time.monotonic()
        if self._report is not None and self._duration:
            microseconds = self._facts.get(b"out_time_us", b"")
            if microseconds.lstrip(b"-").isdigit():
                done = int(microseconds) / 1e6 / self._duration
                self._report(min(max(done, 0.0), 1.0))

    def _failure(self) -> ReelchainError:
        if self._child.returncode < 0:
            return _killed(self._child.returncode)
        tail = _tail(self.log)
        for text in _FULL:
            if text in self.log:
                return DiskError(
                    "disk_full",
                    f"FFmpeg could not write its file: {text}.",
                    "Free some space, then run the project again.",
                )
        return MediaError(
            "ffmpeg_failed",
            f"FFmpeg ended with code {self._child.returncode}: {tail}",
            "See `reelchain doctor`; if the files named are whole, please report it.",
        )

    def _stalled(self) -> MediaError:
        return MediaError(
            "ffmpeg_stalled",
            f"FFmpeg made no progress for {self._stall:g} s and was ended: {_tail(self.log)}",
            "Run the project again; FFMPEG_STALL_SECONDS sets how long to wait.",
        )


def run(
    args: Sequence[Argument],
    *,
    report: Report | None = None,
    duration: float | None = None,
    stall: float | None = None,
) -> str:
    """Run FFmpeg with `args` to its end and return its log.

    Args:
        args: What follows the program's name; a Path is made absolute. Overwrites its target.
        report: Called about twice a second; may raise to end FFmpeg and the call.
        duration: Seconds of output expected; without it only the end is reported.
        stall: Seconds without progress before it is ended (FFMPEG_STALL_SECONDS).

    Raises:
        MediaError: `ffmpeg_failed` or `ffmpeg_stalled`, with the end of the log.
        DiskError: `disk_full`.
    """
    feeder = Feeder(args, report=report, duration=duration, stall=stall, feeding=False)
    with feeder:
        return feeder.finish()


@contextlib.contextmanager
def feed(
    args: Sequence[Argument],
    *,
    report: Report | None = None,
    duration: float | None = None,
    stall: float | None = None,
) -> Iterator[Feeder]:
    """Run FFmpeg with `args` (reading `pipe:0`) while the block writes its input.

    Leaving the block waits for FFmpeg's end; an exception in it kills FFmpeg. Arguments and
    errors are those of `run`.
    """
    with Feeder(args, report=report, duration=duration, stall=stall) as feeder:
        yield feeder


def probe(path: Path) -> MediaInfo:
    """Return the facts of a media file, without decoding it.

    Raises:
        MediaError: `media_unreadable` where FFmpeg finds no sound and no picture in it.
    """
    ffprobe = describe().ffprobe
    source = ("-protocol_whitelist", "file", "-i", path.absolute())
    try:
        if ffprobe is not None:
            shown = ("-v", "error", "-show_format", "-show_streams", "-of", "json")
            info = _from_json(_output([ffprobe, *shown, *source]))
        else:
            info = _from_text(_output([binary(), "-hide_banner", "-nostdin", *source]))
    except subprocess.TimeoutExpired:
        info = None
    # FFmpeg reads any text as "ansi" video.
    if info is None or info.video_codec == "ansi" or not (info.video_codec or info.audio_codec):
        raise MediaError(
            "media_unreadable",
            f"{path.name} is no sound, picture or video that FFmpeg can read.",
            "Check the file, or export it again in a common format.",
        )
    return info


def _from_json(text: str) -> MediaInfo | None:
    start = text.find("{")
    try:
        facts, _ = json.JSONDecoder().raw_decode(text, start) if start >= 0 else ({}, 0)
    except ValueError:
        return None
    if "format" not in facts:
        return None
    streams = facts.get("streams", [])
    video: dict[str, Any] = next((s for s in streams if s.get("codec_type") == "video"), {})
    audio: dict[str, Any] = next((s for s in streams if s.get("codec_type") == "audio"), {})
    return MediaInfo(
        format=facts["format"].get("format_name", ""),
        duration=float(facts["format"].get("duration", 0)),
        video_codec=video.get("codec_name"),
        width=video.get("width"),
        height=video.get("height"),
        fps=_rate(video.get("avg_frame_rate")),
        pixel_format=video.get("pix_fmt"),
        audio_codec=audio.get("codec_name"),
        sample_rate=int(audio["sample_rate"]) if "sample_rate" in audio else None,
        channels=audio.get("channels"),
    )


_LAYOUTS = {"mono": 1, "stereo": 2, "2.1": 3, "quad": 4, "4.0": 4, "5.0": 5, "5.1": 6, "7.1": 8}


def _from_text(text: str) -> MediaInfo | None:
    """Read what `ffmpeg -i` prints about its input."""
    head = re.search(r"^Input #0, (\S+?),? from ", text, re.MULTILINE)
    if head is None:
        return None
    long = re.search(r"Duration: (\d+):(\d+):([\d.]+)", text)
    video = re.search(r"Stream #0:\S+: Video: (\w+)(.*)", text)
    audio = re.search(
        r"Stream #0:\S+: Audio: (\w+).*?, (\d+) Hz, (?:(\d+) channels|([^,\s(]+))", text
    )
    size = re.search(r", (\d+)x(\d+)", video[2]) if video else None
    pixels = re.match(r"(?: \([^()]*\))*, (\w+)", video[2]) if video else None
    fps = re.search(r", ([\d.]+)(k?) fps", video[2]) if video else None
    return MediaInfo(
        format=head[1],
        duration=int(long[1]) * 3600 + int(long[2]) * 60 + float(long[3]) if long else 0.0,
        video_codec=video[1] if video else None,
        width=int(size[1]) if size else None,
        height=int(size[2]) if size else None,
        fps=float(fps[1]) * (1000 if fps[2] else 1) if fps else None,
        pixel_format=pixels[1] if pixels else None,
        audio_codec=audio[1] if audio else None,
        sample_rate=int(audio[2]) if audio else None,
        channels=(int(audio[3]) if audio[3] else _LAYOUTS.get(audio[4])) if audio else None,
    )


def _rate(text: str | None) -> float | None:
    over, _, under = (text or "").partition("/")
    return int(over) / int(under) if under and int(under) else None


def _text(argument: Argument) -> str:
    """Return `argument` as FFmpeg gets it; an absolute path can't be taken for an option."""
    return str(argument.absolute()) if isinstance(argument, Path) else argument


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("this FFmpeg takes no input")
    return pipe


def _tail(log: str) -> str:
    """Return the last lines of a log, without secrets, as one line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return masked(" | ".join(lines[-3:]))[-600:]
