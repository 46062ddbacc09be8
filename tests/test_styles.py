"""Every shipped style is legible, and a wrong one is refused by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from app.cli import app
from app.errors import InputError
from app.media import contact, styles
from app.media.styles import reading
from app.pipeline import create_project

PAPER = (styles.FOLDER / "paper.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", styles.names())
def test_every_pair_of_colours_that_meet_can_be_read(name: str) -> None:
    assert reading.illegible(styles.load(name)) == []


@pytest.mark.parametrize("name", styles.names())
def test_the_marked_word_differs_from_the_others(name: str) -> None:
    captions = styles.load(name).captions
    assert sum(abs(a - b) for a, b in zip(captions.text, captions.mark, strict=True)) > 100


def test_paper_is_the_default_and_styles_are_frozen() -> None:
    assert styles.names()[0] == styles.DEFAULT == "paper"
    style = styles.load("paper")
    assert style.name == "paper"
    assert style.colours.background == (0xF6, 0xEF, 0xE3)
    assert styles.load("paper") is style
    with pytest.raises(dataclasses.FrozenInstanceError):
        style.motion = 1.0  # type: ignore[misc] # that is the point


@pytest.mark.parametrize("name", ["neon", "", "../paper", "paper.yaml", "Paper"])
def test_an_unknown_style_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(InputError) as caught:
        styles.load(name)
    assert caught.value.code == "style_unknown"
    assert "paper" in caught.value.hint
    assert "night" in caught.value.hint
    assert "swiss" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("motion: 0.7", "motoin: 0.7"), ["motoin is no setting", "motion is missing"]),
        (("  margin: 0.09", "  margins: 0.09"), ["scale.margins is no setting"]),
        (('"#f6efe3"', '"cream"'), ["colours.background", "#rrggbb"]),
        (('"#f6efe3"', "17"), ["colours.background", "#rrggbb"]),
        (("motion: 0.7", "motion: 7"), ["motion", "less than or equal to 1"]),
        (("texture: 0.5", "texture: .nan"), ["texture"]),
        (("title: 0.165", "title: 0"), ["scale.title", "greater than"]),
        (("zone: 0.22", "zone: 0.9"), ["captions.zone", "less than"]),
        (("motion: 0.7", "motion: 0.7\nname: other"), ["name is no setting"]),
        (("ground: hills", "ground: lake"), ["cards.ground", "hills"]),
        (("colours:", "colours: ["), ["not YAML in line"]),
        ((PAPER, "- a\n- list\n"), ["not a mapping"]),
        ((PAPER, ""), ["not a mapping"]),
        ((PAPER, "base: nothing"), ["base is none of", "paper"]),
        ((PAPER, "base: [paper]"), ["base is none of"]),
        ((PAPER, 'base: paper\ncolours: {ink: "#998877"}'), ["colours.ink on", "contrast of"]),
        ((PAPER, "base: paper\ncolours: 3"), ["colours"]),
        ((PAPER, "base: paper\ndescription: 2026-13-45"), ["month must be"]),
    ],
)
def test_a_wrong_file_is_refused_by_key(
    change: tuple[str, str], said: list[str], tmp_path: Path
) -> None:
    assert change[0] in PAPER
    file = tmp_path / "mine.yaml"
    file.write_text(PAPER.replace(*change), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        styles.read(file)
    assert caught.value.code == "style_invalid"
    assert "mine.yaml" in caught.value.message
    assert str(tmp_path) not in str(caught.value)
    for words in said:
        assert words in caught.value.message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="can't be read"):
        styles.read(file)
    with pytest.raises(InputError, match="can't be read"):
        styles.read(tmp_path / "absent.yaml")


@pytest.fixture
def own(data_dir: Path) -> Path:
    """The user's folder, with a style in it."""
    folder = data_dir / "styles"
    folder.mkdir(parents=True)
    (folder / "harbour.yaml").write_text(
        'base: night\ncolours: {accent: "#8fd8ff"}\nmusic: {mood: calm}\n', encoding="utf-8"
    )
    return folder


