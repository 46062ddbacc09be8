"""What a run would tell and cost, said beforehand; a second publication; what `show` says of one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

import app.cli
from app import disk, pipeline, settings
from app.errors import InputError
from app.pipeline import create_project, preview, preview_of
from app.project import STAGE_ORDER, Project
from app.tasks._context import inputs_of

YOUTUBE = "https://www.youtube.com/watch?v="
SESSION = "private/publish-session.json"


@pytest.fixture
def youtube(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    monkeypatch.setenv("PUBLISHER", "youtube")
    settings.get.cache_clear()
    token = data_dir / "private" / "youtube_token.json"
    token.parent.mkdir(parents=True)
    names = ("refresh_token", "client_id", "client_secret")
    token.write_text(json.dumps(dict.fromkeys(names, "1-x")))


@pytest.mark.usefixtures("youtube")
def test_without_a_token_nothing_is_made_that_could_not_be_published(data_dir: Path) -> None:
    project = create_project({"topic": "the tides"})
    (data_dir / "private" / "youtube_token.json").unlink()
    assert [p["code"] for p in preview(project.id)["problems"]] == ["youtube_auth_missing"]


def reelchain(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app.cli.app, arguments, input=answer)


def finished(title: str = "Tides") -> Project:
    """Return a project whose stages are all made, of little more than a script."""
    return completed(create_project({"topic": "the tides"}), title)


def completed(project: Project, title: str = "Tides") -> Project:
    script = json.dumps({"title": title, "scenes": [{"id": "s1", "narration": "The sea."}]})
    project.make(
        "script.json",
        stage="script_generation",
        inputs={"of": "a test"},
        build=lambda path: disk.write(path, script.encode()),
    )
    with project.transaction() as state:
        for stage in STAGE_ORDER:
            state.stage(stage).inputs = inputs_of(project, state, stage)
            state.stage(stage).status = "completed"
        state.status = "completed"
    return project


def published(*, by: str = "youtube", **facts: Any) -> Project:
    """Return a finished project with a publication and its session, made by hand."""
    project = finished()
    marker = f"rc-{project.id}-0123456789ab"
    publication = {
        "publisher": by, "url": f"{YOUTUBE}abc", "video_id": "abc", "marker": marker,
        "published_at": "2026-11-22T10:00:00Z", "film": "x", "facts": facts,
    }  # fmt: skip
    with project.transaction() as state:
        state.publication = publication
    session = {"marker": marker, "upload": {"uri": "https://secret"}, "video_id": "abc"}
    (project.folder / SESSION).write_text(json.dumps(session))
    return project


def everything(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def to_make(planned: dict[str, Any]) -> list[str]:
    return [stage for stage, found in planned["stages"].items() if found == "to_make"]


# -- what would happen


@pytest.mark.usefixtures("youtube")
def test_it_says_what_would_be_told_with_the_marker_counted() -> None:
    project = create_project(
        {"text": "# 海\n\n海水是鹹的。", "description": "字" * 100, "category": "science"}
    )
    before = everything(project.folder)
    planned = preview(project.id)
    assert everything(project.folder) == before
    assert to_make(planned) == list(STAGE_ORDER)
    told = planned["announcement"]
    assert (told["title"], told["privacy"], told["category"]) == ("海", "private", "science")
    assert told["description"] == f"{'字' * 100}\n\nref rc-{project.id}-…"
    assert planned["description_bytes"] == 300 + len(f"\n\nref rc-{project.id}-") + 12
    assert planned["quota"]["cost"]["videos.insert"] == 1
    assert planned["quota"]["fits"] == 19
    assert planned["estimate"]["seconds"] > 0
    assert planned["problems"] == []


@pytest.mark.usefixtures("youtube")
def test_a_marker_that_is_drawn_already_is_shown() -> None:
    project = create_project({"text": "# Tea\n\nBoil it."})
    (project.folder / SESSION).write_text(json.dumps({"marker": f"rc-{project.id}-abcdefabcdef"}))
    planned = preview(project.id)
    assert planned["announcement"]["description"] == f"ref rc-{project.id}-abcdefabcdef"
    assert planned["description_bytes"] == len(planned["announcement"]["description"])


def test_a_folder_gets_no_marker_and_has_no_quota() -> None:
    planned = preview(create_project({"text": "# Tea\n\nBoil it.", "description": "Short."}).id)
    assert planned["publisher"] == "folder"
    assert planned["announcement"]["description"] == "Short."
    assert planned["quota"] is None


WRONG: dict[str, dict[str, Any]] = {
    "youtube_title": {"title": "x" * 101},
    "youtube_description": {"description": "字" * 1660},
    "youtube_category": {"category": "cooking"},
}


@pytest.mark.usefixtures("youtube")
def test_what_youtube_would_refuse_is_said_before() -> None:
    for code, fields in WRONG.items():
        project = create_project({"text": "# Tea\n\nBoil it.", **fields})
        assert [problem["code"] for problem in preview(project.id)["problems"]] == [code]
    done = reelchain("run", "1", "--dry-run", "--json")
    assert done.exit_code == InputError.exit_code
    assert [problem["code"] for problem in json.loads(done.stdout)["problems"]] == ["youtube_title"]
    assert "[youtube_title]" in done.stderr


def test_what_is_made_is_not_made_again_but_for_what_is_asked() -> None:
    project = finished()
    assert to_make(preview(project.id)) == []
    assert preview(project.id)["estimate"]["to_make"] == 0
    with project.transaction() as state:
        state.spec = state.spec.model_copy(update={"captions": False})
    project.path("script.json").write_text("{}")
    assert to_make(preview(project.id))[0] == "script_generation"


def test_a_later_stage_asked_for_is_the_first_to_be_made() -> None:
    project = finished()
    planned = preview(project.id, from_stage="thumbnail_generation")
    assert to_make(planned) == ["thumbnail_generation", "youtube_upload"]
    assert planned["announcement"]["title"] == "Tides"
    with pytest.raises(InputError, match="no stage"):
        preview(project.id, from_stage="lunch")  # type: ignore[arg-type] # what a user types


def test_a_script_changed_by_hand_is_what_would_be_told() -> None:
    project = finished()
    script = {"title": "By hand", "scenes": [{"id": "s1", "narration": "The sea."}]}
    project.path("script.json").write_text(json.dumps(script))
    assert preview(project.id)["announcement"]["title"] == "By hand"
    anew = preview(project.id, from_stage="script_generation")
    assert anew["announcement"]["title"] != "By hand"
    project.path("script.json").write_text("{")
    assert [p["code"] for p in preview(project.id)["problems"]] == ["script_invalid"]


def test_of_a_topic_for_a_writer_outside_nothing_is_told_and_nothing_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from app import providers

    project = create_project({"topic": "Tea"})
    monkeypatch.setitem(providers.TABLE["script"], "paid", "nowhere.Paid")
    monkeypatch.setenv("SCRIPT_PROVIDER", "paid")
    settings.get.cache_clear()
    planned = preview(project.id)
    assert (planned["announcement"], planned["title"]) == (None, "Tea")


# -- of what is not made yet


def test_make_dry_run_makes_nothing_and_sees_an_edit(tmp_path: Path, data_dir: Path) -> None:
    path = tmp_path / "tea.md"
    path.write_text("# Tea\n\nBoil it.\n")
    planned = json.loads(reelchain("make", str(path), "--dry-run", "--json").stdout)
    assert (planned["project_id"], planned["title"]) == (1, "Tea")
    assert pipeline.listing() == []
    made = create_project(path)
    before = everything(made.folder)
    path.write_text("# Green tea\n\nBoil it.\n")
    planned = preview_of(path, overrides={"privacy": "public"}, update=made)
    assert (planned["project_id"], planned["title"]) == (1, "Green tea")
    assert planned["announcement"]["privacy"] == "public"
    assert everything(made.folder) == before
    assert reelchain("make", "A topic", "--dry-run").exit_code == 0
    assert [row["project_id"] for row in pipeline.listing()] == [1]


def test_an_edited_file_is_remade_from_what_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "tea.md"
    path.write_text("# Tea\n\nBoil it.\n")
    made = completed(create_project(path), "Tea")
    assert to_make(preview_of(path, update=made)) == []
    planned = preview_of(path, overrides={"captions": False}, update=made)
    assert to_make(planned)[0] == "video_rendering"
    path.write_text("# Green tea\n\nBoil it.\n")
    planned = preview_of(path, update=made)
    assert to_make(planned) == list(STAGE_ORDER)
    assert planned["title"] == "Green tea"


def test_a_project_at_work_can_not_be_planned_for_what_would_change_it() -> None:
    project = finished()
    project.begin_run(STAGE_ORDER)
    for how in ({"republish": True}, {"from_stage": "youtube_upload"}):
        with pytest.raises(InputError) as caught:
            preview(project.id, **how)  # type: ignore[arg-type] # both ways of one signature
        assert caught.value.code == "project_running"


# -- published already


@pytest.mark.usefixtures("youtube")
def test_an_edit_after_the_publication_is_a_problem_unless_a_second_video_is_meant() -> None:
    project = published()
    assert preview(project.id)["problems"] == []
    with project.transaction() as state:
        state.spec = state.spec.model_copy(update={"privacy": "public"})
    (problem,) = preview(project.id)["problems"]
    assert problem["code"] == "already_published"
    assert f"{YOUTUBE}abc" in problem["message"]
    planned = preview(project.id, republish=True)
    assert (planned["problems"], planned["second"]) == ([], True)
    assert planned["announcement"]["description"].endswith("…"), "a second one has its own marker"


@pytest.mark.usefixtures("youtube")
def test_what_a_folder_got_is_published_already_for_youtube() -> None:
    project = published(by="folder")
    planned = preview(project.id, from_stage="youtube_upload")
    assert "already_published" in [problem["code"] for problem in planned["problems"]]


# -- a second publication


@pytest.mark.redis
@pytest.mark.usefixtures("redis_url")
def test_republish_puts_the_first_aside_and_keeps_its_record() -> None:
    project = published()
    first = project.state().publication
    assert first is not None
    pipeline.start(project.id, republish=True)
    state = project.state()
    assert state.publication is None
    assert state.run.on_its_way
    assert state.stage("youtube_upload").status == "pending"
    assert state.stage("thumbnail_generation").status == "completed"
    kept = project.folder / f"private/publish-session-{first['marker']}.json"
    assert json.loads(kept.read_text())["video_id"] == "abc"
    assert not (project.folder / SESSION).exists()
    history = (project.folder / "events.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in history]
    assert [event["publication"] for event in told if event["code"] == "republish"] == [first]
    with pytest.raises(InputError) as caught:
        pipeline.start(project.id, republish=True)
    assert caught.value.code == "project_running"


@pytest.mark.redis
@pytest.mark.usefixtures("redis_url")
def test_republish_of_what_was_never_published_is_a_plain_start() -> None:
    project = create_project({"topic": "Tea"})
    done = pipeline.start(project.id, republish=True)
    assert project.state().run.on_its_way
    assert done.id in project.state().callers


HALF_DONE: dict[str, Callable[[Project], None]] = {
    "an upload without a video": lambda project: _session(project, upload={"uri": "u"}),
    "a video that is recorded nowhere": lambda project: _session(project, video_id="abc"),
    "a session that was lost": lambda project: _session(project, lost=True),
    "no private folder": lambda project: shutil.rmtree(project.folder / "private"),
}


def _session(project: Project, **facts: Any) -> None:
    document = {"marker": f"rc-{project.id}-0123456789ab", **facts}
    (project.folder / SESSION).write_text(json.dumps(document))


@pytest.mark.parametrize("name", HALF_DONE)
def test_a_publication_half_done_is_finished_first(name: str) -> None:
    project = finished()
    with project.transaction() as state:
        state.stage("youtube_upload").facts["marker"] = f"rc-{project.id}-0123456789ab"
    HALF_DONE[name](project)
    before = everything(project.folder)
    with pytest.raises(InputError) as caught:
        pipeline.start(project.id, republish=True)
    assert caught.value.code == "publication_unfinished"
    assert {path for path in everything(project.folder) if ".lock" not in path} == {
        path for path in before if ".lock" not in path
    }
    codes = [problem["code"] for problem in preview(project.id, republish=True)["problems"]]
    assert "publication_unfinished" in codes


def test_a_second_video_is_asked_for_and_without_an_answer_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = published()
    for extra in ([], ["--json"]):
        done = reelchain("run", str(project.id), "--republish", *extra)
        assert done.exception is not None
        assert getattr(done.exception, "code", None) == "confirmation_needed"
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    refused = reelchain("run", str(project.id), "--republish", answer="n\n")
    assert refused.exit_code == 1
    assert f"the first stays at {YOUTUBE}abc" in refused.stderr
    assert project.state().publication is not None


# -- what is shown


def test_show_says_where_the_video_is_and_how_visible() -> None:
    project = published(privacy="private", processing="processed", playlist="Kitchen")
    lines = [" ".join(line.split()) for line in reelchain("show", "1").stdout.splitlines()]
    assert [f"published {YOUTUBE}abc", "privacy private", "playlist Kitchen"] == lines[
        (at := lines.index(f"published {YOUTUBE}abc")) : at + 3
    ]
    assert "processing processed" in lines
    facts = json.loads(reelchain("show", "1", "--json").stdout)["publication"]["facts"]
    assert facts["processing"] == "processed"
    with project.transaction() as state:
        later = state.spec.model_dump() | {"publish_at": "2035-05-01T18:00+02:00"}
        state.spec = type(state.spec).model_validate(later)
    assert "private, public from 2035-05-01T18:00:00+02:00" in reelchain("show", "1").stdout


@pytest.mark.usefixtures("youtube")
def test_a_dry_run_is_told_to_people_as_well() -> None:
    create_project({"text": "# Tea\n\nBoil it.", "playlist": "Kitchen", "description": "A\nB"})
    lines = [" ".join(x.split()) for x in reelchain("run", "1", "--dry-run").stdout.splitlines()]
    for line in ("publisher youtube", "title Tea", "privacy private", "playlist Kitchen", "| B"):
        assert line in lines
    assert lines.index("| ref rc-1-…") == lines.index("| B") + 2
    assert [line for line in lines if line.endswith("19 such videos fit today")]
