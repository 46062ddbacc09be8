"""What is told where a video is published: read from stories, mappings, playlists and options."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

import app.cli
from app import pipeline, settings
from app.errors import InputError
from app.models import ProjectSpec
from app.pipeline import create_batch, create_project
from app.project import Project

LATER = "2035-05-01T18:00+02:00"


@pytest.fixture
def in_taipei(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Taipei")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def story(folder: Path, *lines: str) -> Path:
    path = folder / "story.md"
    path.write_text("\n".join(["---", *lines, "---", "# Tea", "", "Boil the water."]))
    return path


def spec_of(number: int) -> ProjectSpec:
    return Project.open(settings.get().projects_dir, number).state().spec


def reelchain(*arguments: str) -> Result:
    return CliRunner().invoke(app.cli.app, arguments)


# -- read


def test_a_story_says_all_of_it(tmp_path: Path) -> None:
    path = story(
        tmp_path,
        "privacy: private",
        f"publish_at: {LATER}",
        "category: Science",
        "made_for_kids: yes",
        "synthetic_media: off",
        "notify: no",
        "playlist: Kitchen basics",
    )
    spec = create_project(path).state().spec
    assert spec.publish_at == datetime(2035, 5, 1, 16, tzinfo=UTC)
    assert (spec.privacy, spec.category, spec.playlist) == ("private", "science", "Kitchen basics")
    assert (spec.made_for_kids, spec.synthetic_media, spec.notify) == (True, False, False)


def test_nobody_sees_a_video_and_its_voice_is_a_machines_unless_somebody_says_otherwise() -> None:
    spec = create_project({"topic": "Tea"}).state().spec
    assert (spec.privacy, spec.publish_at, spec.playlist) == ("private", None, None)
    assert (spec.made_for_kids, spec.synthetic_media) == (False, True)


@pytest.mark.parametrize(("given", "kept"), [("27", "27"), (22, "22"), ("  HowTo ", "howto")])
def test_a_category_is_a_name_or_a_number(given: Any, kept: str) -> None:
    assert create_project({"topic": "Tea", "category": given}).state().spec.category == kept


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("privacy: secret", "'private', 'unlisted' or 'public'"),
        ("made_for_kids: perhaps", "boolean"),
        ("publish_at: tomorrow", "2030-05-01T18:00+02:00"),
        ("category: '!'", "category"),
        (f"playlist: {'x' * 151}", "150"),
        ("privasy: public", "privacy"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        create_project(story(tmp_path, "style: paper", line))
    assert "story.md, line 3:" in caught.value.message
    assert told in str(caught.value)


@pytest.mark.usefixtures("in_taipei")
def test_a_time_without_a_zone_is_refused_with_the_one_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2: publish_at .* no time zone") as caught:
        create_project(story(tmp_path, "publish_at: 2035-05-01 18:00"))
    assert "2035-05-01T18:00+08:00" in caught.value.message
    with pytest.raises(InputError, match=r"2035-05-01T00:00\+08:00") as caught:
        create_project({"topic": "Tea", "publish_at": "2035-05-01"})
    assert caught.value.code == "spec_invalid"


def test_a_state_keeps_the_time_as_it_was_given() -> None:
    made = create_project({"topic": "Tea", "publish_at": LATER})
    moment = made.state().spec.publish_at
    assert moment is not None
    assert moment.utcoffset() == timedelta(hours=2)


# -- refused as the project is made


@pytest.mark.parametrize("privacy", ["public", "unlisted"])
def test_only_a_private_video_becomes_public_later(tmp_path: Path, privacy: str) -> None:
    path = story(tmp_path, f"publish_at: {LATER}")
    with pytest.raises(InputError) as caught:
        create_project(path, overrides={"privacy": privacy})
    assert caught.value.code == "publish_at_not_private"
    assert pipeline.listing() == []


def test_a_time_that_is_over_is_refused_but_not_of_what_was_made_before(tmp_path: Path) -> None:
    made = create_project(story(tmp_path, f"publish_at: {LATER}"))
    past = datetime.now(UTC) - timedelta(seconds=1)
    with made.transaction() as state:
        state.spec = state.spec.model_copy(update={"publish_at": past})
    path = story(tmp_path, f"publish_at: {past.isoformat()}", "style: night")
    with pytest.raises(InputError) as caught:
        create_project(path)
    assert caught.value.code == "publish_at_past"
    pipeline.update_project(made.id, path)
    assert (spec_of(1).style, spec_of(1).publish_at) == ("night", past)
    with pytest.raises(InputError, match="over"):
        pipeline.update_project(made.id, path, overrides={"publish_at": "2020-01-01T00:00Z"})


# -- playlists


def test_a_batchs_title_is_the_playlist_of_who_says_none(tmp_path: Path) -> None:
    story(tmp_path, "playlist: My own")
    (tmp_path / "plain.md").write_text("# Tea\n\nBoil it.\n")
    path = tmp_path / "list.yaml"
    path.write_text(
        "title:  Kitchen   basics\nprojects:\n"
        "  - Toast\n  - plain.md\n  - story: story.md\n"
        "  - {topic: Tea, playlist: Drinks}\n  - {topic: Rice, playlist: none}\n"
    )
    lists = [spec_of(number).playlist for number in create_batch(path).projects]
    assert lists == ["Kitchen basics", "Kitchen basics", "My own", "Drinks", None]


@pytest.mark.parametrize(
    ("playlist", "title", "kept"),
    [
        (["Tea"], "", None),
        (["Tea"], "Drinks", "Drinks"),
        ([ProjectSpec(topic="Tea")], "Drinks", "Drinks"),
        ({"projects": ["Tea"], "title": "Own"}, "Drinks", "Own"),
        ({"projects": ["Tea"], "title": "Own", "defaults": {"playlist": "Ours"}}, "", "Ours"),
        ({"projects": ["Tea"], "title": "Own", "defaults": {"playlist": "none"}}, "", None),
    ],
)
def test_whose_word_on_the_playlist_counts(playlist: Any, title: str, kept: str | None) -> None:
    (number,) = create_batch(playlist, title=title).projects
    assert spec_of(number).playlist == kept


def test_a_title_too_long_for_a_playlist_is_no_silent_cut() -> None:
    with pytest.raises(InputError, match="150 characters") as caught:
        create_batch({"title": "x" * 151, "projects": ["Tea"]})
    assert caught.value.code == "playlist_invalid"
    create_batch({"title": "x" * 151, "projects": ["Tea"], "defaults": {"playlist": "none"}})


# -- options


def test_each_setting_is_an_option_of_new() -> None:
    done = reelchain(
        "new", "Tea", "--privacy", "private", "--publish-at", LATER, "--category", "27",
        "--made-for-kids", "--playlist", "Drinks", "--no-notify", "--no-synthetic",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    spec = spec_of(1)
    assert spec.publish_at == datetime(2035, 5, 1, 16, tzinfo=UTC)
    assert (spec.category, spec.playlist) == ("27", "Drinks")
    assert (spec.made_for_kids, spec.notify, spec.synthetic_media) == (True, False, False)


def test_an_option_wins_over_the_story_and_one_not_given_leaves_it(tmp_path: Path) -> None:
    path = story(tmp_path, "privacy: unlisted", "playlist: Kitchen", "notify: false")
    assert reelchain("new", str(path), "--playlist", "none").exit_code == 0
    assert (spec_of(1).privacy, spec_of(1).playlist, spec_of(1).notify) == ("unlisted", None, False)
