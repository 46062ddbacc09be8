"""The history of tasks: one row of what signals say in any order, cheap to tell, closed, rotated."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as some
from sqlalchemy.dialects import postgresql

from _processes import in_processes
from _redis import until
from _workers import ROOT, Bench, bench
from app import records, settings
from app.records import _history, _lives, _writer
from app.records._lives import TASKS, TRIES, Life, Row
from app.tasks import history

OLD, NEW = "2025-01-01T10:00:00Z", "2999-01-01T10:00:00Z"


@pytest.fixture(autouse=True)
def fresh(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer of this test's own."""
    monkeypatch.setattr(_writer, "_writer", _writer.Writer())


def tried(attempt: int = 1, status: str = "completed", **facts: Any) -> None:
    where = {"project_id": 1, "stage": "video_rendering", "run": 1, **facts}
    place = (where.pop("project_id"), where.pop("stage"), where.pop("run"))
    records.stage_event(*place, attempt, task_id="t", status=status, **where)


def life(task_id: str = "t") -> Row:
    (row,) = [row for row in records.task_lives() if row["task_id"] == task_id]
    return row


# -- one row, whatever comes ---------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(["RECEIVED", "STARTED", "SUCCESS"])))
def test_signals_in_any_order_and_twice_tell_one_life(order: tuple[str, ...]) -> None:
    facts: dict[str, dict[str, Any]] = {
        "RECEIVED": {"name": "x", "received_at": 1.0},
        "STARTED": {"started_at": 2.5, "project_id": 7},
        "SUCCESS": {"finished_at": 4.0, "runtime": 1.5},
    }
    for state in (*order, *order):
        records.task_event("t", state, **facts[state])
        records.flush()
    row = life()
    assert (row["state"], row["name"], row["project_id"], row["runtime"]) == (
        "SUCCESS",
        "x",
        7,
        1.5,
    )
    assert [row[at] for at in ("received_at", "started_at", "finished_at")] == [
        "1970-01-01T00:00:01.000Z",
        "1970-01-01T00:00:02.500Z",
        "1970-01-01T00:00:04.000Z",
    ]


@pytest.mark.parametrize(
    ("states", "end"),
    [
        (["STARTED", "FAILURE", "STARTED"], "FAILURE"),
        (["SUCCESS", "FAILURE"], "SUCCESS"),  # killed after its result was stored
        (["FAILURE", "SUCCESS"], "SUCCESS"),  # a redelivered one that went well
        (["STARTED", "RETRY", "STARTED"], "STARTED"),
        (["STARTED", "LOST", "SUCCESS"], "SUCCESS"),  # thought dead, and was only frozen
        (["LOST", "STARTED"], "LOST"),
        (["REVOKED", "FAILURE"], "REVOKED"),
    ],
)
def test_an_end_is_not_overwritten_by_what_came_before_it(states: list[str], end: str) -> None:
    for state in states:
        records.task_event("t", state)
        records.flush()
    assert life()["state"] == end


def test_the_error_of_an_earlier_state_does_not_stay_with_a_later_one() -> None:
    records.task_event("t", "RETRY", error_code="busy", error="Later.")
    records.flush()
    records.task_event("t", "SUCCESS", runtime=2.0)
    assert (life()["error_code"], life()["error"]) == (None, None)


STATES = ("RECEIVED", "STARTED", "RETRY", "LOST", "FAILURE", "REVOKED", "SUCCESS", "SOMETHING")
STATUSES = ("running", "retrying", "lost", "failed", "cancelled", "waiting", "completed")
FACTS = some.fixed_dictionaries(
    {"project_id": some.sampled_from((None, 1, 2)), "error_code": some.sampled_from((None, "e1", "e2")),
     "worker": some.sampled_from((None, "", "w1", "w2")), "retries": some.sampled_from((None, 0, 3))}
)  # fmt: skip


def _tasks(facts: Row, state: str) -> Row:
    return {**facts, "task_id": "t", "state": state}


def _tries(facts: Row, status: str) -> Row:
    key = {"project_id": 1, "stage": "s", "run": 1, "attempt": 1}
    return {**facts, **key, "status": status, "task_id": facts["worker"] or ""}


