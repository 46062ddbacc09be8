"""Ways from one scene to the next: nothing jumps, where they begin, on the way or where they end."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from app.media import compositor, styles, transitions
from app.media.styles import TransitionKind
from app.media.timeline import Motion, Pose, Segment, Still

SIZE = (320, 180)
FRAMES = 20
KINDS: tuple[TransitionKind, ...] = tuple(
    kind for kind in get_args(TransitionKind) if kind != "cut"
)


@pytest.fixture(scope="module")
def canvases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("canvases")
    across, down = np.meshgrid(np.arange(384), np.arange(216))
    waves = [np.sin(across / 40 + down / 60), np.cos(across / 25), np.sin(down / 30)]
    pictures = (
        np.stack([120 + 70 * wave for wave in waves], -1),
        np.stack([90 - 60 * wave for wave in waves[::-1]], -1),
    )
    paths = folder / "before.png", folder / "after.png"
    for path, pixels in zip(paths, pictures, strict=True):
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return paths


def segment(canvases: tuple[Path, Path], kind: TransitionKind, frames: int = FRAMES) -> Segment:
    rest = Pose(1.1)
    return Segment(
        id="s",
        first=0,
        frames=FRAMES + 4,
        fps=30,
        picture=canvases[1],
        picture_sha256="b",
        motion=Motion(rest, rest, FRAMES + 4, 0),
        previous=Still(canvases[0], "a", Pose(1.15, 0.49)),
        transition=frames,
        fade_out=0,
        cues=(),
        transition_kind=kind,
    )


def film(one: Segment) -> list[np.ndarray]:
    style = styles.load("paper")
    drawn = compositor.Compositor(one, size=SIZE, style=style, language="en", captions=False)
    return [np.array(frame, np.float64) for frame in drawn.frames()]


def view(path: Path, pose: Pose) -> np.ndarray:
    frame = compositor.Frame(SIZE)
    compositor.Canvas(path, SIZE, zoom=pose.zoom).view(pose, frame)
    return frame.buffer.astype(np.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_it_leaves_one_scene_and_arrives_at_the_next_without_a_jump(
    canvases: tuple[Path, Path], kind: TransitionKind
) -> None:
    """Each frame is about as far from the last one as its neighbours are."""
    shown = film(segment(canvases, kind))
    old, new = view(canvases[0], Pose(1.15, 0.49)), view(canvases[1], Pose(1.1))
    whole = np.abs(new - old).mean()
    assert np.abs(shown[0] - old).mean() < 0.06 * whole
    assert np.abs(shown[FRAMES - 1] - new).mean() < 0.06 * whole
    assert len(shown) == FRAMES + 4
    assert all(np.array_equal(frame, new) for frame in shown[FRAMES:])
    steps = [float(np.abs(b - a).mean()) for a, b in pairwise([old, *shown[: FRAMES + 1]])]
    assert max(steps) < 4 * np.mean(steps)
    assert max(abs(b - a) for a, b in pairwise(steps)) < 0.45 * max(steps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(320, 180), (180, 320), (202, 202)])
def test_nothing_and_all_of_it_are_exact(kind: TransitionKind, size: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    old, new, out = (compositor.Frame(size) for _ in range(3))
    for frame in (old, new):
        frame.buffer[:] = random.integers(16, 236, frame.buffer.size)
    mixer = transitions.Mixer(kind, size)
    mixer.mix(old.planes, new.planes, out.planes, 0.0)
    assert np.array_equal(out.buffer, old.buffer)
    mixer.mix(old.planes, new.planes, out.planes, 1.0)
    assert np.array_equal(out.buffer, new.buffer)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_pictures_stay_as_they_are(kind: TransitionKind) -> None:
    """No seam, no darker edge: what both scenes have is there all the time."""
    old, new, out = (compositor.Frame(SIZE) for _ in range(3))
    for frame in (old, new):
        for plane, level in zip(frame.planes, (143, 101, 170), strict=True):
            plane[:] = level
    mixer = transitions.Mixer(kind, SIZE)
    for share in (0.2, 0.5, 0.9):
        mixer.mix(old.planes, new.planes, out.planes, share)
        assert np.abs(out.buffer.astype(int) - old.buffer).max() <= 1


def test_the_kind_is_a_fact_of_a_segment(canvases: tuple[Path, Path]) -> None:
    facts = [segment(canvases, kind).facts() for kind in ("fade", "wipe")]
    assert facts[0] != facts[1]
