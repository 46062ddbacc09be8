"""What does not fit together in the data folder is told of, and mended when asked."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import app.cli
from _finished import SEGMENTS, VOICE, finished
from _redis import RedisServer
from app import batch, disk, pipeline, records, settings
from app.celery_app import celery_app
from app.doctor import Check, folders
from app.project import STAGE_ORDER, STATE, WORK, Project
from app.project import owner as owners
from app.tasks import dispatch


@pytest.fixture(autouse=True)
def database() -> Iterator[None]:
    yield
    records.close()


def recorded() -> None:
    """Let the database know what the folders know, so that it is no finding."""
    records.rebuild_history(settings.get().projects_dir)


def look(**options: bool) -> list[Check]:
    recorded()
    return folders.look(**options)


def mend() -> list[Check]:
    """Mend once; a second look must find nothing more of what was mended."""
    recorded()
    done = folders.look(fix=True)
    left = folders.look()
    assert {(c.name, c.what) for c in done if c.status == "mended"}.isdisjoint(
        (check.name, check.what) for check in left
    )
    return done


def well() -> bool:
    return [check.status for check in look()] == ["ok"]


# -- whole -------------------------------------------------------------------------------------


def test_a_whole_data_folder() -> None:
    finished()
    pipeline.create_project({"topic": "rain"})
    (check,) = look(deep=True)
    assert check.status == "ok"
    assert check.what == "2 projects, 0 batches: nothing to mend"


def test_only_looking_changes_nothing() -> None:
    project = finished()
    project.path(SEGMENTS[0]).unlink()
    project.path(f"render/segment/{9:020x}.mp4").write_bytes(b"x")
    (project.folder / ".tmp-left").touch()
    recorded()
    before = snapshot(project.folder)
    assert len(folders.look()) == 3
    assert snapshot(project.folder) == before


def snapshot(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.read_bytes() for path in files}


# -- files of a project --------------------------------------------------------------------------


def test_a_stage_without_its_file_is_made_again_and_no_more_than_that() -> None:
    project = finished()
    project.path(SEGMENTS[0]).unlink()
    (found,) = look()
    assert f"{SEGMENTS[0]} is gone" in found.what
    assert "video_rendering" in found.hint
    assert project.state().status == "completed"
    (done,) = mend()
    assert done.status == "mended"
    state = project.state()
    assert state.status == "pending"
    part = state.stage("video_rendering")
    assert part.status == "pending"
    assert set(part.artifacts) == {*SEGMENTS[1:], "render/sound.m4a", "captions.srt", "video.mp4"}
    assert dispatch.finished(project) is None
    assert state.stage("asset_generation").status == "completed"


def test_a_changed_file_of_the_same_size_is_found_by_reading() -> None:
    project = finished()
    voice = project.path(VOICE)
    voice.write_bytes(bytes(voice.stat().st_size))
    assert well()
    (found,) = look(deep=True)
    assert f"{VOICE} is changed" in found.what
    voice.write_bytes(b"")
    (found,) = look()
    assert f"{VOICE} is changed" in found.what


def test_the_users_files_are_never_touched() -> None:
    project = finished()
    script, odd = project.path("script.json"), project.path("render/my notes.txt")
    tale = project.path("source/.tmp-tale.md")
    for path in (script, odd, tale):
        path.write_text("mine")
    (settings.get().projects_dir / "backup of 1").mkdir()
    found = mend()
    assert {(check.name, check.status) for check in found} == {
        ("Project 1", "warn"),
        ("Projects", "warn"),
    }
    assert "render/my notes.txt" in found[0].what
    assert "backup of 1" in found[1].what
    assert [path.read_text() for path in (script, odd, tale)] == ["mine"] * 3


def test_strays_and_half_made_files_go() -> None:
    project = finished()
    stray = project.path(f"assets/picture/{9:020x}.png")
    stray.parent.mkdir()
    half = project.path("render/.tmp-abc-video.mp4")
    for path in (stray, half):
        path.write_bytes(b"x")
    assert {check.status for check in mend()} == {"mended"}
    assert not stray.exists()
    assert not half.exists()
    assert well()
    assert dispatch.finished(project) is not None


def test_a_project_at_work_is_left_alone() -> None:
    project = finished()
    stray = project.path(f"render/segment/{9:020x}.mp4")
    stray.write_bytes(b"x")
    with project.lock():
        assert well()
        assert mend()[0].status == "ok"
    assert stray.exists()


def test_who_comes_between_looking_and_mending_is_not_disturbed() -> None:
    project = finished()
    project.path(f"render/segment/{9:020x}.mp4").write_bytes(b"x")
    recorded()
    (finding,) = folders._findings(deep=False)
    with project.lock():
        assert finding.mended().status == "warn"


# -- states ------------------------------------------------------------------------------------


def test_a_damaged_state_is_written_anew_from_the_generation_before() -> None:
    project = finished()
    (project.folder / STATE).write_text("{")
    assert "not JSON" in look()[0].what
    mend()
    assert json.loads((project.folder / STATE).read_text())["project_id"] == project.id
    assert list(project.folder.glob("project_state.damaged-*.json"))
    assert well()


@pytest.mark.parametrize("name", ["source/story.md", "video.mp4"])
def test_files_without_a_state_are_only_told_of(name: str) -> None:
    folder = settings.get().projects_dir / "7"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    (found,) = mend()
    assert (found.name, found.status) == ("Project 7", "fail")
    assert (folder / name).read_text() == "mine"


def test_empty_folders_go() -> None:
    for folder in ("projects/7", "batches/3"):
        (settings.get().data_dir / folder).mkdir(parents=True)
    assert {check.status for check in mend()} == {"mended"}
    assert well()


def test_a_batch_without_its_file_is_told_of() -> None:
    folder = settings.get().batches_dir / "3"
    folder.mkdir(parents=True)
    (folder / "notes").touch()
    (found,) = mend()
    assert (found.name, found.status) == ("Batch 3", "fail")


def test_a_batch_and_its_marker_are_brought_together() -> None:
    made = pipeline.create_batch([{"topic": "rain"}])
    batch.begin(made.batch_id, "caller")
    marker = settings.get().batches_dir / ".running" / str(made.batch_id)
    marker.unlink()
    (found,) = mend()
    assert (found.name, found.status) == (f"Batch {made.batch_id}", "mended")
    assert marker.exists()
    idle = pipeline.create_batch([{"topic": "snow"}])
    (marker.parent / str(idle.batch_id)).touch()
    (found,) = mend()
    assert found.name == f"Batch {idle.batch_id}"
    assert batch.running() == [made.batch_id]


def test_half_made_projects_and_publications_go() -> None:
    finished()
    for folder in ("projects/.tmp-new", "published/.tmp-xyz"):
        (settings.get().data_dir / folder).mkdir(parents=True)
    assert [check.status for check in mend()] == ["mended", "mended"]
    assert well()


# -- owners and markers ------------------------------------------------------------------------


def dead() -> owners.Owner:
    """Return the note of a process that is gone."""
    with subprocess.Popen(["sleep", "100"]) as process:
        note = owners.me(WORK).model_copy(
            update={"pid": process.pid, "born": owners.born(process.pid), "run": 1}
        )
        process.send_signal(signal.SIGKILL)
    return note


def note(project: Project, left: owners.Owner) -> None:
    with project.lock(purpose="edit"):
        project.leave(left)


def test_a_note_of_a_dead_process_goes_once_its_run_is_over() -> None:
    project = finished()
    left = dead()
    note(project, left)
    (found,) = mend()
    assert str(left.pid) in found.what
    assert project.owner() is None
    project.begin_run(STAGE_ORDER)
    note(project, left)
    half = project.folder / ".tmp-half"
    half.touch()
    mend()
    assert not half.exists()
    assert project.owner() == left, "a rescue has to know what it had in hand"


def test_a_run_that_lost_its_marker_gets_it_back() -> None:
    project = finished()
    run = project.begin_run(STAGE_ORDER)
    marker = settings.get().projects_dir / ".active" / str(project.id)
    disk.unlink(marker)
    (found,) = mend()
    assert f"Run {run}" in found.what
    assert marker.exists()


@pytest.mark.redis
@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")
def test_markers_that_outlived_their_reason_go(redis_server: RedisServer, redis_url: str) -> None:
    celery_app._redirect(redis_url)
    project = finished()
    project.touch()
    (settings.get().projects_dir / ".active" / "99").touch()
    assert [check.status for check in mend()] == ["mended", "mended"]
    assert not project.active()
    assert well()


# -- the database ------------------------------------------------------------------------------


def test_a_database_behind_the_folders_is_filled() -> None:
    project = finished()
    (found,) = folders.look()
    assert found.name == "Database"
    (done,) = folders.look(fix=True)
    assert done.status == "mended"
    assert len(records.history(project.id)) == len(STAGE_ORDER)
    assert folders.look()[0].status == "ok"


def test_what_no_folder_knows_is_not_missed() -> None:
    disk.unlink(finished().folder / "events.jsonl")
    assert [check.status for check in folders.look()] == ["ok"]


# -- the command -------------------------------------------------------------------------------


def test_the_command_shows_both_machine_and_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.doctor, "examine", lambda: [Check("Python", "ok", "here")])
    project = finished()
    recorded()
    project.path("video.mp4").unlink()
    done = CliRunner().invoke(app.cli.app, ["doctor", "--json"])
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == ["Python", "Project 1"]
    assert "--fix" in rows[1]["hint"]
    done = CliRunner().invoke(app.cli.app, ["doctor", "--fix"])
    assert "mended" in done.stdout
    assert f"./reelchain run {project.id}" in done.stdout