@pytest.mark.parametrize(
    ("kind", "statuses", "make"), [(TASKS, STATES, _tasks), (TRIES, STATUSES, _tries)]
)
@how(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.data())
def test_the_database_merges_as_the_writer_does(
    kind: Life, statuses: tuple[str, ...], make: Any, data: some.DataObject
) -> None:
    told = data.draw(
        some.lists(some.tuples(FACTS, some.sampled_from(statuses)), min_size=1, max_size=5)
    )
    rows = [make(facts, status) for facts, status in told]
    expected: Row = {}
    with records.engine().begin() as connection:
        connection.execute(kind.table.delete())
        for row in rows:
            kind.write(connection, [row])
            expected = kind.merged(expected, row) if expected else row
        found = dict(connection.execute(kind.table.select()).mappings().one())
    assert {name: found[name] for name in expected} == expected


def test_postgresql_is_spoken_to_in_its_own_words() -> None:
    statement = str(_lives._statement(TASKS, "postgresql").compile(dialect=postgresql.dialect()))
    assert "ON CONFLICT (task_id) DO UPDATE SET" in statement
    assert "excluded.state" in statement


# -- cheap, and never in the way -------------------------------------------------------------------


def test_a_record_costs_the_stage_microseconds_even_while_the_database_is_locked(
    data_dir: Path,
) -> None:
    tried()
    assert records.flush(10)
    with contextlib.closing(sqlite3.connect(data_dir / "reelchain.db")) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        costs = []
        for attempt in range(2, 200):
            began = time.perf_counter()
            tried(attempt)
            costs.append(time.perf_counter() - began)
        assert not records.flush(0.2)
        blocker.rollback()
    assert statistics.median(costs) < 0.0005
    assert records.flush(30)
    assert len(records.history(1)) == 199


def test_what_finds_no_room_is_dropped_and_counted(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_writer, "ROOM", 10)
    tried()
    assert records.flush(10)
    with contextlib.closing(sqlite3.connect(data_dir / "reelchain.db")) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        for attempt in range(2, 100):
            tried(attempt)
        blocker.rollback()
    assert records.flush(30)
    assert 2 <= len(records.history(1)) == 99 - records.dropped() < 99


def test_a_row_that_no_database_takes_does_not_cost_its_neighbours() -> None:
    for attempt in (1, 2, 3):
        tried(attempt, error="\udcff" if attempt == 2 else "fine")
    assert [row["attempt"] for row in records.history(1)] == [1, 3]
    assert records.dropped() == 1


def test_a_process_forked_in_the_middle_of_writing_writes_its_own_and_only_that() -> None:
    stop = threading.Event()

    def busy() -> None:
        for attempt in itertools.count(1):
            tried(attempt, project_id=100)
            if stop.wait(0.001):
                return

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for turn in range(3):
            time.sleep(0.05)  # somewhere in a write; each of them has to come out right

            def work(number: int, turn: int = turn) -> bool:
                tried(turn * 4 + number + 1, project_id=200)
                return records.flush(20)

            assert all(in_processes(4, work))
    finally:
        stop.set()
        thread.join()
    assert len(records.history(200)) == 12
    attempts = [row["attempt"] for row in records.history(100)]
    assert sorted(attempts) == list(range(1, len(attempts) + 1))
    assert records.dropped() == 0


def test_the_last_records_of_a_process_that_ends_are_written(data_dir: Path) -> None:
    code = "from app import records; records.task_event('last', 'SUCCESS', name='x')"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "backend"), "DATA_DIR": str(data_dir)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert life("last")["state"] == "SUCCESS"


# -- closing what nobody closed --------------------------------------------------------------------


def events(project: int, *lines: dict[str, Any]) -> None:
    folder = settings.get().projects_dir / str(project)
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps({"time": OLD, **line}) + "\n" for line in lines)
    (folder / "events.jsonl").write_text(text + '{"time": "cut sho')


STARTED = {"code": "stage_started", "stage": "video_rendering", "run": 1, "attempt": 1}


def test_a_dead_owners_rows_are_closed_and_a_later_runs_are_not() -> None:
    tried(1, "running")
    tried(1, "running", run=2)
    records.task_event("dead", "STARTED", project_id=1, run=1)
    records.task_event("later", "STARTED", project_id=1, run=2)
    records.task_event("other", "STARTED", project_id=2, run=1)
    records.close_lost(1, 1)
    assert [(r["run"], r["status"], r["error_code"]) for r in records.history(1)] == [
        (1, "lost", "worker_lost"),
        (2, "running", None),
    ]
    assert [life(name)["state"] for name in ("dead", "later", "other")] == [
        "LOST",
        "STARTED",
        "STARTED",
    ]


