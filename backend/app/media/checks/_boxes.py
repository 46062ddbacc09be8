"""What an MP4 file says of its own time, read from its boxes (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from app.errors import MediaError

_INSIDE = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts")


@dataclass(frozen=True)
class Track:
    """One stream.

    Attributes:
        start: Seconds into the film at which it begins.
        seconds: How long it lasts.
        samples: Frames, of a picture.
        steps: The different distances between two samples, in seconds.
    """

    start: float
    seconds: float
    samples: int
    steps: tuple[float, ...]


@dataclass(frozen=True)
class Boxes:
    """A file: whether it can be played before it is there as a whole, and its streams by kind."""

    fast: bool
    video: Track | None
    audio: Track | None


def read(path: Path) -> Boxes:
    """Return the facts of an MP4 file.

    Raises:
        MediaError: `film_unreadable`.
    """
    try:
        with path.open("rb") as file:
            places = {kind: (at, length) for kind, at, length in reversed(list(_top(file)))}
            at, length = places[b"moov"]
            file.seek(at)
            moov = file.read(length)
        clock = _clock(_first(moov, b"mvhd"))[0]
        tracks = dict(_track(trak, clock) for trak in _all(moov, b"trak"))
        return Boxes(at < places.get(b"mdat", (0, 0))[0], tracks.get(b"vide"), tracks.get(b"soun"))
    except (KeyError, struct.error, IndexError, ZeroDivisionError):
        raise MediaError(
            "film_unreadable",
            f"{path.name} is no whole MP4 file.",
            "Run the project again from video_rendering.",
        ) from None


def _top(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, place and length of what the boxes of the file hold."""
    end, at = file.seek(0, 2), 0
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        size, kind = struct.unpack(">I4s", head[:8])
        skip = 8
        if size == 1:
            size, skip = struct.unpack(">Q", head[8:16])[0], 16
        size = size or end - at
        if size < skip:
            return
        yield kind, at + skip, size - skip
        at += size


def _children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield kind, data[at + 8 : at + size]
        at += size


def _all(data: bytes, wanted: bytes) -> list[bytes]:
    """Return every box of a kind, at any depth."""
    found = []
    for kind, content in _children(data):
        if kind == wanted:
            found.append(content)
        elif kind in _INSIDE:
            found += _all(content, wanted)
    return found


def _first(data: bytes, wanted: bytes) -> bytes:
    return _all(data, wanted)[0]


def _clock(box: bytes) -> tuple[int, int]:
    """Return ticks a second and the duration in them, of an `mvhd` or `mdhd`."""
    if box[0] == 1:
        return struct.unpack_from(">IQ", box, 20)
    return struct.unpack_from(">II", box, 12)


def _track(trak: bytes, movie_clock: int) -> tuple[bytes, Track]:
    kind = _first(trak, b"hdlr")[8:12]
    clock, length = _clock(_first(trak, b"mdhd"))
    counts = list(struct.iter_unpack(">II", _first(trak, b"stts")[8:]))
    offsets = _all(trak, b"ctts")
    shown = struct.unpack_from(">i", offsets[0], 12)[0] if offsets else 0
    edits = _all(trak, b"elst")
    start, seconds = 0.0, length / clock
    for lasts, media in _edits(edits[0]) if edits else ():
        if media < 0:
            start += lasts / movie_clock
        else:
            start += max(0, shown - media) / clock
            seconds = lasts / movie_clock
            break
    samples = sum(count for count, _ in counts)
    # the last sample's own length says nothing of the distance between two
    steps = {delta / clock for count, delta in counts[:-1]}
    steps |= {counts[-1][1] / clock} if counts and counts[-1][0] > 1 else set()
    return kind, Track(start, seconds, samples, tuple(sorted(steps)))


def _edits(box: bytes) -> Iterator[tuple[int, int]]:
    """Yield duration (the film's clock) and media time (the track's) of each edit."""
    form = ">Qqi" if box[0] == 1 else ">Iii"
    for lasts, media, _rate in struct.iter_unpack(form, box[8:]):
        yield lasts, media
