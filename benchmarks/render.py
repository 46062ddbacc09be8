"""How much longer rendering takes than x264 alone: the same frames, the same settings, one run.

    PYTHONPATH=backend python benchmarks/render.py [--seconds 20] [--runs 3] [--json]

The renderer draws, encodes and joins every segment; the bare encoder reads the very frames the
renderer drew from a raw file. They take turns, and the medians are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from app import language
from app.errors import DiskError
from app.media import encode, ffmpeg, pictures, styles, timeline
from app.media.compositor import Compositor
from app.models import FPS, FRAME_SIZES, Speech, Word

TEXT = (
    "Every morning the light comes over the ridge and finds the valley still asleep.",
    "A thin mist lies on the river, and nobody hurries.",
    "By noon the bees have been to ten thousand flowers, and the air smells of thyme.",
)
SCENE_SECONDS = 10.0


def landscape(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw a picture with what photographs have: gradients, edges, texture and a little noise."""
    width, height = size
    random = np.random.default_rng(seed)
    sky = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    high, low = random.uniform(90, 160, 3), random.uniform(180, 250, 3)
    image = np.broadcast_to(high * (1 - sky) + low * sky, (height, width, 3)).astype(np.float32)
    across = np.arange(width)
    for layer in range(5):
        crest = np.full(width, height * (0.35 + 0.13 * layer))
        for k in range(1, 12):
            crest += height * 0.05 / k * np.sin(across * k * 4 / width + random.uniform(0, 6))
        below = (np.arange(height)[:, None] > crest[None])[..., None]
        grain = random.standard_normal((height // 3, width // 3, 1)).astype(np.float32)
        texture = cv2.resize(cv2.GaussianBlur(grain, (0, 0), 1.5), (width, height))[..., None]
        image = np.where(below, random.uniform(30, 150, 3) + 40 * texture, image)
    image += random.normal(0, 1.5, image.shape)
    return np.asarray(image.clip(0, 255), np.uint8)


def sentence(text: str, seconds: float) -> timeline.Take:
    """Return a silent take of `text` whose words share the time."""
    spans = language.phrases(text, "en")
    share = seconds / len(spans)
    words = tuple(
        Word(text=text[a:b].strip(), start=i * share, end=(i + 1) * share, span=(a, b))
        for i, (a, b) in enumerate(spans)
    )
    samples = round(seconds * 24_000)
    speech = Speech(
        text=text, voice="", provider="", sample_rate=24_000, samples=samples, words=words
    )
    return timeline.Take(text, Path(), speech)


def plan(folder: Path, seconds: float, size: tuple[int, int]) -> timeline.Timeline:
    """Lay out scenes of about ten seconds, `seconds` in all."""
    count = max(1, round(seconds / SCENE_SECONDS))
    each = seconds / count
    scenes = []
    for number in range(count):
        path = folder / f"{number}.jpg"
        picture = landscape(number, pictures.canvas(size))
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        spoken = (each - 1.6) / len(TEXT)
        takes = tuple(sentence(text, spoken) for text in TEXT)
        scenes.append(timeline.SceneTake(f"s{number}", path, digest, "picture", takes))
    style = styles.load(styles.DEFAULT)
    return timeline.plan(scenes, fps=FPS, size=size, style=style, language="en")


class Bench:
    """The two things to compare, and the files they work on."""

    def __init__(self, folder: Path, seconds: float, size: tuple[int, int]) -> None:
        self.folder = folder
        self.size = size
        self.style = styles.load(styles.DEFAULT)
        self.timeline = plan(folder, seconds, size)
        self.sound = folder / "sound.m4a"
        silence = (
            "-f",
            "lavfi",
            "-t",
            f"{self.timeline.seconds}",
            "-i",
            "anullsrc=r=48000:cl=stereo",
        )
        ffmpeg.run([*silence, "-c:a", "aac", "-f", "mp4", self.sound])
        self.raw = folder / "frames.yuv"
        self._dump()

    def _dump(self) -> None:
        width, height = self.size
        needed = self.timeline.frames * width * height * 3 // 2
        if shutil.disk_usage(self.folder).free < 1.2 * needed:
            raise DiskError(
                "disk_full",
                f"The raw frames need {needed / 1e9:.1f} GB in the temporary folder.",
                "Free some space, set TMPDIR to a larger disk, or ask for fewer --seconds.",
            )
        with self.raw.open("wb") as file:
            for segment in self.timeline.segments:
                for frame in self._compositor(segment).frames():
                    file.write(frame)

    def _compositor(self, segment: timeline.Segment) -> Compositor:
        return Compositor(segment, size=self.size, style=self.style, language="en", captions=True)

    def compose(self) -> None:
        """Draw all frames and throw them away."""
        for segment in self.timeline.segments:
            for _ in self._compositor(segment).frames():
                pass

    def render(self) -> None:
        """Do what the render stage does with the pictures."""
        parts = []
        for segment in self.timeline.segments:
            part = self.folder / f"{segment.id}.mp4"
            encode.segment(
                segment, part, size=self.size, style=self.style, language="en", captions=True
            )
            parts.append(part)
        frames = [segment.frames for segment in self.timeline.segments]
        encode.join(parts, self.sound, self.folder / "video.mp4", frames=frames)

    def bare(self) -> None:
        """Encode the same frames from the raw file."""
        source = [str(self.raw) if a == "pipe:0" else a for a in encode.raw_input(self.size, FPS)]
        ffmpeg.run([*source, *encode.encoder(FPS), "-f", "mp4", self.folder / "bare.mp4"])


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Return the wall and the processor seconds of `work`, its child processes included."""

    def cpu() -> float:
        both = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    start, used = time.perf_counter(), cpu()
    work()
    return time.perf_counter() - start, cpu() - used


def measure(seconds: float, runs: int, shape: str = "16:9") -> dict[str, float]:
    """Return the medians over `runs` turns; `ratio` is the median of each turn's own ratio."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), seconds, FRAME_SIZES[shape])
        turns = [
            {
                "bare": timed(bench.bare),
                "render": timed(bench.render),
                "compose": timed(bench.compose),
            }
            for _ in range(runs)
        ]
        length, frames = bench.timeline.seconds, bench.timeline.frames
    return {
        "seconds": length,
        "frames": frames,
        "runs": runs,
        **{f"{name}_wall": median(turn[name][0] for turn in turns) for name in turns[0]},
        **{f"{name}_cpu": median(turn[name][1] for turn in turns) for name in turns[0]},
        "ratio": median(turn["render"][0] / turn["bare"][0] for turn in turns),
        "ratio_cpu": median(turn["render"][1] / turn["bare"][1] for turn in turns),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def table(facts: dict[str, float]) -> str:
    """Return the figures as a Markdown table."""
    rows = [
        f"| {label} | {facts[name + '_wall']:.1f} | {facts[name + '_cpu']:.1f} "
        f"| {1000 * facts[name + '_cpu'] / facts['frames']:.1f} |"
        for name, label in (
            ("bare", "x264 alone, raw file in"),
            ("render", "render: draw, encode, join"),
            ("compose", "drawing alone"),
        )
    ]
    length = f"{facts['seconds']:.1f} s of video, {facts['frames']:.0f} frames"
    ratios = f"**{facts['ratio']:.2f}** wall (target ≤ 1.5), {facts['ratio_cpu']:.2f} CPU"
    head = "| | wall s | CPU s | CPU ms a frame |\n|---|---|---|---|"
    return (
        f"{length}, median of {facts['runs']:.0f}\n\n{head}\n{chr(10).join(rows)}\n\n"
        f"render ÷ x264 alone: {ratios}; this process's peak {facts['peak_mb']:.0f} MB"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 where the target is met."""
    parser = argparse.ArgumentParser(description="Rendering against x264 alone.")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shape", choices=sorted(FRAME_SIZES), default="16:9")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(argv)
    facts = measure(chosen.seconds, chosen.runs, chosen.shape)
    print(json.dumps(facts) if chosen.json else table(facts))
    return 0 if facts["ratio"] <= 1.5 else 1


if __name__ == "__main__":
    sys.exit(main())