def test_what_the_projects_events_say_wins_over_lost() -> None:
    tried(1, "running", worker="w")
    events(1, STARTED, {"code": "stage_completed", "stage": "video_rendering", "seconds": 2.5})
    records.close_lost(1, 1)
    (row,) = records.history(1)
    assert (row["status"], row["seconds"], row["worker"], row["task_id"]) == (
        "completed",
        2.5,
        "w",
        "t",
    )


@pytest.mark.parametrize(
    ("last", "status"),
    [
        ({"code": "cancelled", "run": 1}, "cancelled"),
        ({"code": "stage_failed", "stage": "video_rendering", "error": {"code": "e"}}, "failed"),
    ],
)
def test_the_end_of_a_run_closes_what_its_dead_owner_left(last: Row, status: str) -> None:
    tried(1, "running")
    tried(1, "running", project_id=2)
    tried(1, "running", stage="thumbnail_generation")  # its own events do not know of it
    later = {**STARTED, "run": 2, "attempt": 2}
    events(1, STARTED, last, {"code": "run_started", "run": 2}, later)
    tried(2, "running", run=2, stage="youtube_upload")
    records.close_ended(1)
    found = {(row["stage"], row["run"]): row["status"] for row in records.history(1)}
    assert found == {
        ("video_rendering", 1): status,
        ("video_rendering", 2): "running",
        ("thumbnail_generation", 1): "lost",
        ("youtube_upload", 2): "lost",
    }
    assert [row["status"] for row in records.history(2)] == ["running"]


def test_a_new_try_closes_the_one_before_it() -> None:
    tried(1, "running")
    tried(2, "running", run=2)
    assert [row["status"] for row in records.history(1)] == ["lost", "running"]


def test_a_stage_that_passed_its_hard_limit_is_closed_in_both_tables() -> None:
    tried(1, "running")
    records.task_event("t", "STARTED", started_at=time.time())
    history._time_up("app.tasks.render_video_task", "t")
    (row,) = records.history(1)
    assert (row["status"], row["error_code"]) == ("failed", "time_limit")
    assert (life()["state"], life()["error_code"]) == ("FAILURE", "time_limit")


def test_a_worker_that_comes_back_closes_what_it_left() -> None:
    records.task_event("left", "STARTED", worker="w@h", started_at=1.0)
    records.task_event("others", "STARTED", worker="v@h", started_at=1.0)
    records.close_worker("w@h")
    records.task_event("new", "STARTED", worker="w@h", started_at=time.time() + 1)
    states = {row["task_id"]: row["state"] for row in records.task_lives()}
    assert states == {"left": "LOST", "others": "STARTED", "new": "STARTED"}


def test_the_history_is_rebuilt_from_the_folders() -> None:
    second = {**STARTED, "run": 2, "attempt": 2}
    third = {**STARTED, "run": 3, "attempt": 3}
    events(
        1,
        {"code": "run_started", "run": 1},
        STARTED,
        {"code": "retry", "stage": "video_rendering", "error": "busy"},
        {"code": "run_started", "run": 2},  # a rescue
        second,
        {
            "code": "stage_failed",
            "stage": "video_rendering",
            "error": {"code": "e", "message": "m"},
        },
        third,
        {"code": "cancelled", "run": 3},
    )
    events(2, STARTED)
    (settings.get().projects_dir / "strange").mkdir()
    assert records.rebuild_history(settings.get().projects_dir) == 4
    assert records.rebuild_history(settings.get().projects_dir) == 4
    facts = [(r["attempt"], r["status"], r["error_code"], r["retries"]) for r in records.history(1)]
    assert facts == [
        (1, "lost", "worker_lost", 1),
        (2, "failed", "e", None),
        (3, "cancelled", None, None),
    ]
    assert [row["status"] for row in records.history(2)] == ["running"]


# -- figures ---------------------------------------------------------------------------------------


