"""Pictures into H.264 segments, segments and sound into the finished MP4.

Every segment is encoded alike, starts with a key frame and refers to nothing outside itself, so
that segments are joined by copying, frame for frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ffmpeg as graph

from app import settings
from app.errors import InputError, MediaError
from app.media import ffmpeg, timeline
from app.media.compositor import Compositor
from app.media.ffmpeg import Report
from app.media.styles import Style
from app.models import FPS, Language

VERSION = "3"
"""Of how segments look; raise it when the same segment would come out otherwise."""

KEY_FRAME_SECONDS = 2
_TICKS = 512  # of the track's clock, a frame
_SOURCE = ("color_primaries=bt709", "color_trc=bt709", "colorspace=bt709", "range=tv")


def recipe() -> dict[str, Any]:
    """Return what all segments of a video share, as JSON values; part of their inputs."""
    chosen = settings.get()
    return {
        "version": VERSION,
        "ffmpeg": ffmpeg.describe().version,
        "preset": chosen.x264_preset,
        "crf": chosen.x264_crf,
    }


def encoder(fps: int) -> list[str]:
    """Return FFmpeg's arguments for our H.264: High, 4:2:0, BT.709, closed groups of pictures."""
    chosen = settings.get()
    return [
        *("-vf", f"setparams={':'.join(_SOURCE)},format=yuv420p"),
        *("-c:v", "libx264", "-preset", chosen.x264_preset, "-crf", str(chosen.x264_crf)),
        *("-profile:v", "high", "-pix_fmt", "yuv420p"),
        *("-g", str(KEY_FRAME_SECONDS * fps), "-flags", "+cgop"),
        *("-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"),
        *("-color_range", "tv", "-chroma_sample_location", "left"),
        *("-fps_mode", "passthrough", "-video_track_timescale", str(_TICKS * fps)),
    ]


def raw_input(size: tuple[int, int], fps: int) -> list[str]:
    """Return FFmpeg's arguments for the compositor's frames on its standard input."""
    width, height = size
    shape = ("-pixel_format", "yuv420p", "-video_size", f"{width}x{height}")
    return ["-f", "rawvideo", *shape, "-framerate", str(fps), "-i", "pipe:0"]


def segment(
    segment: timeline.Segment,
    target: Path,
    *,
    size: tuple[int, int],
    style: Style,
    language: Language,
    captions: bool,
    report: Report | None = None,
) -> None:
    """Draw and encode one segment into an MP4 file at `target`.

    Raises:
        MediaError: `canvas_unusable`, `ffmpeg_failed`, `ffmpeg_stalled`.
        DiskError: `disk_full`.
    """
    compositor = Compositor(segment, size=size, style=style, language=language, captions=captions)
    args: list[str | Path] = [
        *raw_input(size, segment.fps),
        *encoder(segment.fps),
        *("-fflags", "+bitexact", "-f", "mp4", target),
    ]
    with ffmpeg.feed(args, report=report, duration=segment.frames / segment.fps) as feeder:
        for frame in compositor.frames():
            feeder.write(frame)


def join(
    segments: Sequence[Path],
    sound: Path,
    target: Path,
    *,
    frames: Sequence[int],
    fps: int = FPS,
    report: Report | None = None,
) -> None:
    """Put segments one behind the other, and the sound beside them, into an MP4 that starts fast.

    Nothing is encoded again; a frame's time is its number divided by `fps`.

    Args:
        segments: Files made by `segment`, in order.
        sound: AAC in an .m4a.
        target: The MP4.
        frames: How many frames each segment has.
        fps: Frames per second of the segments.
        report: Called with the fraction done.

    Raises:
        MediaError: `ffmpeg_failed`, `ffmpeg_stalled`.
        DiskError: `disk_full`.
    """
    listed = graph.input("pipe:0", format="concat", safe=0, protocol_whitelist="file,pipe,fd")
    heard = graph.input(str(sound.absolute()))
    output = graph.output(
        listed.video,
        heard.audio,
        str(target.absolute()),
        format="mp4",
        codec="copy",
        movflags="+faststart",
        map_metadata=-1,
        fflags="+bitexact",
        video_track_timescale=_TICKS * fps,
    )
    args: list[str] = graph.get_args(output)
    with ffmpeg.feed(args, report=report, duration=sum(frames) / fps) as feeder:
        feeder.write(_listed(segments, frames, fps).encode())


def _listed(segments: Sequence[Path], frames: Sequence[int], fps: int) -> str:
    """Return the concat demuxer's script.

    Its clock counts microseconds, which a frame is no whole number of; the durations are such
    that their sums, not they, are rounded, so that no error adds up.
    """
    lines = ["ffconcat version 1.0"]
    at = 0
    for path, count in zip(segments, frames, strict=True):
        name = str(path.absolute())
        if "\n" in name or "\r" in name:
            raise InputError(
                "path_unusable",
                "A line break in the name of a folder can't be handled.",
                "Set DATA_DIR to a folder with a plain name.",
            )
        quoted = name.replace("'", "'\\''")
        start, end = (round(n * 1_000_000 / fps) for n in (at, at + count))
        lines += [f"file 'file:{quoted}'", f"duration {end - start}us"]
        at += count
    if not segments:
        raise MediaError(
            "nothing_to_join", "There is no segment to join.", "Run the project again."
        )
    return "\n".join(lines) + "\n"
