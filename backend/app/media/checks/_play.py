"""A film decoded once, every frame and every sample shown to whoever wants to see or hear them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.media import ffmpeg
from app.media.compositor import Frame
from app.media.ffmpeg import Report

RATE = 48_000
"""Of the sound as it is heard: stereo, 16 bit."""
_PIPE_BYTES = 1 << 20
_BLOCK = RATE * 4

Sound = NDArray[np.int16]


class Watcher(Protocol):
    """Somebody who looks at frames."""

    def see(self, number: int, frame: Frame) -> None:
        """Look at frame `number`; its buffer is used again for the next."""
        ...


class Listener(Protocol):
    """Somebody who listens."""

    def hear(self, block: Sound) -> None:
        """Hear the next second (the last one is shorter): shape (samples, 2)."""
        ...


def play(
    path: Path,
    size: tuple[int, int],
    *,
    watchers: Sequence[Watcher],
    listeners: Sequence[Listener],
    report: Report | None = None,
    duration: float | None = None,
) -> str:
    """Decode `path` and show it to all; return FFmpeg's log.

    FFmpeg writes into two named pipes, each read by a thread of its own, so that neither stream
    waits for the other and nothing lands on the disk.

    Args:
        path: The film.
        size: Of its frames.
        watchers: Who sees its frames, as they are encoded: 4:2:0, limited range.
        listeners: Who hears its sound from the film's start on; a late start is silence.
        report: Called with the fraction done.
        duration: Seconds of the film.

    Raises:
        MediaError: It can't be decoded.
    """
    with tempfile.TemporaryDirectory(prefix="reelchain-check-") as folder:
        picture, sound = Path(folder, "picture"), Path(folder, "sound")
        args: list[str | Path] = ["-protocol_whitelist", "file", "-noautorotate", "-i", path]
        readers: list[_Reader] = []
        if watchers:
            sides = ("-s", f"{size[0]}x{size[1]}")  # of a film of another size, too
            shown = (*sides, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p")
            args += ["-map", "0:v:0", *shown, picture]
            readers.append(_Reader(picture, lambda file: _watch(file, size, watchers)))
        if listeners:
            heard = ("-ac", "2", "-ar", str(RATE), "-f", "s16le")
            # what starts late is heard late
            args += ["-map", "0:a:0", "-af", "aresample=async=1:first_pts=0", *heard, sound]
            readers.append(_Reader(sound, lambda file: _listen(file, listeners)))
        with _reading(readers):
            return ffmpeg.run(args, report=report, duration=duration)


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


def _watch(file: int, size: tuple[int, int], watchers: Sequence[Watcher]) -> None:
    frame, number = Frame(size), 0
    while _fill(file, frame.buffer.data) == frame.buffer.nbytes:
        for watcher in watchers:
            watcher.see(number, frame)
        number += 1


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