def test_figures_count_what_became_of_each_stage_and_task() -> None:
    for attempt in range(1, 21):
        tried(attempt, seconds=float(attempt), started_at=OLD)
    tried(21, "failed", error_code="disk_full", started_at=NEW)
    tried(22, "retrying", started_at=NEW)
    tried(22, "retrying", started_at=NEW)
    tried(23, "running", started_at=NEW, stage="youtube_upload", project_id=2)
    records.task_event("m", "SUCCESS", name="app.tasks.sync_quotas", runtime=0.5)
    records.task_event("s", "SUCCESS", name="app.tasks.render_video_task", stage="video_rendering")
    render, upload, quotas = records.figures()
    assert render == {
        "name": "video_rendering", "kind": "stage", "runs": 22, "completed": 20, "failed": 1,
        "lost": 0, "other": 1, "success_rate": 0.9524, "failures": {"disk_full": 1},
        "median": 10.5, "mean": 10.5, "p95": 19.0, "retries": 2,
    }  # fmt: skip
    assert (upload["name"], upload["success_rate"], upload["other"]) == ("youtube_upload", None, 1)
    assert (quotas["name"], quotas["kind"], quotas["median"]) == ("sync_quotas", "task", 0.5)
    assert [row["runs"] for row in records.figures(since="2026-01-01")] == [2, 1]
    assert [row["name"] for row in records.figures(project_id=2)] == ["youtube_upload"]


# -- rotation --------------------------------------------------------------------------------------


def test_old_history_goes_a_few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_history, "SLICE", 7)
    for attempt in range(1, 31):
        tried(attempt, started_at=f"2025-01-01T10:00:{attempt:02}Z")
        records.task_event(f"{attempt}", "SUCCESS", started_at=float(attempt))
    tried(31, started_at=NEW)
    records.task_event("new", "SUCCESS", started_at=time.time())
    records.task_event("forgotten", "STARTED", started_at=time.time() - 2 * 86400)
    slices: list[str] = []
    real = _history.attempt
    monkeypatch.setattr(_history, "attempt", lambda work: slices.append("") or real(work))
    assert records.rotate() == {"task_history": 30, "tasks": 30}
    assert len(slices) == 1 + 2 * 5
    assert [row["attempt"] for row in records.history(1)] == [31]
    assert {row["task_id"]: row["state"] for row in records.task_lives()} == {
        "new": "SUCCESS",
        "forgotten": "LOST",
    }
    assert records.rotate() == {"task_history": 0, "tasks": 0}


def test_history_days_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    tried(1, started_at=OLD)
    monkeypatch.setenv("HISTORY_DAYS", "36500")
    settings.get.cache_clear()
    assert records.rotate()["task_history"] == 0
    assert records.rotate(1)["task_history"] == 1


# -- with real workers -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("history")) as made:
        made.environment |= {"SPEECH_PROVIDER": "silent", "DRAIN_SECONDS": "0.2"}
        made.environment["LIVES_PLAN"] = str(made.folder / "plan")
        made.start_worker(app="_lives_app")
        yield made