def test_a_style_of_the_users_changes_only_what_it_names(own: Path) -> None:
    night, harbour = styles.load("night"), styles.load("harbour")
    assert styles.names()[-1] == "harbour"
    assert (harbour.name, harbour.description) == ("harbour", "Like night")
    assert harbour.colours == dataclasses.replace(night.colours, accent=(0x8F, 0xD8, 0xFF))
    assert harbour.music == dataclasses.replace(night.music, mood="calm")
    assert harbour.captions == night.captions


def test_what_a_changed_file_shapes_is_made_anew_and_nothing_else(own: Path) -> None:
    before = styles.digest(styles.load("harbour"))
    (own / "harbour.yaml").write_text('base: night\ncolours: {accent: "#8fd8ff"}\n')
    assert styles.digest(styles.load("harbour")) == before, "music draws nothing"
    (own / "harbour.yaml").write_text('base: night\ncolours: {accent: "#8fd8fe"}\n')
    assert styles.digest(styles.load("harbour")) != before


def test_a_file_with_a_name_of_ours_is_refused(own: Path) -> None:
    (own / "paper.yaml").write_text(PAPER, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        styles.load("paper")
    assert caught.value.code == "style_taken"
    assert styles.load("ink").name == "ink"


def test_a_project_is_refused_before_it_is_made_where_its_style_is_not_there(own: Path) -> None:
    with pytest.raises(InputError) as caught:
        create_project({"topic": "Tea", "style": "harbor"})
    assert caught.value.code == "style_unknown"
    assert "paper, ink, night, pop, swiss, harbour" in caught.value.hint
    assert not (own.parent / "projects").exists()
    assert create_project({"topic": "Tea", "style": "harbour"}).state().spec.style == "harbour"


def test_the_command_lists_ours_and_the_users_and_names_what_is_wrong(own: Path) -> None:
    (own / "broken.yaml").write_text("base: paper\nmotion: 7\n", encoding="utf-8")
    (own / "My style.yaml").write_text("base: paper\n", encoding="utf-8")
    ran = CliRunner().invoke(app, ["styles", "--json", "--no-sheet"], catch_exceptions=False)
    found = json.loads(ran.stdout)
    rows = {row["name"]: row for row in found["styles"]}
    assert found["folder"] == str(own)
    assert found["sheet"] is None
    assert rows["ink"]["origin"] == "built in"
    assert rows["harbour"]["origin"] == str(own / "harbour.yaml")
    assert "motion" in rows["broken"]["error"]["message"]
    assert "small letters" in rows["My style"]["error"]["hint"]
    table = CliRunner().invoke(app, ["styles", "--no-sheet"], catch_exceptions=False)
    assert all(name in table.stdout for name in ("paper", "harbour", "built in", str(own)))
    assert "style_invalid" in table.stderr


@pytest.mark.slow
def test_the_sheet_shows_what_differs_and_is_drawn_once(own: Path, tmp_path: Path) -> None:
    from app.cli.styles import PICTURE

    target, said = tmp_path / "sheet.png", list[str]()
    shown = [styles.load("harbour")]

    def draw() -> bool:
        return contact.sheet(target, shown, language="ja", picture=PICTURE, report=said.append)

    assert draw()
    with Image.open(target) as image:
        tiles = [image.crop((x, 130, x + 590, 440)).resize((1, 1)) for x in (50, 1270)]
    assert tiles[0].getpixel((0, 0))[2] > tiles[0].getpixel((0, 0))[0], "a blue night"
    assert tiles[0].tobytes() != tiles[1].tobytes()
    assert not draw()
    assert said == ["harbour"]
    shown[0] = dataclasses.replace(
        shown[0], music=dataclasses.replace(shown[0].music, mood="bright")
    )
    assert draw(), "what its label tells has changed"
