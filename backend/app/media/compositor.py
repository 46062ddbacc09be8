"""Frames of a segment as planar Y'CbCr: the canvas moved, the transition, the captions.

Everything is done on 8-bit planes in the encoder's own format (4:2:0, BT.709, limited range,
chroma sited left), so that no frame is ever converted: the canvas is, once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.errors import MediaError
from app.media.captions import Painter, Raster
from app.media.styles import Style, TransitionKind
from app.media.timeline import Pose, Segment, Still
from app.media.transitions import Mixer, closer
from app.models import Language

BUILD = 0.3
"""Seconds in which a step of a card that builds up fades in."""

_SOFTNESS = 0.5
"""Sigma, in canvas pixels, of the blur that keeps fine detail from shimmering as it moves."""

_SMALLER = 1.005
"""Canvas pixels to one of the frame from which on detail would shimmer; a canvas' even width makes
1.002 of 1."""

_SPARE = 32
"""Samples a resize may make beyond the frame, to choose scale and phase by; see `_fit`."""
_EDGE = 48  # replicated around a canvas, as spare samples may lie outside it
_NEAR_ENOUGH = 0.06
"""Samples that a resize may be off at an edge of the frame; beyond it the plane is warped."""

Plane = NDArray[np.uint8]

# ITU-R BT.709-6, items 3.2-3.4: Y' from R'G'B', scaled to 219 steps; Cb and Cr to 224.
_KR, _KB = 0.2126, 0.0722
_KG = 1 - _KR - _KB
_FROM_RGB = np.array(
    [
        np.array([_KR, _KG, _KB]) * 219 / 255,
        np.array([-_KR, -_KG, 1 - _KB]) / (2 * (1 - _KB)) * 224 / 255,
        np.array([1 - _KR, -_KG, -_KB]) / (2 * (1 - _KR)) * 224 / 255,
    ]
)
_BLACK = (16, 128, 128)
_LEVELS = np.array(_BLACK)[:, None]


class Frame:
    """One frame as a single I420 buffer with a view of each plane."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self.buffer: Plane = np.empty(width * height * 3 // 2, np.uint8)
        luma, quarter = width * height, width * height // 4
        self.planes: tuple[Plane, Plane, Plane] = (
            self.buffer[:luma].reshape(height, width),
            self.buffer[luma : luma + quarter].reshape(height // 2, width // 2),
            self.buffer[luma + quarter :].reshape(height // 2, width // 2),
        )


def planes(image: Plane) -> tuple[Plane, Plane, Plane]:
    """Return Y', Cb, Cr of an RGB picture of even size, 4:2:0 with chroma sited left.

    With a fourth channel the picture is premultiplied, and so are the planes.
    """
    if image.shape[2] == 4:
        matrix = np.hstack([_FROM_RGB, _LEVELS / 255, 0 * _LEVELS])
    else:
        matrix = np.hstack([_FROM_RGB, _LEVELS])
    full = np.asarray(cv2.transform(image, matrix.astype(np.float32)), np.uint8)
    return np.ascontiguousarray(full[..., 0]), halved(full[..., 1]), halved(full[..., 2])


def halved(plane: Plane) -> Plane:
    """Return every second column (sited on it) and pair of rows (sited between them)."""
    across = np.array([[0.25, 0.5, 0.25]], np.float32)
    down = np.array([[0.5], [0.5]], np.float32)
    soft = cv2.sepFilter2D(plane, -1, across, down, anchor=(1, 0), borderType=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(np.asarray(soft, np.uint8)[::2, ::2])


def prepared(picture: Path) -> Plane:
    """Return a prepared picture as (height, width, 3) RGB, of even size.

    Raises:
        MediaError: `canvas_unusable` where it can't be read.
    """
    image = cv2.imread(str(picture), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None or image.shape[0] % 2 or image.shape[1] % 2:
        raise _unusable(picture, "it can't be read")
    return np.asarray(image, np.uint8)


class Canvas:
    """A prepared picture, ready to be seen from any pose."""

    def __init__(self, picture: Path, size: tuple[int, int], *, zoom: float | None) -> None:
        """Read `picture`, a canvas for frames of `size`.

        Args:
            picture: The file.
            size: Width and height of the frame.
            zoom: Of the pose it is seen from in the end: where its pixels are smaller than the
                frame's, fine detail is softened. None leaves it as it is.

        Raises:
            MediaError: `canvas_unusable` where it can't be read or has another size.
        """
        image = prepared(picture)
        self._height, self._width = image.shape[:2]
        self._size = size
        if self._width < size[0] or self._height < size[1]:
            raise _unusable(picture, "it is smaller than the frame")
        if zoom is not None and self._width > _SMALLER * size[0] * zoom:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), _SOFTNESS), np.uint8)
        self._planes = [np.pad(plane, _EDGE, mode="edge") for plane in planes(image)]
        self._scratch = np.empty((size[0] + _SPARE) * (size[1] + _SPARE), np.uint8)

    def over(self, other: Canvas, share: float) -> None:
        """Let `other`, of the same size, show through: of it stays what `share` (0-1) leaves."""
        for mine, theirs in zip(self._planes, other._planes, strict=True):
            cv2.addWeighted(theirs, 1 - share, mine, share, 0, dst=mine)

    def view(self, pose: Pose, target: Frame) -> None:
        """Draw what is seen from `pose` into `target`."""
        width, height = self._size
        step = self._width / (width * pose.zoom)
        # The centre of pixel i lies at i + 0.5.
        left = pose.x * self._width - step * width / 2 + step / 2 - 0.5
        top = pose.y * self._height - step * height / 2 + step / 2 - 0.5
        luma = _fit(left + _EDGE, step, width), _fit(top + _EDGE, step, height)
        # A chroma sample (i, j) lies at luma (2i, 2j + 0.5), in both pictures.
        across = _fit(left / 2 + _EDGE, step, width // 2)
        down = _fit((step / 2 + top - 0.5) / 2 + _EDGE, step, height // 2)
        for plane, seen, fits in zip(
            self._planes, target.planes, (luma, (across, down), (across, down)), strict=True
        ):
            self._resample(plane, seen, *fits)

    def _resample(self, plane: Plane, seen: Plane, across: _Fit, down: _Fit) -> None:
        rows, columns = seen.shape
        if max(across.off, down.off) > _NEAR_ENOUGH:
            way = np.array([[across.step, 0, across.start], [0, down.step, down.start]])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            cv2.warpAffine(plane, way, (columns, rows), dst=seen, flags=flags)
            return
        part = plane[
            down.source : down.source + down.taken, across.source : across.source + across.taken
        ]
        made = self._scratch[: down.made * across.made].reshape(down.made, across.made)
        cv2.resize(part, (across.made, down.made), dst=made, interpolation=cv2.INTER_LINEAR)
        np.copyto(seen, made[down.skip : down.skip + rows, across.skip : across.skip + columns])


@dataclass(frozen=True)
class _Fit:
    """One axis of a resize: take `taken` samples from `source`, make `made`, skip the first `skip`.

    Attributes:
        start: Where the first sample is to lie.
        step: How far apart they are to be.
        off: By how much the resize misses them, at worst.
    """

    start: float
    step: float
    off: float
    source: int
    taken: int
    made: int
    skip: int


def _fit(start: float, step: float, length: int) -> _Fit:
    """Return the resize whose samples come nearest to start + i * step, for i below `length`.

    A resize takes half the time of an affine warp, but starts at whole samples and scales by a
    ratio of whole numbers. With a few spare samples to either side there are hundreds of ratios
    and phases; the best of them is off by 0.02 of a pixel (root mean square). Only where a step
    is nearly 1 do they lie too close together to choose from: there the warp is worth its time.
    """
    made, skip = _choices(length)
    taken = np.rint(step * made)
    scale = taken / made
    first = (skip + 0.5) * scale - 0.5
    drift = (scale - step) * (length - 1)
    source = np.rint(start - first - drift / 2)
    off = first + source - start
    most = np.maximum(np.abs(off), np.abs(off + drift))
    best = int(np.argmin(most))
    return _Fit(
        start=start,
        step=step,
        off=float(most[best]),
        source=int(source[best]),
        taken=int(taken[best]),
        made=int(made[best]),
        skip=int(skip[best]),
    )


@cache
def _choices(length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of samples made and samples skipped that leave `length` of them."""
    spare, skip = np.tril_indices(_SPARE + 1)
    return length + spare, skip


@dataclass(frozen=True, eq=False)
class Overlay:
    """A caption as planes: what of the picture stays (0-255), and what is added to it."""

    raster: Raster

    @cached_property
    def _layers(self) -> tuple[tuple[Plane, Plane], ...]:
        pixels = self.raster.pixels
        luma, cb, cr = planes(pixels)
        stays = np.ascontiguousarray(255 - pixels[..., 3])
        half = halved(stays)
        return (stays, luma), (half, cb), (half, cr)

    def onto(self, frame: Frame) -> None:
        """Draw the caption over `frame`."""
        for number, (stays, added) in enumerate(self._layers):
            shift = 1 if number else 0
            y, x = self.raster.y >> shift, self.raster.x >> shift
            rows, columns = stays.shape
            box = frame.planes[number][y : y + rows, x : x + columns]
            cv2.multiply(box, stays, dst=box, scale=1 / 255)
            cv2.add(box, added, dst=box)


class _Before:
    """What the scene before ends on, and how it gives way."""

    def __init__(self, still: Still, kind: TransitionKind, size: tuple[int, int]) -> None:
        self._pose = still.pose
        self._canvas = Canvas(still.picture, size, zoom=still.pose.zoom)
        self._frame = Frame(size)
        self._canvas.view(still.pose, self._frame)
        self._zooms = kind == "zoom"
        self._mixer = Mixer(kind, size)

    def mix(self, scene: Frame, out: Frame, share: float) -> None:
        """Draw into `out` what is seen when `share` (0-1) of the way to `scene` is done."""
        if self._zooms:
            pose = replace(self._pose, zoom=self._pose.zoom * closer(share))
            self._canvas.view(pose, self._frame)
        self._mixer.mix(self._frame.planes, scene.planes, out.planes, share)


class _Own:
    """The scene's own picture from frame to frame: moved, and its steps faded in as they come."""

    def __init__(self, segment: Segment, size: tuple[int, int]) -> None:
        self._motion, self._size = segment.motion, size
        self._fade = round(BUILD * segment.fps)
        self._coming = list(segment.steps)
        self._canvas = Canvas(segment.picture, size, zoom=segment.motion.end.zoom)
        self._clear = Frame(size)
        self._mixed = Frame(size) if segment.steps else self._clear
        self._leaving: tuple[Canvas, Frame] | None = None
        self._begun = 0
        self._pose: Pose | None = None

    def at(self, number: int) -> tuple[Frame, Hashable]:
        """Return what is seen at frame `number`, and a key that changes as it does."""
        if self._coming and number >= self._coming[0].frame:
            self._step(number)
        pose = self._motion.at(number)
        share = self._share(number)
        if share == 1:
            self._leaving = None
        if pose != self._pose:
            self._pose = pose
            self._canvas.view(pose, self._clear)
            if self._leaving is not None:
                self._leaving[0].view(pose, self._leaving[1])
        if self._leaving is None:
            return self._clear, (pose, self._begun)
        leaving, clear = self._leaving[1].planes, self._clear.planes
        for old, new, seen in zip(leaving, clear, self._mixed.planes, strict=True):
            cv2.addWeighted(old, 1 - share, new, share, 0, dst=seen)
        return self._mixed, (pose, self._begun, share)

    def _share(self, number: int) -> float:
        """Return how much of the way from the step before to this one is done."""
        return _eased(min(1.0, (number - self._begun + 1) / (self._fade + 1)))

    def _step(self, number: int) -> None:
        step = self._coming.pop(0)
        if self._leaving is not None:  # the step before is still fading in: go on from what is seen
            self._canvas.over(self._leaving[0], self._share(number - 1))
        self._leaving = self._canvas, self._clear
        self._canvas = Canvas(step.picture, self._size, zoom=self._motion.end.zoom)
        self._clear = Frame(self._size)
        self._begun, self._pose = step.frame, None


class Compositor:
    """Draws the frames of one segment, one after the other, into buffers of its own.

    Memory is that of two canvases and five frames, whatever the length.
    """

    def __init__(
        self,
        segment: Segment,
        *,
        size: tuple[int, int],
        style: Style,
        language: Language,
        captions: bool,
    ) -> None:
        cv2.setNumThreads(1)  # the encoder has the cores; a pool here would only fight it
        self._segment = segment
        self._size = size
        self._painter = Painter(style=style, language=language, size=size) if captions else None
        self._caption: tuple[Hashable, Overlay] | None = None
        self._out = Frame(size)

    def frames(self) -> Iterator[memoryview]:
        """Yield each frame's I420 bytes; the buffer is used again for the next."""
        segment = self._segment
        own = _Own(segment, self._size)
        before = self._before()
        held: object = None
        for number in range(segment.frames):
            scene, seen = own.at(number)
            overlay = self._overlay(number / segment.fps)
            share, light = way(segment, number), self._light(number)
            if share == 1:
                before = None  # its canvas is not needed any more
            if held != (held := (seen, overlay, share, light)):
                self._compose(scene, before, overlay, share, light)
            yield self._out.buffer.data

    def _before(self) -> _Before | None:
        segment = self._segment
        if segment.previous is None or not segment.transition:
            return None
        return _Before(segment.previous, segment.transition_kind, self._size)

    def _light(self, number: int) -> float:
        """Return how much of the fade-out is left."""
        left, whole = self._segment.frames - 1 - number, self._segment.fade_out
        return _eased(left / whole) if left < whole else 1.0

    def _compose(
        self,
        scene: Frame,
        before: _Before | None,
        overlay: Overlay | None,
        share: float,
        light: float,
    ) -> None:
        out = self._out
        if before is None or share == 1:
            np.copyto(out.buffer, scene.buffer)
        else:
            before.mix(scene, out, share)
        if overlay is not None:
            overlay.onto(out)
        if light < 1:
            for plane, black in zip(out.planes, _BLACK, strict=True):
                cv2.addWeighted(plane, light, plane, 0, black * (1 - light), dst=plane)

    def _overlay(self, time: float) -> Overlay | None:
        """Return the caption to show at `time`, drawn anew only when it looks otherwise."""
        cue = next((cue for cue in self._segment.cues if cue.start <= time < cue.end), None)
        if cue is None or self._painter is None:
            return None
        moment = self._painter.moment(cue, time)
        if self._caption is None or self._caption[0] != moment:
            self._caption = moment, Overlay(self._painter.raster(cue, time))
        return self._caption[1]


def way(segment: Segment, number: int) -> float:
    """Return how much (0-1) of the way from the scene before is done at frame `number` of a scene."""
    return _eased(min(1.0, (number + 1) / (segment.transition + 1)))


def _eased(share: float) -> float:
    """Return `share` (0-1) so that it starts and ends gently."""
    return share * share * (3 - 2 * share)


def _unusable(picture: Path, why: str) -> MediaError:
    return MediaError(
        "canvas_unusable",
        f"The prepared picture {picture.name} can't be used: {why}.",
        "Run the project again from asset_generation.",
    )
