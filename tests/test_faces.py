"""Faces are found, stay whole in every frame of the film, and never lie under words."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.media import faces, framing, interest, pictures, styles, timeline
from app.media.faces import Region
from app.media.framing import Plan

FACE = Path(__file__).with_name("face.jpg")
"""280 × 280 pixels of a portrait by NASA, in the public domain; see THIRD_PARTY.md."""
TRUE = Region(0.33, 0.25, 0.66, 0.58)
"""From the brows to the chin, measured by hand, in shares of it."""
PAPER = styles.load("paper")
SHAPES = ((480, 270), (270, 480), (270, 270))


def placed(
    size: tuple[int, int], at: tuple[float, float], width: int
) -> tuple[Image.Image, Region]:
    """Return a plain scene with the portrait in it, and the face in shares of the scene."""
    rows = np.linspace(120, 80, size[1])[:, None, None]
    image = Image.fromarray(np.broadcast_to(rows, (size[1], size[0], 3)).astype(np.uint8))
    with Image.open(FACE) as opened:
        portrait = opened.resize((width, width))
    left, top = (round(share * (side - width)) for share, side in zip(at, size, strict=True))
    image.paste(portrait, (left, top))
    return image, Region(
        (left + TRUE.left * width) / size[0],
        (top + TRUE.top * width) / size[1],
        (left + TRUE.right * width) / size[0],
        (top + TRUE.bottom * width) / size[1],
    )


def test_a_face_is_found_whole_with_its_head() -> None:
    image, true = placed((1200, 800), (0.8, 0.3), 360)
    (found,) = faces.found(image)
    assert found.left < (true.left + true.right) / 2 < found.right
    assert found.top < (true.top + true.bottom) / 2 < found.bottom
    (head,) = faces.heads(image)
    assert true.within(head)
    assert head.width < 2.2 * true.width


def test_mirrored_dim_and_grey_faces_are_found() -> None:
    with Image.open(FACE) as opened:
        photo = opened.convert("RGB")
    kinds = (
        photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        photo.point(lambda level: level // 3),
        photo.convert("L"),
        photo.convert("CMYK"),
    )
    assert [len(faces.found(kind)) for kind in kinds] == [1, 1, 1, 1]


def test_tilted_small_and_half_hidden_faces_are_found() -> None:
    with Image.open(FACE) as opened:
        photo = opened.convert("RGB")
    masked, shaded = photo.copy(), photo.copy()
    masked.paste((200, 220, 230), (84, 129, 196, 174))
    shaded.paste((10, 10, 10), (95, 90, 185, 109))
    small, _ = placed((1200, 800), (0.9, 0.8), 200)
    tilted = (photo.rotate(angle, fillcolor=(90, 90, 90)) for angle in (-60, -30, 30, 60))
    assert [len(faces.found(one)) for one in (masked, shaded, small, *tilted)] == [1] * 7


def test_the_hair_of_a_head_that_lies_is_on_its_side() -> None:
    with Image.open(FACE) as opened:
        lying = opened.convert("RGB").transpose(Image.Transpose.ROTATE_90)
    (face,), (head,) = faces.found(lying), faces.heads(lying)
    assert face.left - head.left > 1.5 * (head.right - face.right)


def test_a_person_in_a_landscape_is_found_where_there_is_nobody_larger() -> None:
    image, true = placed((1600, 1066), (0.95, 0.6), 150)
    assert faces.heads(image) == ()
    (head,) = faces.heads(image, small=True)
    assert true.within(head, 0.005)
    plan = framing.plan(image, pictures.canvas((270, 480)), framing="auto", zone=0.3)
    assert true.within(plan.window)


def test_nobody_is_seen_where_nobody_is() -> None:
    random = np.random.default_rng(4)
    noise = random.integers(0, 255, (300, 400, 3), dtype=np.uint8)
    soft = Image.fromarray(noise).reduce(20).resize((640, 480), Image.Resampling.BICUBIC)
    rings = np.hypot(*np.mgrid[-60:60, -60:60]) % 24 < 12
    tiled = Image.fromarray(np.tile(rings, (4, 6)).astype(np.uint8) * 200)
    own = Path(pictures.__file__).parents[1] / "demo" / "pictures"
    with Image.open(own / "lanterns.jpg") as lanterns:
        for image in (Image.fromarray(noise), soft, tiled, lanterns):
            assert faces.heads(image, small=True) == ()


def test_tiny_pictures_have_no_faces() -> None:
    assert faces.found(Image.new("RGB", (3, 900))) == ()
    assert faces.heads(Image.new("RGB", (1, 1))) == ()


def views(plan: Plan, frames: int) -> list[Region]:
    """What is seen of a canvas in every frame, over all ways there are to move."""
    wide, high = plan.spread
    seen = []
    for number in range(24):
        sha = hashlib.sha256(bytes([number])).hexdigest()
        motion = timeline.moved(
            "picture", sha, frames, fps=30, amount=1.0, keep=plan.keep, spread=plan.spread
        )
        for frame in range(0, frames + 1, 3):
            pose = motion.at(frame)
            half, tall = 0.5 / pose.zoom, 0.5 * wide / (high * pose.zoom)
            seen.append(Region(pose.x - half, pose.y - tall, pose.x + half, pose.y + tall))
            assert seen[-1].within(faces.WHOLE, 1e-9)
    return seen


@pytest.mark.parametrize("size", SHAPES)
def test_no_face_is_cut_in_any_frame_whatever_the_shape(
    size: tuple[int, int], tmp_path: Path
) -> None:
    ways = set()
    cases = (((900, 600), (0, 0), 220), ((600, 900), (1, 0), 300), ((700, 700), (0.5, 1), 300))
    for extent, at, width in cases:
        image, true = placed(extent, at, width)
        image.save(tmp_path / "p.png")
        plan = pictures.prepare(tmp_path / "p.png", tmp_path / "s.png", size=size, style=PAPER)
        ways.add(plan.way)
        if plan.way not in ("crop", "part"):
            continue
        assert true.within(plan.window, 1e-3)
        seen = true.seen_from(plan.window).placed(plan.box)
        assert plan.keep is not None
        assert seen.within(plan.keep, 0.01)
        assert all(seen.within(view, 0.002) for view in views(plan, 90))
    assert "crop" in ways


def test_where_a_crop_would_cut_a_face_less_is_cut_off(tmp_path: Path) -> None:
    image = Image.new("RGB", (1000, 1000), (90, 100, 120))
    for at in (0, 1):
        part, _ = placed((1000, 500), (0.5, at), 330)
        image.paste(part, (0, 500 * at))
    image.save(tmp_path / "p.png")
    assert len(faces.found(image)) == 2
    for asked in ("auto", "crop"):
        plan = pictures.prepare(
            tmp_path / "p.png", tmp_path / "s.png", size=(480, 270), style=PAPER, framing=asked
        )
        assert plan.way == "part"
        assert len(plan.people) == 2
        assert all(head.within(plan.window) for head in plan.people)


def test_a_face_is_not_blown_up_to_the_frame() -> None:
    portrait, _ = placed((800, 1600), (0.5, 0.1), 540)
    canvas = pictures.canvas((960, 540))
    plan = framing.plan(portrait, canvas, framing="auto", zone=PAPER.captions.zone)
    (head,) = plan.people
    assert plan.way == "part"
    assert head.seen_from(plan.window).height <= 0.6
    asked = framing.plan(portrait, canvas, framing="crop", zone=PAPER.captions.zone)
    assert asked.way == "crop"


def test_a_face_is_kept_from_under_the_captions(tmp_path: Path) -> None:
    image, true = placed((900, 1100), (0.5, 0.7), 420)
    image.save(tmp_path / "p.png")
    plan = pictures.prepare(
        tmp_path / "p.png", tmp_path / "s.png", size=(480, 270), style=PAPER, framing="crop"
    )
    seen = true.seen_from(plan.window)
    assert plan.way == "crop"
    assert seen.bottom < 1 - PAPER.captions.zone


def test_the_quick_share_of_interest_is_the_share() -> None:
    image, _ = placed((900, 600), (0.1, 0.2), 300)
    seen = interest.measured(image, faces.found(image))
    summed = interest.table(seen)
    for region in (faces.WHOLE, Region(0.1, 0.2, 0.45, 0.7), Region(0.9, 0, 1, 1)):
        assert interest.quick(summed, region) == pytest.approx(
            interest.share(seen, region), abs=1e-4
        )
    assert interest.share(seen, faces.WHOLE) == pytest.approx(1, abs=1e-3)
    assert interest.share(seen, Region(0.05, 0.1, 0.45, 0.75)) > 0.8
