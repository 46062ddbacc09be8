"""Dead letters: the folder is the letter, the index follows it, a replay starts one run."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from _processes import in_processes
from _redis import until
from _workers import Bench, bench
from app import cli, dead, pipeline, records, settings
from app.errors import InputError, NotFoundError, ReelchainError
from app.models import ErrorFact, Stage
from app.project import Project
from app.tasks import _stage, dispatch


def failed(
    code: str = "disk_full",
    stage: Stage = "video_rendering",
    when: str = "2026-11-21T10:00:00Z",
    batch: int | None = None,
) -> Project:
    project = pipeline.create_project({"topic": "Doors"}, batch=batch)
    project.begin_run(["asset_generation", "video_rendering", "youtube_upload"])
    fail(project, code, stage, when)
    return project


def fail(
    project: Project,
    code: str = "disk_full",
    stage: Stage = "video_rendering",
    when: str = "2026-11-21T10:00:00Z",
) -> None:
    with project.transaction() as state:
        part = state.stage(stage)
        part.status, part.finished_at, part.attempts = "failed", when, part.attempts + 2
        part.error = ErrorFact(
            type="DiskError", code=code, message="It is full.", hint="Free some.", traceback="line 1\nline 2"
        )  # fmt: skip
        state.status, state.run.ended = "failed", True


def numbers(chosen: dead.Filter | None = None) -> list[int]:
    return [letter.project_id for letter in dead.letters(chosen)]


def run(*arguments: str, say: str | None = None) -> Result:
    return CliRunner().invoke(cli.app, ["dead", *arguments], input=say, prog_name="reelchain")


def document(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is sent begins its run, and no message goes anywhere."""
    projects: list[int] = []

    def send(project: Project, *, stages: Any) -> None:
        projects.append(project.id)
        project.begin_run(stages)

    monkeypatch.setattr(dispatch, "send", send)
    monkeypatch.setattr("app.cli.stack.warn_without_workers", lambda: None)
    return projects


# -- what is a dead letter -------------------------------------------------------------------------


def test_a_letter_says_all_that_is_known_of_a_failure() -> None:
    project = failed(batch=4)
    assert dead.letter(project.id).model_dump() == {
        "project_id": 1,
        "run": 1,
        "stages": ("asset_generation", "video_rendering", "youtube_upload"),
        "stage": "video_rendering",
        "task": "app.tasks.render_video_task",
        "arguments": {"project_id": 1, "run": 1},
        "type": "DiskError",
        "code": "disk_full",
        "message": "It is full.",
        "hint": "Free some.",
        "traceback": "line 1\nline 2",
        "tries": 2,
        "rescues": 0,
        "failed_at": "2026-11-21T10:00:00Z",
        "batch": 4,
    }
    assert dead.letters() == [dead.letter(project.id)]


def test_the_names_of_tasks_are_those_of_the_stages() -> None:
    assert {s: d.task_name for s, d in _stage.DEFINITIONS.items()} == dead._TASKS


def test_what_has_not_failed_is_no_letter() -> None:
    project = pipeline.create_project({"topic": "Doors"})
    assert dead.letters() == []
    with pytest.raises(NotFoundError) as error:
        dead.letter(project.id)
    assert error.value.code == "dead_not_found"


def test_a_state_that_does_not_say_why_is_a_letter_all_the_same() -> None:
    project = pipeline.create_project({"topic": "Doors"})
    with project.transaction() as state:
        state.status = "failed"
    (letter,) = dead.letters()
    assert (letter.code, letter.stage) == ("unknown", "script_generation")


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (dead.Filter(), [1, 2, 3]),
        (dead.Filter(ids=[2, 3]), [2, 3]),
        (dead.Filter(code="quota"), [2]),
        (dead.Filter(stage="youtube_upload"), [3]),
        (dead.Filter(since="2026-11-21T10:00:00Z"), [1, 3]),
        (dead.Filter(batch=7), [3]),
        (dead.Filter(batch=7, code="quota"), []),
    ],
)
def test_letters_are_chosen_by_every_field_given(chosen: dead.Filter, found: list[int]) -> None:
    failed()
    failed("quota", when="2026-11-20T09:00:00Z")
    failed(stage="youtube_upload", batch=7)
    assert numbers(chosen) == found


# -- the index follows the folders -----------------------------------------------------------------


def test_only_folders_that_changed_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    projects = [failed() for _ in range(3)]
    assert dead.behind() == 3
    assert numbers() == [1, 2, 3]
    assert dead.behind() == 0
    read: list[int] = []
    real = dead._read
    monkeypatch.setattr(dead, "_read", lambda folder, n: read.append(n) or real(folder, n))
    projects[1].begin_run(["video_rendering"])
    shutil.rmtree(projects[2].folder)
    assert numbers() == [1]
    assert read == [2]
    assert numbers() == [1]
    assert read == [2]


def test_an_unreadable_project_is_left_to_others() -> None:
    failed()
    project = failed()
    for path in project.folder.glob("project_state*.json"):
        path.write_text("{")
    assert numbers() == [1]


