"""The only starter of media processes: which FFmpeg, its progress, its failures, its end.

Every child leads its own process group, is killed with that group on any way out but success,
and is killed by the kernel when the thread that started it dies (`kill -9` included; `_child`).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from app import settings
from app.errors import DiskError, MediaError, ReelchainError, TransientError
from app.logs import masked
from app.media._child import Child
from app.media._facts import MediaInfo, from_json, from_text

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
    child = Child([str(part) for part in argv], stdin=subprocess.DEVNULL)
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
        self._child = Child(argv, stdin=stdin)
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
            info = from_json(_output([ffprobe, *shown, *source]))
        else:
            info = from_text(_output([binary(), "-hide_banner", "-nostdin", *source]))
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
