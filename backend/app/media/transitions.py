"""How one scene gives way to the next: what each kind does to the planes of the two pictures.

All begin with nothing but the scene before and end with nothing but the next one, so no frame
jumps; how fast they go is the caller's (`share` is eased). `zoom` also needs the scene before
seen closer, see `closer`; on the planes it is a fade.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from app.media.styles import TransitionKind

Plane = NDArray[np.uint8]
Planes = Sequence[Plane]
"""Y', Cb, Cr; the latter two half as wide and high."""

_SOFT = {"wipe": 0.30, "bleed": 0.24}
"""Width of the edge as a share of its way."""
_SLANT = 0.4
"""How far the lower end of a wipe's edge hangs back, as a share of the way across."""
_CLOSER = 0.8
_SEED = 20


def closer(share: float) -> float:
    """Return by what the zoom of the scene before is multiplied in a `zoom`."""
    return 1 + _CLOSER * share


class Mixer:
    """Mixes the pictures of two scenes of one size; what a kind needs is made once."""

    def __init__(self, kind: TransitionKind, size: tuple[int, int]) -> None:
        self._kind = kind
        self._soft = _SOFT.get(kind, 0.0)
        self._orders: list[Plane] = []
        if kind in _SOFT:
            order = _across(size) if kind == "wipe" else _bled(size)
            half = np.ascontiguousarray(order[::2, ::2])
            self._orders = [order, half, half]
            self._cover = np.empty_like(order)

    def mix(self, before: Planes, scene: Planes, out: Planes, share: float) -> None:
        """Draw into `out` what is seen when `share` (0-1) of the way is done."""
        if self._kind == "slide":
            self._slide(before, scene, out, share)
        elif self._orders:
            self._reveal(before, scene, out, share)
        else:
            for old, new, seen in zip(before, scene, out, strict=True):
                cv2.addWeighted(old, 1 - share, new, share, 0, dst=seen)

    def _slide(self, before: Planes, scene: Planes, out: Planes, share: float) -> None:
        """Push `before` out to the left by whole samples of all planes."""
        half = round(share * before[1].shape[1])
        for number, (old, new, seen) in enumerate(zip(before, scene, out, strict=True)):
            gone = half if number else 2 * half
            wide = seen.shape[1] - gone
            np.copyto(seen[:, :wide], old[:, gone:])
            np.copyto(seen[:, wide:], new[:, :gone])

    def _reveal(self, before: Planes, scene: Planes, out: Planes, share: float) -> None:
        """Show `scene` where its turn has come, softly at the edge."""
        turns = np.linspace(0, 1, 256)
        done = np.clip((share * (1 + self._soft) - turns) / self._soft, 0, 1)
        table = np.rint(255 * done * done * (3 - 2 * done)).astype(np.uint8)
        for order, old, new, seen in zip(self._orders, before, scene, out, strict=True):
            cover = self._cover.reshape(-1)[: order.size].reshape(order.shape)
            cv2.LUT(order, table, dst=cover)
            cv2.multiply(new, cover, dst=seen, scale=1 / 255)
            cv2.bitwise_not(cover, dst=cover)
            cv2.multiply(old, cover, dst=cover, scale=1 / 255)
            cv2.add(seen, cover, dst=seen)


def _across(size: tuple[int, int]) -> Plane:
    """Return each sample's turn (0-255) when a slanted edge goes from left to right."""
    wide, high = size
    across, down = np.arange(wide) / wide, np.arange(high) / high
    return _turns(across[None, :] + _SLANT * high / wide * down[:, None])


def _bled(size: tuple[int, int]) -> Plane:
    """Return each sample's turn when ink spreads from a few drops, with feathered shores."""
    wide, high = (max(16, side // 8) for side in size)
    random = np.random.default_rng(_SEED)
    across, down = np.arange(wide) / wide, np.arange(high) / high
    unit = min(size)
    near = np.full((high, wide), np.inf)
    for place, late in zip(((0.46, 0.42), (0.12, 0.8), (0.88, 0.2)), (0, 0.22, 0.3), strict=True):
        x, y = (across - place[0]) * size[0] / unit, (down - place[1]) * size[1] / unit
        near = np.minimum(near, np.hypot(x[None, :], y[:, None]) + late)
    shores = np.zeros((high, wide))
    for cells, weight in ((4, 0.16), (9, 0.11), (21, 0.06), (55, 0.03)):
        grid = (max(2, cells * size[0] // unit), max(2, cells * size[1] // unit))
        noise = random.uniform(-1, 1, (grid[1], grid[0])).astype(np.float32)
        shores += weight * cv2.resize(noise, (wide, high), interpolation=cv2.INTER_CUBIC)
    order = near + shores
    even = np.empty(order.size)  # as much of the picture in each moment, whatever the drops' shapes
    even[np.argsort(order, axis=None)] = np.arange(order.size)
    coarse = _turns(even.reshape(order.shape)).astype(np.float32)
    return np.asarray(
        np.clip(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), 0, 255) + 0.5, np.uint8
    )


def _turns(order: NDArray[np.float64]) -> Plane:
    """Return `order` brought to 0-255."""
    low, high = float(order.min()), float(order.max())
    return np.asarray((order - low) / (high - low) * 255 + 0.5, np.uint8)
