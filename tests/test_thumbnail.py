"""Thumbnails: the right file, legible on any picture."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from app.errors import InputError
from app.media import styles, thumbnail
from app.models import Language

TITLES: dict[Language, str] = {
    "en": "The lighthouse that counts the stars",
    "zh-TW": "為什麼天燈會飛？從一張紙和一把火談起",
}
LONG = "How a village of nine hundred people built its own railway, and why it still runs " * 2


def ground(kind: str) -> Image.Image:
    if kind == "white":
        return Image.new("RGB", (1600, 900), "white")
    if kind == "black":
        return Image.new("RGB", (900, 1600), "black")
    if kind == "noise":
        noise = np.random.default_rng(3).integers(0, 256, (120, 213, 3), dtype=np.uint8)
        return Image.fromarray(noise).resize((1280, 720), Image.Resampling.NEAREST)
    stripes = np.zeros((900, 1600, 3), dtype=np.uint8)
    stripes[::40] = stripes[1::40] = (255, 250, 200)
    stripes[:, ::60] = (255, 60, 60)
    return Image.fromarray(stripes)


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("kind", ["white", "black", "noise", "stripes"])
def test_the_title_contrasts_with_the_very_pixels_around_it(
    kind: str, language: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground(kind).save(tmp_path / "scene.png")
    boxes: list[tuple[int, int, int, int]] = []
    darkened = thumbnail._darkened

    def spied(scene: Image.Image, given: list[tuple[int, int, int, int]], shade: styles.RGB):
        boxes.extend(given)
        return darkened(scene, given, shade)

    monkeypatch.setattr(thumbnail, "_darkened", spied)
    # Without its ink the thumbnail shows what the ink stands on, after compression.
    monkeypatch.setattr(thumbnail.lettering.Setting, "draw", lambda self, *a: None)
    thumbnail.draw(
        tmp_path / "thumbnail.jpg",
        title=TITLES[language],
        language=language,
        picture=tmp_path / "scene.png",
        style=styles.load("paper"),
    )
    with Image.open(tmp_path / "thumbnail.jpg") as image:
        light = thumbnail.luminance(np.asarray(image, dtype=float))
    assert boxes
    for left, top, right, bottom in boxes:
        assert 1.05 / (light[top:bottom, left:right].max() + 0.05) >= 4.5


@pytest.mark.parametrize("style", styles.names())
@pytest.mark.parametrize("picture", ["noise", None])
def test_it_is_a_jpeg_of_the_right_size_and_weight(
    picture: str | None, style: str, tmp_path: Path
) -> None:
    scene = tmp_path / "scene.png"
    if picture:
        ground(picture).save(scene)
    made = []
    for _ in range(2):
        thumbnail.draw(
            tmp_path / "t.partial",
            title=LONG,
            language="en",
            picture=scene if picture else None,
            style=styles.load(style),
        )
        made.append((tmp_path / "t.partial").read_bytes())
    assert made[0] == made[1]
    assert len(made[0]) < 2_000_000
    with Image.open(tmp_path / "t.partial") as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (1280, 720), "RGB")


@pytest.mark.parametrize("language", get_args(Language))
def test_the_title_still_reads_at_the_size_of_a_stamp(language: Language, tmp_path: Path) -> None:
    ground("noise").save(tmp_path / "scene.png")
    thumbnail.draw(
        tmp_path / "t.jpg",
        title=TITLES[language],
        language=language,
        picture=tmp_path / "scene.png",
        style=styles.load("paper"),
    )
    with Image.open(tmp_path / "t.jpg") as image:
        stamp = np.asarray(image.convert("L").resize((168, 94), Image.Resampling.LANCZOS))
    bright = np.nonzero((stamp > 200).any(axis=1))[0]
    assert np.ptp(bright) >= 28  # rows of type, of 94
    assert bright.max() < 94 - 5


def test_a_title_stays_left_of_and_above_the_edges(tmp_path: Path) -> None:
    Image.new("RGB", (1280, 720), "black").save(tmp_path / "scene.png")
    for title, language in ((LONG, "en"), ("W" * 200, "en"), ("燈" * 200, "zh-TW")):
        thumbnail.draw(
            tmp_path / "t.jpg",
            title=title,
            language=language,
            picture=tmp_path / "scene.png",
            style=styles.load("paper"),
        )
        with Image.open(tmp_path / "t.jpg") as image:
            rows, columns = np.nonzero(np.asarray(image.convert("L")) > 120)
        assert columns.min() >= 56
        assert columns.max() <= 1280 - 56
        assert rows.min() >= 56
        assert rows.max() <= 720 - 48


def test_an_empty_title_leaves_the_picture_alone(tmp_path: Path) -> None:
    Image.new("RGB", (1280, 720), (90, 90, 90)).save(tmp_path / "scene.png")
    thumbnail.draw(
        tmp_path / "t.jpg",
        title=" ",
        language="en",
        picture=tmp_path / "scene.png",
        style=styles.load("paper"),
    )
    with Image.open(tmp_path / "t.jpg") as image:
        assert np.asarray(image)[:300].min() > 80


def test_a_broken_picture_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "scene.png").write_text("no", encoding="utf-8")
    with pytest.raises(InputError):
        thumbnail.draw(
            tmp_path / "t.jpg",
            title="Tea",
            language="en",
            picture=tmp_path / "scene.png",
            style=styles.load("paper"),
        )
    assert not (tmp_path / "t.jpg").exists()
