"""The file of a film: its streams, their formats and times, what its header says."""

from __future__ import annotations

import re
from pathlib import Path

from app.media.checks import _boxes
from app.media.checks._boxes import Track
from app.media.checks.facts import AGAIN, Meant, Row, judged
from app.media.checks.picture import GROUP

_SHOWN = "yuv420p(tv, bt709"
"""What FFmpeg says of 4:2:0 in limited range, with all three of its colour tags BT.709."""


def rows(path: Path, meant: Meant, log: str) -> list[Row]:
    """Return the rows of a film's file.

    Args:
        path: The film.
        meant: What it was meant to be.
        log: What FFmpeg said as it decoded it.
    """
    found, fps = _boxes.read(path), meant.plan.fps
    video, sound = found.video, found.audio
    rows = [
        _size(log, meant.plan.size),
        _form(log),
        _sound(log),
        _whole(log),
        _fast(fast=found.fast),
    ]
    if video is not None:
        rows.append(_steady(video, fps))
    if video is not None and sound is not None:
        rows += _together(video, sound, fps)
    return rows


def _said(log: str, kind: str) -> str:
    """Return what FFmpeg says of the film's first stream of a kind."""
    stream = re.search(rf"Stream #0:\S+: {kind}: (.*)", log)
    return stream[1] if stream else ""


def _size(log: str, size: tuple[int, int]) -> Row:
    """Return whether the picture is shown as large as it was drawn: upright, with square pixels."""
    said = _said(log, "Video")
    sides = re.search(r", (\d+)x(\d+)(?: \[SAR (\d+):(\d+))?", said)
    shown = f"{sides[1]} × {sides[2]}" if sides else "unknown"
    square = sides is not None and sides[3] == sides[4]
    turned = re.search(r"rotation of (-?[\d.]+) degrees", log.partition("Output #0")[0])
    upright = turned is None or float(turned[1]) % 360 == 0
    shown += ("" if square else ", stretched") + ("" if upright else ", turned")
    return judged(
        GROUP,
        "size of a frame",
        shown,
        limit=f"{size[0]} × {size[1]}",
        good=shown == f"{size[0]} × {size[1]}",
        says=f"The picture is not shown as it was drawn. {AGAIN}",
    )


def _form(log: str) -> Row:
    """Return whether players everywhere take the picture's format and show its colours alike."""
    said = _said(log, "Video")
    pixels = re.search(r", (\w+)\(([^)]*)\)|, (yuv\w+|rgb\w+|gbr\w+)", said)
    form = (pixels[1] or pixels[3]) if pixels else "unknown"
    told = (pixels[2] or "") if pixels else ""
    colours = next((one for one in told.split(", ") if "bt" in one or "smpte" in one), "no colours")
    full = "full range" if told.startswith("pc") else ""
    return judged(
        GROUP,
        "format",
        ", ".join(one for one in (said.split(" ")[0].strip(","), form, colours, full) if one),
        limit="h264, yuv420p, bt709",
        # colour tags that are not all the same stand one behind the other, between strokes
        good=said.startswith("h264") and said.partition(_SHOWN)[2][:1] in (",", ")"),
        says=f"Some players will not show it, or in other colours. {AGAIN}",
    )


def _sound(log: str) -> Row:
    said = _said(log, "Audio")
    rate = re.search(r", (\d+) Hz, ([^,]+)", said)
    shown = [said.split(" ")[0].strip(","), f"{int(rate[1]) / 1000:g} kHz", rate[2]] if rate else []
    return judged(
        GROUP,
        "format of the sound",
        ", ".join(shown) or "unknown",
        limit="aac, 48 kHz, stereo",
        good=shown == ["aac", "48 kHz", "stereo"],
        says=f"Some players will not play it. {AGAIN}",
    )


def _whole(log: str) -> Row:
    """Return whether every frame and every sample could be decoded."""
    found = re.findall(
        r"^\[(?:h264|aac|mov)\S* .*|^Error .*|.*Invalid data found.*", log, re.MULTILINE
    )
    return judged(
        GROUP,
        "damaged places",
        len(found),
        limit="0",
        good=not found,
        says=f"The file was damaged after it was made. {AGAIN}",
    )


def _fast(*, fast: bool) -> Row:
    return judged(
        GROUP,
        "starts while it loads",
        "yes" if fast else "no",
        limit="yes",
        good=fast,
        says=f"Its index stands at the end of the file. {AGAIN}",
        otherwise="warn",
    )


def _steady(video: Track, fps: int) -> Row:
    tick = 1 / fps
    off = max((abs(step - tick) for step in video.steps), default=0.0)
    return judged(
        GROUP,
        "frame rate",
        "constant" if off < 1e-4 else f"off by {1000 * off:.1f} ms",
        limit=f"constant {fps}",
        good=off < 1e-4,
        says=f"Frames are not evenly apart, so motion stutters. {AGAIN}",
    )


def _together(video: Track, sound: Track, fps: int) -> list[Row]:
    rows = []
    ends = sound.start + sound.seconds - video.start - video.seconds
    for name, off in (("begin", sound.start - video.start), ("end", ends)):
        side = "later" if off > 0 else "earlier"
        rows.append(
            judged(
                GROUP,
                f"sound and picture {name} together",
                1000 * off,
                "ms",
                limit=f"± {1000 / fps:.0f} (a frame)",
                good=abs(off) <= 1 / fps,
                says=f"The sound {name}s {1000 * abs(off):.0f} ms {side} than the picture. {AGAIN}",
            )
        )
    return rows
