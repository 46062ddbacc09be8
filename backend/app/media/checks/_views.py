"""The pictures that a film shows, read once for all who compare its frames with them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.media.compositor import Plane, planes, prepared
from app.media.timeline import Pose, Segment, Timeline

ACROSS = 96
"""Pixels across in which a frame and its picture are compared."""

_FINE = 3
"""How many times as fine a picture is kept, so that the edges of type fall into the same pixels."""

Small = NDArray[np.float32]


class Views:
    """What is seen of pictures from any pose, small; the last few pictures are kept."""

    def __init__(self, plan: Timeline) -> None:
        wide, high = plan.size
        self._wide = wide
        self.size = ACROSS, max(2, round(high * ACROSS / wide))
        """Of a frame that is compared."""
        self._fine = self.size[0] * _FINE, self.size[1] * _FINE
        self.planes = lru_cache(maxsize=2)(_planes)
        """Y', Cb and Cr of a picture, whole; raises MediaError `canvas_unusable`."""
        self._reduced = lru_cache(maxsize=4)(self._reduce)

    def view(self, picture: Path, pose: Pose) -> list[Small]:
        """Return the planes that are seen of a picture, each `_FINE` times as wide as `size`."""
        return [seen(plane, pose, self._fine) for plane in self._reduced(picture)]

    def softened(self, plane: NDArray[Any]) -> Small:
        """Return a plane at `size`, as if from afar: type of high contrast leaves no seams."""
        small = cv2.resize(plane, self.size, interpolation=cv2.INTER_AREA).astype(np.float32)
        return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5), np.float32)

    def _reduce(self, picture: Path) -> list[Small]:
        whole = self.planes(picture)
        high, across = whole[0].shape
        wide = round(across * self._fine[0] / self._wide)
        size = wide, round(high * wide / across)
        return [
            np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
            for plane in whole
        ]


def shown(part: Segment, number: int) -> Path:
    """Return the picture that frame `number` of a scene shows: its own, or its last step's."""
    steps = [step.picture for step in part.steps if step.frame <= number]
    return steps[-1] if steps else part.picture


def seen(canvas: Small, pose: Pose, size: tuple[int, int], rows: slice = slice(None)) -> Small:
    """Return what of a canvas is seen from a pose, at any size; pixels' centres lie at + 0.5.

    Args:
        canvas: A picture, at any size.
        pose: Where it is seen from.
        size: Of the whole view.
        rows: Of the view, those to return.
    """
    high, wide = canvas.shape
    first, last, _ = rows.indices(size[1])
    step = wide / (size[0] * pose.zoom)
    left = pose.x * wide - step * size[0] / 2 + step / 2 - 0.5
    top = pose.y * high - step * size[1] / 2 + step / 2 - 0.5 + step * first
    way = np.array([[step, 0, left], [0, step, top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(canvas, way, (size[0], last - first), flags=flags)
    return np.asarray(view, np.float32)


def displaced(
    found: Small, meant: Small, inside: Any, *, least: float
) -> tuple[float, float] | None:
    """Return by how many pixels a view lies off where it was meant to, across and down.

    One step of Lucas and Kanade's method: for displacements below what the views are softened by.

    Args:
        found: What is seen.
        meant: What was to be seen, as soft.
        inside: The pixels to compare, as an index.
        least: Mean square of the gradient (levels a pixel), in the direction that has least of it,
            without which nothing can be told and None is returned.
    """
    across = cv2.Sobel(meant, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)[inside].ravel()
    down = cv2.Sobel(meant, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)[inside].ravel()
    rest = (meant - found)[inside].ravel()
    rest -= rest.mean()
    matrix = np.array([[across @ across, across @ down], [across @ down, down @ down]])
    if np.linalg.eigvalsh(matrix)[0] < least * rest.size:
        return None
    x, y = np.linalg.solve(matrix, [across @ rest, down @ rest])
    return float(x), float(y)


def _planes(picture: Path) -> tuple[Plane, Plane, Plane]:
    return planes(prepared(picture))