def _delete(folder: Path) -> None:
    for path in folder.glob("reelchain.db*"):
        path.unlink()


def _spoil(folder: Path) -> None:
    records.close()
    with (folder / "reelchain.db").open("r+b") as file:
        file.write(b"this is no database, " * 10_000)


def _other_letters(folder: Path) -> None:
    with records.engine().begin() as connection:
        connection.exec_driver_sql('UPDATE dead_letters SET letter = \'{"of": "another form"}\'')


def _wrong(folder: Path) -> None:
    with records.engine().begin() as connection:
        connection.exec_driver_sql("UPDATE dead_letters SET failed = 0, mark = mark || 'x'")


@pytest.mark.parametrize("harm", [_delete, _spoil, _other_letters, _wrong])
def test_the_index_is_filled_again_from_the_folders(data_dir: Path, harm: Any) -> None:
    failed(), failed()
    assert numbers() == [1, 2]
    harm(data_dir)
    assert numbers() == [1, 2]
    assert numbers() == [1, 2]


def test_rebuild_reads_every_folder() -> None:
    failed(), failed()
    numbers()
    with records.engine().begin() as connection:
        connection.exec_driver_sql("UPDATE dead_letters SET failed = 0")
    assert numbers() == []
    assert dead.rebuild() == 2
    assert numbers() == [1, 2]


def test_without_any_database_the_folders_are_read(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///file:{data_dir}/no.db?mode=ro&uri=true")
    settings.get.cache_clear()
    assert numbers() == [1]


def test_a_database_that_can_only_be_read_serves_and_is_not_written(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = failed()
    assert numbers() == [1]
    records.stage_event(1, "video_rendering", 1, 1, task_id="t", status="failed")
    assert len(records.history(1)) == 1
    records.close()
    with sqlite3.connect(data_dir / "reelchain.db") as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///file:{data_dir}/reelchain.db?mode=ro&uri=true")
    settings.get.cache_clear()
    records.stage_event(1, "video_rendering", 2, 2, task_id="t", status="running")
    assert len(records.history(1)) == 1
    assert records.dropped() == 2
    project.begin_run(["video_rendering"])
    assert numbers() == []


# -- replay and drop -------------------------------------------------------------------------------


def test_a_replay_does_what_the_run_was_asked_to_do_once(sent: list[int]) -> None:
    project = failed()
    letter = dead.letter(project.id)
    assert [dead.replay(letter), dead.replay(letter)] == [True, False]
    assert sent == [1]
    assert project.state().run.stages == list(letter.stages)
    fail(project)  # again: another letter
    assert not dead.replay(letter)
    assert dead.replay(dead.letter(project.id))


def test_two_replays_at_the_same_moment_start_one_run(sent: list[int]) -> None:
    projects = [failed() for _ in range(5)]
    letters = dead.letters()
    done = in_processes(4, lambda _number: [dead.replay(letter) for letter in letters])
    assert [sum(each) for each in zip(*done, strict=True)] == [1] * 5
    assert [project.state().run.number for project in projects] == [2] * 5


def test_a_dropped_letter_leaves_the_list_and_not_its_project() -> None:
    project = failed()
    letter = dead.letter(project.id)
    assert [dead.drop(letter), dead.drop(letter)] == [True, False]
    assert dead.letters() == []
    assert project.state().status == "failed"
    assert project.state().failure() is not None
    assert '"dropped"' in (project.folder / "events.jsonl").read_text()
    project.begin_run(["video_rendering"])
    fail(project)
    assert numbers() == [1]


# -- the commands ----------------------------------------------------------------------------------


def test_ls_shows_the_letters_and_json_all_but_their_tracebacks() -> None:
    assert "No dead letters." in run("ls").stdout
    failed()
    failed("quota")
    (row,) = document("ls", "--code", "quota")
    assert (row["project_id"], row["code"], row["tries"]) == (2, "quota", 2)
    assert "traceback" not in row
    assert "disk_full: It is full." in " ".join(run("ls").stdout.split())


def test_show_shows_one_with_its_traceback_and_tries() -> None:
    failed()
    records.stage_event(1, "video_rendering", 1, 1, task_id="t", status="lost", started_at="x")
    text = run("show", "1").stdout
    for part in ("app.tasks.render_video_task", "project_id=1, run=1", "line 2", "Free some."):
        assert part in text
    facts = document("show", "1")
    assert [row["status"] for row in facts["history"]] == ["lost"]
    assert facts["traceback"] == "line 1\nline 2"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["replay"], "dead_nothing_chosen"),
        (["drop"], "dead_nothing_chosen"),
        (["replay", "7"], "project_not_found"),
        (["replay", "1", "2"], "dead_not_found"),
        (["replay", "one"], "project_id_invalid"),
        (["ls", "--since", "yesterday"], "since_invalid"),
        (["ls", "--stage", "render"], "stage_unknown"),
    ],
)
def test_wrong_choices_do_nothing(sent: list[int], arguments: list[str], code: str) -> None:
    failed()
    pipeline.create_project({"topic": "Doors"})
    error = run(*arguments).exception
    assert isinstance(error, ReelchainError)
    assert (error.code, error.exit_code in (2, 3)) == (code, True)
    assert sent == []


