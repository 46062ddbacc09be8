"""How steadily pictures move: tracked points against the path they were meant to take.

    PYTHONPATH=backend python benchmarks/motion.py [--seconds 4] [--shape 16:9] [--only raw] [--json]

A canvas of bright points on dark discs, texture between them, is moved each way there is. The
centre of every point is measured in every frame, as it leaves the compositor and as it comes back
from our encoder. `position` is measured minus meant; `step` is the same of the displacement from
one frame to the next: what an eye sees as jitter. The tracker's own error is measured on points
drawn where they are known to be.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import _parts
import cv2
import numpy as np
from numpy.typing import NDArray

from app.media import encode, ffmpeg, pictures, styles, timeline
from app.media.compositor import Compositor
from app.media.timeline import Motion, Pose, Segment
from app.models import FPS, FRAME_SIZES

LIMIT = 0.1
"""Pixels (root mean square over frames, points and both axes) that a step may be off."""
SIGMA = 4.0
"""Radius of a point in pixels of the frame; its disc reaches four times as far."""
GRID = (5, 3)
"""Points across and down (turned for a tall frame), all within what is always in sight."""
WAYS = {"in": "00", "out": "02", "across": "03", "card": "", "pan": "00", "tilt": "00"}
"""First byte of a canvas's digest that chooses each way (`timeline.moved`); cards have one only."""
SPREADS = {"pan": (1.3, 1.0), "tilt": (1.0, 1.3)}
"""How much wider and higher than usual the canvas of a view that travels is: less than most, so
that points are in sight all the way."""
SIDES = ("0000", "01ff", "0080")
"""Second and third byte: which side, how far up or down."""

Plane = NDArray[np.uint8]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A canvas with points, and where on it they are (pixels, centre of the first is 0.5)."""

    path: Path
    sha256: str
    canvas: tuple[int, int]
    points: Points
    spread: tuple[float, float]


def scene(
    folder: Path, size: tuple[int, int], seed: int, spread: tuple[float, float] = (1.0, 1.0)
) -> Scene:
    """Draw the canvas: texture as photographs have it, with points on it."""
    wide, high = (
        2 * round(side * x / 2) for side, x in zip(pictures.canvas(size), spread, strict=True)
    )
    random = np.random.default_rng(seed)
    image = np.full((high, wide), 110.0, np.float32)
    for scale, strength in ((2, 14), (8, 22), (40, 30)):
        grain = random.standard_normal((high // scale + 1, wide // scale + 1)).astype(np.float32)
        image += strength * cv2.resize(grain, (wide, high), interpolation=cv2.INTER_CUBIC)
    points = _places(size, (wide, high), random, spread)
    for x, y in points:
        rows, columns = (slice(int(side - 10 * SIGMA), int(side + 10 * SIGMA)) for side in (y, x))
        down, across = np.mgrid[rows, columns]
        apart = (across + 0.5 - x) ** 2 + (down + 0.5 - y) ** 2
        disc = 1 / (1 + np.exp((np.sqrt(apart) - 5.5 * SIGMA) / 1.5))
        point = 30 + 190 * np.exp(-apart / (2 * SIGMA**2))
        image[rows, columns] += disc * (point - image[rows, columns])
    path = folder / f"canvas{seed}.png"
    cv2.imwrite(str(path), np.rint(image).clip(0, 255).astype(np.uint8))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Scene(path, digest, (wide, high), points, spread)


def _places(
    size: tuple[int, int],
    canvas: tuple[int, int],
    random: np.random.Generator,
    spread: tuple[float, float],
) -> Points:
    grid = GRID if size[0] >= size[1] else GRID[::-1]
    # at the ends of its way a view shows `1 / (times * PASSING)` of the canvas: both the middle of it
    ends = [
        2 / (times * timeline.PASSING) - 1 if times > 1 else 1 / pictures.OVERSCAN
        for times in spread
    ]
    safe = np.array(canvas) * np.array(ends) - 16 * SIGMA
    share = np.array(
        [(x, y) for y in np.linspace(0, 1, grid[1]) for x in np.linspace(0, 1, grid[0])]
    )
    places: Points = (
        np.array(canvas) / 2 + (share - 0.5) * safe + random.uniform(-1, 1, share.shape)
    )
    return places


def meant(points: Points, pose: Pose, canvas: tuple[int, int], size: tuple[int, int]) -> Points:
    """Return where points of the canvas are to be in the frame, seen from `pose`."""
    scale = size[0] * pose.zoom / canvas[0]
    centre = np.array([pose.x * canvas[0], pose.y * canvas[1]])
    seen: Points = (points - centre) * scale + np.array(size) / 2
    return seen


def track(luma: Plane, near: Points) -> Points:
    """Return the centre of the point next to each of `near`: the weighted mean, windowed."""
    return np.array([_centre(luma, place) for place in near])


def _centre(luma: Plane, place: NDArray[np.float64]) -> NDArray[np.float64]:
    reach = round(6 * SIGMA)
    column, row = (int(np.floor(side)) for side in place)
    part = luma[row - reach : row + reach + 1, column - reach : column + reach + 1].astype(float)
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    at = place - np.array([column, row]) - 0.5
    for _ in range(8):  # the window follows the point, so that it does not hold it back
        apart = (across - at[0]) ** 2 + (down - at[1]) ** 2
        window = np.exp(-apart / (2 * (1.5 * SIGMA) ** 2))
        ground = np.median(part[(apart > (3.2 * SIGMA) ** 2) & (apart < (4.2 * SIGMA) ** 2)])
        weight = window * (part - ground)
        off = np.array([(weight * (across - at[0])).sum(), (weight * (down - at[1])).sum()])
        # a Gaussian times a Gaussian window: its mean moves by less than the point
        at = at + off / weight.sum() * (1 + 1 / 1.5**2)
    return np.array([column, row]) + at + 0.5


def own_error(seed: int) -> float:
    """Return the tracker's error (root mean square, pixels) on points drawn in 8 bits."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:96, :96]
    off = []
    for _ in range(400):
        place = 48 + random.uniform(-1, 1, 2)
        apart = (across + 0.5 - place[0]) ** 2 + (down + 0.5 - place[1]) ** 2
        drawn = np.rint(30 + 170 * np.exp(-apart / (2 * SIGMA**2))).astype(np.uint8)
        off.append(_centre(drawn, place + random.uniform(-0.5, 0.5, 2)) - place)
    return rms(np.array(off))


