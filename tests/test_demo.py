"""The demo that ships: all languages tell the same story over the same sound pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import app
from app import language, story
from app.media import fonts, pictures

DEMO = Path(app.__file__).parent / "demo"
STORIES = {
    "en": DEMO / "story.md",
    "zh-TW": DEMO / "story.zh-TW.md",
    "ja": DEMO / "story.ja.md",
}


@pytest.mark.parametrize("tag", STORIES)
def test_a_story_is_five_scenes_of_about_forty_seconds(tag: language.Language) -> None:
    told = story.read(STORIES[tag])
    script = told.script
    assert script is not None
    assert script.language == tag
    assert [scene.visual.kind for scene in script.scenes].count("card") == 1
    assert len(script.scenes) == 5
    seconds = sum(language.reading_seconds(scene.narration, tag) for scene in script.scenes)
    assert 30 <= seconds <= 45
    words = script.title + "".join(s.heading + s.narration for s in script.scenes)
    assert fonts.missing(words, tag) == ""


def test_all_stories_show_the_same_pictures_in_the_same_order() -> None:
    shown = []
    for path in STORIES.values():
        script = story.read(path).script
        assert script is not None
        shown.append([(scene.visual.kind, scene.visual.path) for scene in script.scenes])
    assert shown[0] == shown[1] == shown[2]


@pytest.mark.parametrize("path", sorted((DEMO / "pictures").iterdir()), ids=lambda path: path.name)
def test_a_picture_is_sound_large_enough_and_light(path: Path) -> None:
    pictures.check(path)
    assert path.stat().st_size <= 450_000
    with Image.open(path) as image:
        assert image.size == (2400, 1350)
    names = {picture for file in STORIES.values() for picture in story.read(file).pictures}
    assert f"pictures/{path.name}" in names