@pytest.mark.parametrize("what", ["replay", "drop"])
def test_in_bulk_it_asks_first(sent: list[int], what: str) -> None:
    failed()
    failed("quota")
    said = run(what, "--all", "--dry-run")
    assert f"Would {what}: project 2, video_rendering, quota" in said.stdout
    refused = run(what, "--code", "quota", say="n\n")
    assert refused.exit_code == 1
    assert f"Would {what}: project 2" in refused.stderr
    assert numbers() == [1, 2]
    assert run(what, "--code", "quota", say="y\n").exit_code == 0
    assert numbers() == [1]
    done = document(what, "--all", "--yes")
    assert list(done.values()) == [[1], []]
    assert numbers() == []
    assert sent == ([2, 1] if what == "replay" else [])


def test_a_number_is_not_asked_about(sent: list[int]) -> None:
    failed()
    assert "Project 1: sent again." in run("replay", "1").stdout
    assert sent == [1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1s", [2]),
        ("2w", [2]),
        ("9999d", [1, 2]),
        ("2026-01-01", [2]),
        ("2020-01-01T10:00+02:00", [1, 2]),
    ],
)
def test_since_takes_spans_and_dates(text: str, found: list[int]) -> None:
    failed(when="2021-11-21T10:00:00Z")
    failed(when="2999-11-21T10:00:00Z")
    assert [row["project_id"] for row in document("ls", "--since", text)] == found


def test_tasks_shows_the_figures() -> None:
    for attempt in (1, 2):
        status = "completed" if attempt == 1 else "failed"
        records.stage_event(
            1, "video_rendering", 1, attempt, task_id="t", status=status, seconds=2.0,
            error_code=None if attempt == 1 else "disk_full",
        )  # fmt: skip
    result = CliRunner().invoke(cli.app, ["tasks"])
    assert "video_rendering" in result.stdout
    assert "50.0 %" in result.stdout
    assert "disk_full 1" in result.stdout
    result = CliRunner().invoke(cli.app, ["tasks", "--json", "--project", "2"])
    assert json.loads(result.stdout) == []
    error = CliRunner().invoke(cli.app, ["tasks", "--since", "x"]).exception
    assert isinstance(error, InputError)


# -- with real workers -----------------------------------------------------------------------------


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.environment["SPEECH_PROVIDER"] = "silent"
        made.environment["LIVES_PLAN"] = str(tmp_path / "plan")
        made.start_worker(app="_lives_app")
        yield made


MAKE = """
import _lives_app
from app.errors import ReelchainError
from app.pipeline import create_project, start
projects = [create_project({"topic": "Doors"}) for _ in range(%s)]
results = [start(project.id) for project in projects]
codes = []
for result in results:
    try:
        result.get(timeout=90)
    except ReelchainError as error:
        codes.append(error.code)
tell(codes)
"""


REPLAY = """
import _lives_app
from app import dead
tell([dead.replay(letter) for letter in dead.letters()])
"""


@pytest.mark.acceptance
@pytest.mark.redis
def test_projects_that_failed_are_replayed_together_each_once(workers: Bench) -> None:
    plan = workers.folder / "plan"
    plan.write_text("forbidden")
    assert workers.call(MAKE % 3) == ["forbidden"] * 3
    letters = dead.letters()
    assert [letter.code for letter in letters] == ["forbidden"] * 3
    assert all("_planned" in letter.traceback for letter in letters)
    plan.write_text("")
    assert workers.call(REPLAY) == [True] * 3
    assert workers.call(REPLAY) == []
    projects = [pipeline.open_project(number) for number in (1, 2, 3)]
    until(lambda: all(p.state().status == "completed" for p in projects), 60, "all are made")
    assert [project.state().run.number for project in projects] == [2] * 3
    assert dead.letters() == []


@pytest.mark.acceptance
@pytest.mark.redis
def test_workers_that_die_again_and_again_make_a_dead_letter_that_says_so(workers: Bench) -> None:
    plan = workers.folder / "plan"
    plan.write_text("die")
    assert workers.call(MAKE % 1) == ["worker_lost"]
    (letter,) = dead.letters()
    assert (letter.code, letter.stage) == ("worker_lost", "thumbnail_generation")
    assert "died" in letter.message
    assert letter.rescues >= 3
    until(lambda: statuses()[:-1] == ["completed"] * 3 + ["lost"] * 3, 60, "four tries are told of")
    assert statuses()[-1] in ("lost", "failed")  # as much as its events said when it was closed
    plan.write_text("")
    assert workers.call(REPLAY) == [True]
    project = pipeline.open_project(1)
    until(lambda: project.state().status == "completed", 60, "it is made")


def statuses() -> list[str]:
    return [row["status"] for row in records.history(1)]
