"""What FFmpeg and ffprobe say of a media file, read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_LAYOUTS = {"mono": 1, "stereo": 2, "2.1": 3, "quad": 4, "4.0": 4, "5.0": 5, "5.1": 6, "7.1": 8}
"""FFmpeg's names of channel layouts → channels (libavutil/channel_layout.c)."""


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


def from_json(text: str) -> MediaInfo | None:
    """Return what `ffprobe -of json` says of a file; None where it says nothing."""
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


def from_text(text: str) -> MediaInfo | None:
    """Return what `ffmpeg -i` prints about its input; None where it prints nothing of one."""
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