@pytest.fixture
def there(workers: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Look at the workers' database."""
    monkeypatch.setenv("DATA_DIR", str(workers.data))
    settings.get.cache_clear()
    return workers


def sent(there: Bench, code: str) -> Any:
    return there.call(f"import _lives_app\nfrom app.celery_app import app\n{code}")


def ended(task_id: str, states: tuple[str, ...]) -> Row:
    def told() -> bool:
        return any(r["task_id"] == task_id and r["state"] in states for r in records.task_lives())

    until(told, 60, f"{task_id} is {states}")
    return life(task_id)


@pytest.mark.acceptance
@pytest.mark.redis
@pytest.mark.parametrize(
    ("name", "state", "code"),
    [
        ("well", "SUCCESS", None),
        ("fails", "FAILURE", "topic_empty"),
        ("dies", "FAILURE", "worker_lost"),
        ("hangs", "FAILURE", "time_limit"),
    ],
)
def test_every_end_of_a_task_is_one_row(
    there: Bench, name: str, state: str, code: str | None
) -> None:
    task_id = sent(there, f"tell(app.send_task('lives.{name}').id)")
    row = ended(task_id, (state,))
    assert (row["name"], row["error_code"], row["queue"]) == (f"lives.{name}", code, "maintenance")
    assert row["worker"] == "w0@test"
    times = [row[f"{at}_at"] for at in ("sent", "received", "started", "finished")]
    if name == "dies":  # with what it had not told yet
        times = [moment for moment in times if moment]
    assert times == sorted(times)
    assert "hunter2" not in str(row)


@pytest.mark.acceptance
@pytest.mark.redis
def test_a_revoked_task_is_one_row(there: Bench) -> None:
    task_id = sent(there, "tell(app.send_task('lives.waits').id)")
    ended(task_id, ("STARTED",))
    sent(there, f"app.control.revoke({task_id!r}, terminate=True, signal='SIGKILL'); tell(1)")
    row = ended(task_id, ("REVOKED",))
    assert row["error_code"] == "revoked"
    assert row["finished_at"] >= row["started_at"]


MAKE = """
from app.pipeline import create_project, start
project = create_project({"topic": "Doors"})
start(project.id).get(timeout=60)
tell(project.id)
"""


@pytest.mark.acceptance
@pytest.mark.redis
def test_a_projects_stages_stand_in_both_tables_even_after_the_database_was_deleted(
    there: Bench,
) -> None:
    first = sent(there, MAKE)
    until(lambda: len(complete(first)) == 5, 60, "five stages recorded")
    for path in there.data.glob("reelchain.db*"):
        path.unlink()
    second = sent(there, MAKE)
    until(lambda: len(complete(second)) == 5, 60, "five stages recorded in the new database")
    rows = [row for row in records.task_lives(second) if row["state"] == "SUCCESS"]
    assert [row["stage"] for row in rows] == [row["stage"] for row in records.history(second)]
    assert {row["run"] for row in rows} == {1}
    assert records.history(first) == []
    assert records.rebuild_history(settings.get().projects_dir) == 10
    assert len(records.history(first)) == 5


def complete(project: int) -> list[Row]:
    return [row for row in records.history(project) if row["status"] == "completed"]


@pytest.mark.acceptance
@pytest.mark.redis
@pytest.mark.parametrize("spoil", ["garbage", "folder"])
def test_a_spoilt_database_fails_no_video(there: Bench, spoil: str) -> None:
    records.close()
    path = there.data / "reelchain.db"
    if spoil == "garbage":
        with path.open("r+b") as file:
            file.write(b"this is no database, " * 2000)
    else:
        for name in there.data.glob("reelchain.db*"):
            name.unlink()
        path.mkdir()
    project = sent(there, MAKE)
    if spoil == "folder":
        until(lambda: "records not written" in there.logs(), 60, "it is logged")
        path.rmdir()
        project = sent(there, MAKE)
    until(lambda: len(complete(project)) == 5, 60, "five stages recorded")


@pytest.mark.acceptance
@pytest.mark.redis
def test_a_try_that_was_cancelled_says_so(there: Bench) -> None:
    project = hanging(there)
    assert sent(there, f"from app.pipeline import cancel\ntell(cancel({project}))")
    until(lambda: records.history(project)[-1]["status"] == "cancelled", 60, "it says so")


def hanging(there: Bench) -> int:
    """Start a project whose fourth stage never comes to its end."""
    plan = there.folder / "plan"
    plan.write_text("hang")
    make = MAKE.replace("start(project.id).get(timeout=60)", "start(project.id)")
    project = int(sent(there, make))
    until(
        lambda: [row["status"] for row in records.history(project)][3:] == ["running"],
        20,
        "it hangs",
    )
    plan.unlink()
    return project


@pytest.mark.acceptance
@pytest.mark.redis
def test_what_a_worker_that_stops_has_to_tell_is_told_and_what_a_killed_one_left_is_closed(
    there: Bench,
) -> None:
    """The last one: it ends the workers."""
    project = hanging(there)
    last = sent(there, "r = app.send_task('lives.well'); r.get(timeout=30); tell(r.id)")
    there.workers[0].terminate()
    there.workers[0].wait(30)
    assert life(last)["state"] == "SUCCESS"
    assert records.history(project)[-1]["status"] == "handed_over"
    anew(there)
    cut = sent(there, "tell(app.send_task('lives.waits').id)")
    ended(cut, ("STARTED",))
    there.kill_worker(there.workers[0])
    anew(there)
    assert ended(cut, ("LOST",))["error_code"] == "worker_lost"


def anew(there: Bench) -> None:
    """Start the worker again, under its name."""
    there.workers.clear()
    (there.folder / "worker-w0.log").unlink()
    there.start_worker(app="_lives_app")