def rms(values: NDArray[np.float64]) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def segment(made: Scene, way: str, side: str, seconds: float) -> Segment:
    """Return the segment that moves the canvas one of the ways."""
    frames = round(seconds * FPS)
    kind: timeline.Kind = "picture" if way else "card"
    motion = timeline.moved(
        kind, way + side + "00" * 29, frames, fps=FPS, amount=1, spread=made.spread
    )
    if kind == "card":
        frames = motion.frames
    return Segment(
        id="s",
        first=0,
        frames=frames,
        fps=FPS,
        picture=made.path,
        picture_sha256=made.sha256,
        motion=motion,
        previous=None,
        transition=0,
        fade_out=0,
        cues=(),
    )


def raw(part: Segment, size: tuple[int, int], _folder: Path) -> Iterator[Plane]:
    """Yield the luma of each frame as it leaves the compositor."""
    compositor = Compositor(
        part, size=size, style=styles.load(styles.DEFAULT), language="en", captions=False
    )
    for frame in compositor.frames():
        yield np.frombuffer(frame, np.uint8)[: size[0] * size[1]].reshape(size[::-1])


def encoded(part: Segment, size: tuple[int, int], folder: Path) -> Iterator[Plane]:
    """Yield the luma of each frame as it comes back from our H.264."""
    film, planes = folder / "film.mp4", folder / "film.y"
    style = styles.load(styles.DEFAULT)
    encode.segment(part, film, size=size, style=style, language="en", captions=False)
    ffmpeg.run(["-i", film, "-vf", "extractplanes=y", "-f", "rawvideo", planes])
    yield from np.memmap(planes, np.uint8, "r", shape=(part.frames, size[1], size[0]))


KINDS: dict[str, Callable[[Segment, tuple[int, int], Path], Iterator[Plane]]] = {
    "raw": raw,
    "h264": encoded,
}


def errors(frames: Iterator[Plane], made: Scene, motion: Motion, size: tuple[int, int]) -> Points:
    """Return measured minus meant: frames × points × (x, y) pixels."""
    off = []
    for number, luma in enumerate(frames):
        place = meant(made.points, motion.at(number), made.canvas, size)
        off.append(track(luma, place) - place)
    return np.array(off)


def measure(kind: str, shape: str, seconds: float, seed: int) -> list[_parts.Row]:
    """Return the rows of one shape: each way, the worst side of it."""
    size = FRAME_SIZES[shape]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        usual = scene(Path(name), size, seed)
        for way, first in WAYS.items():
            made = scene(Path(name), size, seed + 1, SPREADS[way]) if way in SPREADS else usual
            found = []
            for side in SIDES if first else ("",):
                part = segment(made, first, side, seconds)
                found.append(errors(KINDS[kind](part, size, Path(name)), made, part.motion, size))
            rows.append(_row(f"{kind} {shape} {way}", found))
    return rows


def _row(what: str, found: Sequence[Points]) -> _parts.Row:
    steps = [np.diff(off, axis=0) for off in found]
    worst = max(rms(step) for step in steps)
    across, down = (max(rms(step[..., axis]) for step in steps) for axis in (0, 1))
    place = max(rms(off) for off in found)
    most = max(float(np.abs(step).max()) for step in steps)
    figure = (
        f"step {worst:.3f} (x {across:.3f}, y {down:.3f}, most {most:.2f}), position {place:.3f}"
    )
    return _parts.row(what, figure, f"step ≤ {LIMIT} px RMS", right=worst <= LIMIT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0 where every step is within the limit."""
    parser = argparse.ArgumentParser(description="Motion against the path that was meant.")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--shape", choices=sorted(FRAME_SIZES))

    def tracker(given: argparse.Namespace) -> list[_parts.Row]:
        found = own_error(given.seed)
        return [
            _parts.row(
                "the tracker's own error", f"{found:.4f} px RMS", "≤ 0.01", right=found <= 0.01
            )
        ]

    def part(kind: str) -> _parts.Part:
        def rows(given: argparse.Namespace) -> list[_parts.Row]:
            shapes = [given.shape] if given.shape else list(FRAME_SIZES)
            return [
                row for shape in shapes for row in measure(kind, shape, given.seconds, given.seed)
            ]

        return rows

    parts: dict[str, _parts.Part] = {"tracker": tracker, **{kind: part(kind) for kind in KINDS}}
    return _parts.run("motion", parser, parts, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
