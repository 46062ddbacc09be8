"""A film decoded once, its frames and its samples shown to whoever wants to see or hear them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from app.media import ffmpeg
from app.media.compositor import Frame
from app.media.ffmpeg import Report

RATE = 48_000
"""Of the sound as it is heard: stereo, 16 bit."""
ACROSS = 320
"""Pixels across of a frame that is only glanced at."""

_PIPE_BYTES = 1 << 20
_BLOCK = RATE * 4
_METER = "ebur128=peak=true:framelog=verbose"

Sound = NDArray[np.int16]


class Glancer(Protocol):
    """Somebody who looks at every frame, but small."""

    def glance(self, number: int, frame: Frame) -> None:
        """Look at frame `number`, reduced to `reduced`; its buffer is used again for the next."""
        ...


class Watcher(Protocol):
    """Somebody who looks at some frames closely."""

    @property
    def frames(self) -> Collection[int]:
        """Numbers of the frames to be shown."""
        ...

    def see(self, number: int, frame: Frame) -> None:
        """Look at frame `number`; its buffer is used again for the next."""
        ...


class Listener(Protocol):
    """Somebody who listens."""

    def hear(self, block: Sound) -> None:
        """Hear the next second (the last one is shorter): shape (samples, 2)."""
        ...


def reduced(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size in which frames of `size` are glanced at."""
    return ACROSS, 2 * max(1, round(size[1] * ACROSS / size[0] / 2))


class _Stream(NamedTuple):
    """What FFmpeg is to write, and who reads it."""

    name: str
    args: tuple[str, ...]
    read: Callable[[int], None]


def play(
    path: Path,
    size: tuple[int, int],
    *,
    glancers: Sequence[Glancer] = (),
    watchers: Sequence[Watcher] = (),
    listeners: Sequence[Listener] = (),
    report: Report | None = None,
    duration: float | None = None,
) -> str:
    """Decode `path` and show it to all; return FFmpeg's log, with the loudness of what was heard.

    FFmpeg writes into named pipes, each read by a thread of its own, so that no stream waits for
    another and nothing lands on the disk. It reduces frames itself and writes only those whole ones
    that somebody wants: most of the time would go into moving pixels.

    Args:
        path: The film.
        size: Of its frames.
        glancers: Who sees all frames, small.
        watchers: Who sees some frames, as they are encoded: 4:2:0, limited range.
        listeners: Who hears its sound from the film's start on; a late start is silence.
        report: Called with the fraction done.
        duration: Seconds of the film.

    Raises:
        MediaError: It can't be decoded.
    """
    cv2.setNumThreads(1)  # the decoder has the cores; a pool here would only fight it
    streams = list(_streams(size, glancers, watchers, listeners))
    if not streams:
        return ""
    with tempfile.TemporaryDirectory(prefix="reelchain-check-") as folder:
        args: list[str | Path] = ["-protocol_whitelist", "file", "-noautorotate", "-i", path]
        for one in streams:
            args += [*one.args, Path(folder, one.name)]
        with _reading([_Reader(Path(folder, one.name), one.read) for one in streams]):
            return ffmpeg.run(args, report=report, duration=duration)


def _streams(
    size: tuple[int, int],
    glancers: Sequence[Glancer],
    watchers: Sequence[Watcher],
    listeners: Sequence[Listener],
) -> Iterator[_Stream]:
    video = ("-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p")
    if glancers:
        small = reduced(size)
        scaled = f"scale={small[0]}:{small[1]}:flags=area"
        yield _Stream("small", (*video, "-vf", scaled), lambda file: _glance(file, small, glancers))
    if wanted := sorted({number for one in watchers for number in one.frames}):
        sides = ("-s", f"{size[0]}x{size[1]}")  # of a film of another size, too
        chosen = (*sides, "-vf", f"select='{_chosen(wanted)}'")
        yield _Stream("whole", (*video, *chosen), lambda file: _watch(file, size, wanted, watchers))
    if listeners:
        # what starts late is heard late
        metered = ("-map", "0:a:0", "-af", f"{_METER},aresample=async=1:first_pts=0")
        heard = ("-ac", "2", "-ar", str(RATE), "-f", "s16le")
        yield _Stream("sound", (*metered, *heard), lambda file: _listen(file, listeners))


def _chosen(wanted: Sequence[int]) -> str:
    """Return frames' numbers, in order, as an expression of FFmpeg that is true for them."""
    runs: list[tuple[int, int]] = []
    for number in wanted:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return _within(runs)


def _within(runs: Sequence[tuple[int, int]]) -> str:
    """Return an expression that halves the runs: FFmpeg takes none that is nested over 100 deep."""
    if len(runs) == 1:
        first, last = runs[0]
        return f"between(n,{first},{last})"
    half = len(runs) // 2
    return f"if(lt(n,{runs[half][0]}),{_within(runs[:half])},{_within(runs[half:])})"


class _Reader:
    """A named pipe and the thread that reads it."""

    def __init__(self, pipe: Path, read: Callable[[int], None]) -> None:
        os.mkfifo(pipe, 0o600)
        self._pipe = pipe
        self._read = read
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            file = os.open(self._pipe, os.O_RDONLY)
            try:
                if hasattr(fcntl, "F_SETPIPE_SZ"):
                    with contextlib.suppress(OSError):  # over the user's limit: slower, not wrong
                        fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
                self._read(file)
            finally:
                os.close(file)
        except BaseException as error:  # noqa: BLE001 - raised anew in the thread that waits
            self.failure = error

    def end(self) -> None:
        """Wait for the thread; where nobody ever wrote, let it go."""
        while self._thread.is_alive():
            with contextlib.suppress(OSError):  # nobody reads any more, or nobody does yet
                os.close(os.open(self._pipe, os.O_WRONLY | os.O_NONBLOCK))
            self._thread.join(0.05)


@contextlib.contextmanager
def _reading(readers: Sequence[_Reader]) -> Iterator[None]:
    """Read while the block runs; a reader's own failure goes before FFmpeg's broken pipe."""
    try:
        yield
    finally:
        for reader in readers:
            reader.end()
        for reader in readers:
            if reader.failure is not None:
                raise reader.failure


def _glance(file: int, size: tuple[int, int], glancers: Sequence[Glancer]) -> None:
    frame, number = Frame(size), 0
    while _fill(file, frame.buffer.data) == frame.buffer.nbytes:
        for glancer in glancers:
            glancer.glance(number, frame)
        number += 1


def _watch(
    file: int, size: tuple[int, int], wanted: Sequence[int], watchers: Sequence[Watcher]
) -> None:
    frame = Frame(size)
    for number in wanted:
        if _fill(file, frame.buffer.data) < frame.buffer.nbytes:
            return
        for watcher in watchers:
            if number in watcher.frames:
                watcher.see(number, frame)


def _listen(file: int, listeners: Sequence[Listener]) -> None:
    block = bytearray(_BLOCK)
    while taken := _fill(file, memoryview(block)):
        samples = np.frombuffer(bytes(block[: taken // 4 * 4]), np.int16).reshape(-1, 2)
        for listener in listeners:
            listener.hear(samples)


def _fill(file: int, buffer: memoryview) -> int:
    """Read until `buffer` is full or the pipe ends; return how many bytes came."""
    taken = 0
    while taken < len(buffer):
        count = os.readv(file, [buffer[taken:]])
        if not count:
            break
        taken += count
    return taken
