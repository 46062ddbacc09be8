"""Thumbnails: the right file, read at the size of a stamp on any picture, and never over a face."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw

from app.errors import InputError
from app.media import contrast, styles, thumbnail
from app.media.thumbnail import layouts, scene
from app.models import Language

TITLES: dict[Language, str] = {
    "en": "The lighthouse that counts the stars",
    "zh-TW": "為什麼天燈會飛？從一張紙和一把火談起",
    "ja": "灯台はなぜ星を数えるのか",
}
LONG = "How a village of nine hundred people built its own railway, and why it still runs " * 2
FACE = Path(__file__).with_name("face.jpg")
PAPER = styles.load("paper")


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


def sheet(
    title: str, language: Language, style: styles.Style, picture: Image.Image
) -> layouts.Sheet:
    found = scene.Scene(0, picture, (), np.full((20, 30), 1 / 600, np.float32), False, 0.5)
    return layouts.Sheet(title, language, style, found)


@pytest.mark.parametrize(
    ("kind", "language", "style"),
    [
        ("noise", "zh-TW", "ink"),
        pytest.param("white", "en", "paper", marks=pytest.mark.slow),
        pytest.param("stripes", "ja", "pop", marks=pytest.mark.slow),
        pytest.param("noise", "en", "swiss", marks=pytest.mark.slow),
        pytest.param("black", "zh-TW", "night", marks=pytest.mark.slow),
    ],
)
def test_every_composition_is_legible_on_every_picture(
    kind: str, language: Language, style: str
) -> None:
    given = sheet(TITLES[language], language, styles.load(style), ground(kind))
    for name, layout in layouts.LAYOUTS.items():
        if (made := layout(given)) is None:
            assert name == "card"
            continue
        facts = thumbnail._measured(made, given).facts
        assert facts.contrast >= 4.5, name
        assert facts.lines <= 3
        assert facts.whole
        left, top, *_ = thumbnail.BADGE
        for box in made.boxes:
            assert 40 <= box[0] < box[2] <= 1280 - 40, name
            assert 40 <= box[1] < box[3] <= 720 - 40, name
            assert box[2] <= left or box[3] <= top, name  # the duration stands there


def test_contrast_is_measured_around_the_letters_alone() -> None:
    picture = Image.new("RGB", (200, 100), (118, 118, 118))  # 4.54 with white
    letters = Image.new("L", (200, 100))
    for image, ink in ((picture, (255, 255, 255)), (letters, 255)):
        ImageDraw.Draw(image).rectangle((40, 30, 120, 60), fill=ink)
    ImageDraw.Draw(picture).rectangle((150, 0, 200, 100), fill="white")  # far from them
    ratio = contrast.around(np.asarray(picture), np.asarray(letters))
    assert ratio == pytest.approx(4.54, abs=0.01)
    ImageDraw.Draw(picture).rectangle((121, 0, 126, 100), fill=(150, 150, 150))
    assert contrast.around(np.asarray(picture), np.asarray(letters)) < 3.1
    assert contrast.around(np.asarray(picture), np.zeros((100, 200))) == 21


def test_luminance_by_table_is_luminance() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    found = contrast.luminance(pixels)
    assert np.allclose(found, contrast.luminance(pixels.astype(float)))
    assert found.min() >= 0
    assert contrast.luminance(np.array([255, 255, 255.0])) == pytest.approx(1)


def test_it_is_a_jpeg_of_the_right_size_and_weight(tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        facts = thumbnail.draw(
            tmp_path / "t.partial", title=LONG, language="en", pictures=[], style=PAPER
        )
        made.append(((tmp_path / "t.partial").read_bytes(), facts))
    assert made[0] == made[1]
    assert "ellipsis" in made[0][1].warnings[0]
    with Image.open(tmp_path / "t.partial") as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (1280, 720), "RGB")
    noise = np.random.default_rng(3).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    assert len(thumbnail._jpeg(Image.fromarray(noise))) < 2_000_000


@pytest.mark.parametrize("language", get_args(Language))
def test_the_best_one_is_read_at_the_size_of_a_stamp(language: Language, tmp_path: Path) -> None:
    facts = thumbnail.draw(
        tmp_path / "t.jpg", title=TITLES[language], language=language, pictures=[], style=PAPER
    )
    assert facts.letter >= (8 if language == "en" else 9)
    assert not facts.warnings
    with Image.open(tmp_path / "t.jpg") as image:
        stamp = np.asarray(image.convert("L").resize((168, 94), Image.Resampling.LANCZOS))
    assert (stamp < 70).any(axis=1).sum() >= 2 * facts.letter * 0.8  # rows of type


def test_small_letters_are_told_of() -> None:
    title = "Seventy words too many, said of a lighthouse, a village and a kettle of tea"
    small = thumbnail.candidates(title=title * 2, language="en", pictures=[], style=PAPER)[0]
    assert any("8" in sentence or "ellipsis" in sentence for sentence in small.facts.warnings)


def test_no_title_stands_on_a_face(tmp_path: Path) -> None:
    image = Image.new("RGB", (1280, 720), (70, 90, 110))
    with Image.open(FACE) as opened:
        image.paste(opened.resize((640, 640)), (0, 80))
    image.save(tmp_path / "p.png")
    made = thumbnail.candidates(
        title=TITLES["zh-TW"], language="zh-TW", pictures=[tmp_path / "p.png"], style=PAPER
    )
    assert not made[0].facts.covers
    assert any(one.facts.covers for one in made)  # others would have


def test_the_best_picture_is_shown_and_a_page_only_whole(tmp_path: Path) -> None:
    Image.new("RGB", (1280, 720), (128, 126, 124)).save(tmp_path / "dull.png")
    page = Image.new("RGB", (1280, 720), "white")
    for row in range(12):
        ImageDraw.Draw(page).text((60, 40 + 52 * row), "word " * 24, fill="black", font_size=30)
    page.save(tmp_path / "page.png")
    with Image.open(FACE) as opened:
        opened.resize((720, 720)).save(tmp_path / "face.png")
    paths = [tmp_path / name for name in ("dull.png", "page.png", "face.png")]
    order = scene.best(paths, PAPER, most=3)
    assert order[0].number == 2
    only = thumbnail.candidates(title="Tea", language="en", pictures=paths[1:2], style=PAPER)
    assert {one.facts.composition for one in only} == {"split", "mirrored"}


def test_lines_end_where_clauses_do() -> None:
    score = thumbnail._against_sense
    assert score(("為什麼天燈會", "飛？從一張紙", "和一把火談起"), TITLES["zh-TW"]) == 1
    assert score(("為什麼天燈會飛？", "從一張紙和一把火談起"), TITLES["zh-TW"]) == 0
    assert score(("The lighthouse", "that counts"), "The lighthouse that counts") == 0


def test_an_empty_title_leaves_the_picture_alone(tmp_path: Path) -> None:
    Image.new("RGB", (1280, 720), (90, 90, 90)).save(tmp_path / "scene.png")
    thumbnail.draw(
        tmp_path / "t.jpg",
        title=" ",
        language="en",
        pictures=[tmp_path / "scene.png"],
        style=PAPER,
    )
    with Image.open(tmp_path / "t.jpg") as image:
        assert image.size == (1280, 720)


def test_a_broken_picture_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "scene.png").write_text("no", encoding="utf-8")
    with pytest.raises(InputError):
        thumbnail.draw(
            tmp_path / "t.jpg",
            title="Tea",
            language="en",
            pictures=[tmp_path / "scene.png"],
            style=PAPER,
        )
    assert not (tmp_path / "t.jpg").exists()
