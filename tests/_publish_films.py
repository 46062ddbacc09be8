"""What the projects of the publishing measurements are made of: sizes, pictures, captions, clocks."""

from __future__ import annotations

import functools
import io
from datetime import datetime
from pathlib import Path

from PIL import Image

from _youtube import video_bytes
from app import disk

SRT = "1\n00:00:00,000 --> 00:00:01,000\n{title}\n"
VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{title}\n"


def topic(size: int, *, sparse: bool = False) -> str:
    """Return the topic of a project whose video has that many bytes; sparse ones are all zeros."""
    return f"A {'sparse ' if sparse else ''}film of {size} bytes"


def write_film(path: Path, number: int, size: int, *, sparse: bool) -> None:
    """Write a project's video; a sparse one takes no room on the disk."""
    if not sparse:
        path.write_bytes(video_bytes(number, size))
        return
    with path.open("wb") as file:
        file.truncate(size)


@functools.cache
def picture(number: int) -> bytes:
    """Return a project's thumbnail, a real JPEG that no other project has."""
    file = io.BytesIO()
    colour = (number % 16 * 16, number // 16 % 16 * 16, number // 256 % 16 * 16)
    Image.new("RGB", (64, 36), colour).save(file, "JPEG", quality=95)
    return file.getvalue() + b"%d" % number  # what follows a JPEG's end is no part of the picture


def set_clock(path: Path, moment: datetime) -> None:
    """Let the ledger's clock stand still at a moment, for all processes that read that file."""
    disk.write_atomic(path, moment.isoformat().encode())
