"""How well type stands out of what is around it, measured on finished pixels as WCAG 2.2 does."""

from __future__ import annotations

import cv2
import numpy as np

LEAST = 4.5
"""Contrast that WCAG 2.2 (1.4.3) asks of text."""


def _linear(share: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return found


_WEIGHTS = np.array([0.2126, 0.7152, 0.0722])
_TABLE = _linear(np.arange(256) / 255)[:, None] * _WEIGHTS
"""Level and channel → part of the luminance; powers of a million pixels take a tenth of a second."""


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Return the relative luminance of sRGB pixels (…, 3), 0-255, as WCAG 2.2 defines it."""
    if pixels.dtype == np.uint8:
        parts = (_TABLE[:, channel][pixels[..., channel]] for channel in range(3))
        return np.asarray(sum(parts))
    weighted: np.ndarray = _linear(pixels / 255) @ _WEIGHTS
    return weighted


def ratio(one: np.ndarray | float, other: np.ndarray | float) -> np.ndarray:
    """Return the contrast, 1-21, of two relative luminances."""
    light, dark = np.maximum(one, other), np.minimum(one, other)
    found: np.ndarray = (light + 0.05) / (dark + 0.05)
    return found


def around(
    pixels: np.ndarray, letters: np.ndarray, *, reach: int = 4, aside: np.ndarray | None = None
) -> float:
    """Return the contrast of letters with nearly the least favourable place around them.

    Args:
        pixels: The finished picture, sRGB, (rows, columns, 3), 0-255.
        letters: How much of each pixel is ink, 0-255, (rows, columns).
        reach: Pixels from the letters' edge that count as around them.
        aside: What is not around them but beside: the other words of a line, 0-255.

    Returns:
        The ink's median against the surroundings' 2nd or 98th percentile, whichever is nearer to
        it: JPEG's ringing spoils single pixels, which nobody sees. 21 where there are no letters.
    """
    solid = letters >= 250
    if not solid.any():
        return 21.0
    rows, columns = (_grown(np.asarray(solid.any(axis=axis)), reach + 4) for axis in (1, 0))
    solid, letters = solid[rows, columns], letters[rows, columns]
    ink_too = letters if aside is None else np.maximum(letters, aside[rows, columns])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    near = cv2.dilate((letters >= 8).astype(np.uint8), kernel)
    wide = cv2.dilate(near, kernel, iterations=reach)
    near = cv2.dilate((ink_too >= 8).astype(np.uint8), kernel)
    light = luminance(pixels[rows, columns])
    ink = float(np.median(light[solid]))
    ground = light[(np.asarray(wide) > 0) & (np.asarray(near) == 0)]
    if not ground.size:
        return 21.0
    ends = np.percentile(ground, (2, 98))
    if ends[0] < ink < ends[1]:
        return 1.0
    return float(ratio(ink, ends).min())


def _grown(used: np.ndarray, by: int) -> slice:
    """Return the range from the first to the last that is used, and `by` more at each end."""
    found = np.flatnonzero(used)
    return slice(max(0, int(found[0]) - by), int(found[-1]) + by + 1)
