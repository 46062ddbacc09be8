"""Batches: made whole or not at all, run a few at a time, never lost, always answered."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery.result import AsyncResult
from click.testing import Result
from typer.testing import CliRunner

from _crash import HOWS, Crash, How, Machine
from _redis import RedisServer
from _workers import ROOT, Bench, bench, until
from app import batch, disk, playlist, progress, settings
from app.batch import End
from app.celery_app import celery_app
from app.cli import app as cli_app
from app.errors import InputError, NotFoundError, ReelchainError
from app.models import ErrorFact
from app.pipeline import create_batch
from app.project import Project
from app.tasks import batch as room
from app.tasks import batch_processing_task, dispatch

# Celery calls what redis-py calls old
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")

TOPICS = ["One", "Two", "Three", "Four"]


def projects() -> list[str]:
    home = settings.get().projects_dir
    return sorted(path.name for path in home.glob("[!.]*")) if home.exists() else []


def batches() -> list[str]:
    home = settings.get().batches_dir
    return sorted(path.name for path in home.glob("[!.]*")) if home.exists() else []


def project(number: int) -> Project:
    return Project.open(settings.get().projects_dir, number)


def end(number: int, status: str = "completed") -> None:
    """Bring a project's run to its end, as a worker does that dies before it tells anybody."""
    made = project(number)
    with made.transaction() as state:
        state.status, state.run.ended = status, True  # type: ignore[assignment]  # a status by name
        if status == "failed":
            part = state.stage("script_generation")
            part.status = "failed"
            part.error = ErrorFact(type="PermanentError", code="forbidden", message="No.")
    made.rest(made.state().run.number)


# -- making ------------------------------------------------------------------------------------


def test_a_batch_keeps_order_rules_and_its_projects() -> None:
    made = create_batch(TOPICS, title="T", on_failure="stop", priority="high", window=3)
    assert (made.batch_id, made.projects, made.title) == (1, (1, 2, 3, 4), "T")
    assert batch.load(1) == made
    assert (made.on_failure, made.priority, made.window) == ("stop", 9, 3)
    assert [project(n).state().batch for n in made.projects] == [1] * 4
    assert batch.outcome(made)["status"] == "pending"


@pytest.mark.parametrize("fails_at", [1, 3])
def test_a_disk_that_fills_up_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    create_batch(["Kept"])
    write, count = disk.write, 0

    def full(path: Path, data: bytes) -> None:
        nonlocal count
        count += path.name.endswith("project_state.json")
        if count == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(disk, "write", full)
    with pytest.raises(OSError, match="No space left"):
        create_batch(TOPICS)
    monkeypatch.undo()
    assert (projects(), batches()) == (["1"], ["1"])
    again = create_batch(TOPICS)
    assert again.batch_id == 3, "the number of the batch that failed is not given again"
    assert batch.numbers() == [1, 3]


def test_the_last_file_failing_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    write_json = disk.write_json

    def full(path: Path, document: Any) -> None:
        if path.name == batch.FILE:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_json(path, document)

    monkeypatch.setattr(disk, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        create_batch(TOPICS)
    assert (projects(), batches()) == ([], [])


def _create_and_die(data: str, after: int) -> None:
    os.environ["DATA_DIR"] = data
    settings.get.cache_clear()
    create, made = Project.create, []

    def counted(*args: Any, **kwargs: Any) -> Project:
        if len(made) == after:
            os._exit(9)
        made.append(create(*args, **kwargs))
        return made[-1]

    Project.create = counted  # type: ignore[method-assign]
    create_batch(TOPICS)


def test_what_a_killed_creator_left_is_swept_by_the_next(data_dir: Path) -> None:
    create_batch(["Kept"])
    child = multiprocessing.get_context("fork").Process(
        target=_create_and_die, args=(str(data_dir), 2)
    )
    child.start()
    child.join(30)
    assert child.exitcode == 9
    assert projects() == ["1", "2", "3"]
    assert batch.numbers() == [1]
    made = create_batch(["Next"])
    assert projects() == ["1", "4"]
    assert (made.batch_id, batches()) == (3, ["1", "3"])


def test_a_removed_batchs_number_is_not_given_again() -> None:
    first = create_batch(["One"])
    disk.remove(first.folder)
    assert create_batch(["Two"]).batch_id == 2


def test_a_folder_whose_file_somebody_removed_is_left_alone() -> None:
    first = create_batch(["One"])
    (first.folder / batch.FILE).unlink()
    (first.folder / "note.txt").write_text("mine")
    create_batch(["Two"])
    assert (first.folder / "note.txt").exists()
    assert projects() == ["1", "2"]


def test_a_broken_entry_makes_nothing_and_is_named() -> None:
    with pytest.raises(InputError, match="Entry 2 of the playlist"):
        create_batch(["One", {"topic": "x", "style": "NO SUCH"}])
    assert (projects(), batches()) == ([], [])


# -- the playlist ----------------------------------------------------------------------------


def test_a_playlist_of_every_kind_of_entry(tmp_path: Path) -> None:
    (tmp_path / "tea.md").write_text("# Tea\n\nBoil water. Wait.\n")
    path = tmp_path / "playlist.yaml"
    path.write_text(
        "title: Kitchen\n"
        "on_failure: stop\npriority: low\nwindow: 2\n"
        "defaults: {style: night, language: en}\n"
        "projects:\n"
        "  - story: tea.md\n    title: Tea in two steps\n"
        "  - text: |\n      # Toast\n\n      Bread and heat.\n"
        "  - topic: Why toast falls\n    style: paper\n"
        "  - scenes: [{heading: A, narration: Hello there.}]\n"
    )
    made = create_batch(path)
    assert (made.title, made.on_failure, made.priority, made.window) == ("Kitchen", "stop", 1, 2)
    specs = [project(n).state().spec for n in made.projects]
    assert [spec.style for spec in specs] == ["night", "night", "paper", "night"]
    assert specs[0].title == "Tea in two steps"
    assert [spec.source for spec in specs] == ["story.md", "story.md", None, "project.yaml"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({}, "playlist_invalid"),
        ({"projects": []}, "playlist_invalid"),
        ({"projects": ["x"], "on_failure": "explode"}, "playlist_invalid"),
        ({"projects": ["x"], "priority": "urgent"}, "priority_invalid"),
        ({"projects": ["x"], "priority": 10}, "priority_invalid"),
        ({"projects": ["x"], "window": 0}, "playlist_invalid"),
        ({"projects": ["x"], "window": "many"}, "playlist_invalid"),
        ({"projects": ["x"], "window": True}, "playlist_invalid"),
        ({"projects": ["x"], "onfailure": "stop"}, "playlist_invalid"),
        ({"projects": {"a": 1}}, "playlist_invalid"),
        (b"bytes", "playlist_invalid"),
        (7, "playlist_invalid"),
    ],
)
def test_a_wrong_playlist_is_refused_by_name(wrong: Any, code: str) -> None:
    with pytest.raises(InputError) as caught:
        create_batch(wrong)
    assert caught.value.code == code
    assert batches() == []


def test_a_preview_makes_nothing_and_estimates(tmp_path: Path) -> None:
    (tmp_path / "tea.md").write_text("# Tea\n\n" + "Boil the water and wait a while. " * 20)
    told = playlist.preview(
        [str(tmp_path / "tea.md"), {"topic": "x", "length": 60}, {"text": "# T\n\nHello there."}],
        window=1,
    )
    assert (projects(), batches()) == ([], [])
    lengths = [job["video_seconds"] for job in told["projects"]]
    assert lengths[1] == 60
    assert 20 < lengths[0] < 90
    assert 0 < lengths[2] < 5
    estimate = told["estimate"]
    assert estimate["at_once"] == 1
    assert estimate["seconds"] == pytest.approx(estimate["work_seconds"])
    assert (estimate["paid_calls"], estimate["quota_units"]) == (0, 0)


def test_the_estimate_learns_from_what_was_made_and_leaves_out_what_is_complete() -> None:
    made = create_batch([{"topic": "a", "length": 100}, {"topic": "b", "length": 100}])
    with project(1).transaction() as state:
        state.status = "completed"
        part = state.stage("video_rendering")
        part.seconds, part.facts = 300.0, {"seconds": 100.0}
    told = playlist.estimate(made.batch_id)
    assert (told["projects"], told["to_make"]) == (2, 1)
    assert told["work_seconds"] == pytest.approx(300)
    assert told["basis"] == "the last 1 videos made here"


# -- the command line ------------------------------------------------------------------------


def run_cli(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli_app, ["batch", *arguments], input=typed)


def test_the_command_line_creates_lists_and_shows(tmp_path: Path) -> None:
    path = tmp_path / "playlist.yaml"
    path.write_text("title: Kitchen\nprojects:\n  - topic: Tea\n  - topic: Toast\n")
    planned = run_cli("new", str(path), "--dry-run", "--on-failure", "stop")
    assert planned.exit_code == 0, planned.output
    assert "2 of 2 projects to make" in planned.stdout
    assert "no cost, no quota" in planned.stdout
    assert batches() == []
    assert run_cli("new", str(path), "--priority", "low", "--window", "2").stdout == "1\n"
    assert (batch.load(1).priority, batch.load(1).window) == (1, 2)
    assert json.loads(run_cli("ls", "--json").stdout)[0]["counts"] == {"pending": 2}
    assert "Kitchen" in run_cli("ls").stdout
    shown = json.loads(run_cli("show", "1", "--json").stdout)
    assert (shown["status"], shown["counts"]) == ("pending", {"pending": 2})
    assert json.loads(run_cli("run", "1", "--dry-run", "--json").stdout)["to_make"] == 2
    assert json.loads(run_cli("retry-failed", "1", "--dry-run", "--json").stdout)["to_make"] == 0


def test_cancel_asks_first_and_leaves_a_batch_alone_that_is_not_run() -> None:
    create_batch(TOPICS)
    idle_one = run_cli("cancel", "1")
    assert idle_one.exit_code == 0
    assert "nothing to cancel" in idle_one.stderr
    batch.begin(1, "t")
    assert "4 projects not ended" in run_cli("cancel", "1", "--dry-run").stderr
    refused = run_cli("cancel", "1", typed="n\n")
    assert refused.exit_code != 0
    assert batch.load(1).run.stopped == ""


# -- a run, step by step -------------------------------------------------------------------------


def test_a_window_moves_in_the_playlists_order() -> None:
    made = create_batch(TOPICS, window=2)
    batch.begin(1, "t")
    assert batch.step(1).begun == (1, 2)
    assert batch.step(1).begun == ()
    now = batch.step(1, End(2, "failed"))
    assert now.begun == (3,)
    assert batch.tally(now.batch, now.work) == {"failed": 1, "running": 2, "pending": 1}
    assert batch.step(1, End(2, "failed")).begun == (), "the same end twice changes nothing"
    assert batch.step(1, End(99, "failed")).begun == (), "nor does one that is not in flight"
    assert batch.step(1, End(1, "completed")).begun == (4,)
    assert not batch.step(1, End(3, "completed")).over
    assert batch.step(1, End(4, "completed")).over
    assert made.projects == (1, 2, 3, 4)


def test_stop_on_failure_begins_no_more() -> None:
    create_batch(TOPICS, window=2, on_failure="stop")
    batch.begin(1, "t")
    batch.step(1)
    now = batch.step(1, End(1, "failed"))
    assert (now.batch.run.stopped, now.begun) == ("failed", (3,)), "to be given up"
    assert batch.tally(now.batch, now.work) == {"failed": 1, "running": 2, "cancelled": 1}
    now = batch.step(1, End(3, "cancelled"))
    assert (now.begun, now.over) == ((4,), False)
    assert not batch.step(1, End(4, "cancelled")).over
    now = batch.step(1, End(2, "completed"))
    assert (now.begun, now.over) == ((), True)
    assert batch.tally(now.batch, now.work) == {"failed": 1, "completed": 1, "cancelled": 2}


def test_a_second_caller_joins_and_a_late_duplicate_begins_nothing() -> None:
    create_batch(["One"])
    assert batch.begin(1, "a").run.number == 1
    joined = batch.begin(1, "b").run
    assert (joined.number, joined.callers) == (1, ("a", "b"))
    assert batch.begin(1, "a").run == joined
    facts = {"counts": {"completed": 1}, "status": "completed"}
    assert batch.rest(1, 1, ("a",), facts) == ("b",), "who joined meanwhile is not forgotten"
    assert batch.load(1).run.running
    assert batch.rest(1, 1, ("a", "b"), facts) == ()
    assert batch.running() == []
    assert batch.begin(1, "a").run.running is False
    assert batch.begin(1, "c").run.number == 2


def test_where_a_run_stands_is_rebuilt_wherever_it_was_lost() -> None:
    """Random ends, a lost or torn work file before any of them: each project has one end."""
    dice = random.Random(5)  # noqa: S311 - a fixed seed, for a test
    for _ in range(10):
        made = create_batch([f"T{n}" for n in range(6)], window=2)
        number = made.batch_id
        batch.begin(number, "t")
        began: list[int] = []
        flying = list(batch.step(number).begun)
        while flying:
            began += flying
            if dice.random() < 0.4:
                (made.folder / "work.json").write_bytes(b'{"run": 1, "ne'[: dice.randrange(14)])
            ended = flying.pop(dice.randrange(len(flying)))
            lost = batch.step(number)
            # a rebuilt run sends again whom it knows nothing of: they are joined, not made twice
            flying = sorted({*flying, *lost.begun, ended})
            now = batch.step(number, End(ended, dice.choice(["completed", "failed"])))
            flying = [n for n in (*flying, *now.begun) if n in now.work.flying]
        assert set(began) == set(made.projects)
        assert set(batch.run.ends(batch.load(number))) == set(made.projects)
        assert batch.look(number).over


def _drive(number: int) -> None:
    """Bring a run to its end by the folder alone, as a line of workers would."""
    batch.begin(number, "t")
    with batch.sending(number):
        now = batch.step(number)
    while now.batch.run.running and not now.over:
        ended = min(now.work.flying)
        with batch.sending(number):
            now = batch.step(number, End(ended, "failed" if ended % 2 else "completed"))
    facts = batch.outcome(now.batch, closed=True)
    batch.rest(number, now.batch.run.number, now.batch.run.callers, facts)


@pytest.mark.parametrize("how", HOWS)
def test_a_run_goes_on_from_wherever_its_process_died(how: How) -> None:
    """A crash at each file operation of a run: the next process ends it, every project has one end."""
    with Machine().running() as whole:
        _drive(create_batch(["One", "Two", "Three"], window=2).batch_id)
    at = 0
    while True:
        made = create_batch(["One", "Two", "Three"], window=2)
        at += 1
        machine = Machine(at, how)
        with contextlib.suppress(Crash), machine.running():
            _drive(made.batch_id)
        if not machine.struck:
            break
        _drive(made.batch_id)
        after = batch.load(made.batch_id)
        assert after.run.number == 1, "the same caller's run, not another"
        assert not after.run.running
        assert after.run.answered == ("t",)
        assert set(batch.run.ends(after)) == set(made.projects), machine.trace[-1]
        odd = sum(number % 2 for number in made.projects)
        assert after.run.counts == {"failed": odd, "completed": 3 - odd}
    assert 20 < at < whole.count


def test_a_torn_line_of_an_end_is_left_out() -> None:
    made = create_batch(["One", "Two"])
    batch.begin(1, "t")
    batch.step(1)
    batch.step(1, End(1, "completed"))
    with (made.folder / "ended.jsonl").open("a") as lines:
        lines.write('{"run": 1, "project_id": 2, "sta')
    (made.folder / "work.json").unlink()
    now = batch.step(1)
    assert now.begun == (2,)
    assert batch.step(1, End(2, "completed")).over


def test_an_unreadable_batch_is_named_and_the_others_are_listed() -> None:
    create_batch(["One"])
    broken = create_batch(["Two"])
    (broken.folder / batch.FILE).write_text("{")
    assert [row["status"] for row in playlist.listing()] == ["pending", "unreadable"]
    with pytest.raises(ReelchainError) as caught:
        batch.load(2)
    assert caught.value.code == "batch_unreadable"
    with pytest.raises(NotFoundError):
        batch.load(9)


# -- Redis without workers ---------------------------------------------------------------------


@pytest.fixture
def client(redis_server: RedisServer, redis_url: str) -> redis.Redis:
    # pytest looks at the application as it collects, and so configures it for another address
    celery_app._redirect(redis_url)
    return redis_server.client


def answer(task_id: str) -> dict[str, Any] | None:
    result: AsyncResult[Any] = AsyncResult(task_id, app=celery_app)
    return result.get(timeout=1) if result.ready() else None


with_redis = pytest.mark.redis


@with_redis
def test_a_lost_message_loses_nothing(client: redis.Redis) -> None:
    create_batch(TOPICS, window=2)
    task = batch_processing_task.delay(batch_id=1)
    client.flushall()
    room.repair(True)
    assert [project(n).state().run.number for n in (1, 2, 3)] == [1, 1, 0]
    for number in (1, 2, 3, 4):
        end(number)
        room.repair(False)
    told = answer(task.id)
    assert told is not None
    assert (told["status"], told["counts"]) == ("completed", {"completed": 4})
    assert [entry["project_id"] for entry in told["projects"]] == [1, 2, 3, 4]
    assert batch.running() == []


@with_redis
def test_ends_that_nobody_told_are_found(client: redis.Redis) -> None:
    create_batch(TOPICS[:3], window=3)
    task = batch_processing_task.delay(batch_id=1)
    room.repair(False)
    end(1)
    end(2, "failed")
    disk.remove(project(3).folder)  # deleted by hand, its marker left behind
    room.repair(False)
    told = answer(task.id)
    assert told is not None
    assert told["status"] == "partial"
    assert [entry["status"] for entry in told["projects"]] == ["completed", "failed", "failed"]
    codes = [(entry["error"] or {}).get("code") for entry in told["projects"]]
    assert codes == [None, "forbidden", "project_not_found"]


@with_redis
def test_a_result_that_was_not_stored_is_stored(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_batch(["One"])
    task = batch_processing_task.delay(batch_id=1)
    room.repair(False)
    end(1)

    def lost(_task_id: str, _facts: object) -> None:
        raise redis.ConnectionError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(room, "_answer", lost)
        room.repair(False)
    assert answer(task.id) is None
    assert batch.running() == [1]
    room.repair(False)
    assert answer(task.id) is not None
    assert batch.running() == []


@with_redis
def test_a_batch_cancelled_while_its_message_waits(client: redis.Redis) -> None:
    create_batch(TOPICS)
    task = batch_processing_task.delay(batch_id=1)
    assert room.cancel(1)
    told = answer(task.id)
    assert told is not None
    assert (told["status"], told["counts"]) == ("cancelled", {"cancelled": 4})
    assert {project(n).state().status for n in (1, 2, 3, 4)} == {"cancelled"}
    last = progress.latest("batch:1") or {}
    assert (last["code"], last["progress"], last["final"]) == ("batch_cancelled", 0, True)
    # its message is delivered after all
    assert batch.begin(1, task.id).run.running is False
    assert room.cancel(1) is False


@with_redis
def test_a_cancel_that_was_cut_short_is_finished(client: redis.Redis) -> None:
    create_batch(TOPICS, window=2)
    task = batch_processing_task.delay(batch_id=1)
    room.repair(False)
    batch.stop(1)  # the process died here
    room.repair(False)
    told = answer(task.id)
    assert told is not None
    assert told["counts"] == {"cancelled": 4}
    assert not project(1).active()


@with_redis
def test_a_batch_of_complete_projects_is_answered_at_once(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_batch(TOPICS, window=1)
    monkeypatch.setattr(dispatch, "finished", lambda _project: {"status": "completed"})
    for number in (1, 2, 3, 4):
        with project(number).transaction() as state:
            state.status = "completed"
    task = batch_processing_task.delay(batch_id=1)
    room.repair(False)
    told = answer(task.id)
    assert told is not None
    assert told["counts"] == {"completed": 4}
    assert [project(n).state().run.number for n in (1, 2, 3, 4)] == [0] * 4


@with_redis
def test_only_what_failed_is_tried_again(client: redis.Redis) -> None:
    create_batch(TOPICS, window=4)
    batch_processing_task.delay(batch_id=1)
    room.repair(False)
    for number, status in enumerate(("completed", "failed", "completed", "cancelled"), 1):
        end(number, status)
    room.repair(False)
    assert batch.load(1).run.status == "partial"
    again = batch_processing_task.delay(batch_id=1, failed_only=True)
    room.repair(False)
    assert [project(n).state().run.number for n in (1, 2, 3, 4)] == [1, 2, 1, 2]
    end(2)
    end(4)
    room.repair(False)
    told = answer(again.id)
    assert told is not None
    assert (told["status"], told["counts"]) == ("completed", {"completed": 4})


@with_redis
def test_a_project_started_anew_is_waited_for(client: redis.Redis) -> None:
    create_batch(["One", "Two"], window=2)
    task = batch_processing_task.delay(batch_id=1)
    room.repair(False)
    end(1, "failed")
    room.repair(False)
    dispatch.send(project(1))  # by hand, while the other is still in work
    end(2)
    room.repair(False)
    assert answer(task.id) is None
    end(1)
    room.repair(False)
    told = answer(task.id)
    assert told is not None
    assert told["counts"] == {"completed": 2}


@with_redis
def test_a_project_of_two_batches_ends_for_both(client: redis.Redis) -> None:
    create_batch(["One"])
    other = create_batch(["Two"])
    both = other.model_copy(update={"projects": (1, 2)})
    disk.write_json(other.folder / batch.FILE, both.model_dump(mode="json"))
    tasks = [batch_processing_task.delay(batch_id=n) for n in (1, 2)]
    room.repair(False)
    assert project(1).state().run.number == 1, "the second joins"
    for number in (1, 2):
        end(number)
        dispatch.settle(project(number))
    told = [answer(task.id) for task in tasks]
    assert [t and t["counts"] for t in told] == [{"completed": 1}, {"completed": 2}]


@with_redis
def test_a_round_with_nothing_wrong_costs_next_to_nothing(client: redis.Redis) -> None:
    create_batch([f"T{n}" for n in range(40)], window=4)
    batch_processing_task.delay(batch_id=1)
    room.repair(False)
    before = client.info("stats")["total_commands_processed"]
    began = time.process_time()
    for _ in range(100):
        room.repair(False)
    assert (time.process_time() - began) / 100 < 0.01
    assert client.info("stats")["total_commands_processed"] - before < 5


@with_redis
def test_a_message_for_later_begins_nothing_now(client: redis.Redis) -> None:
    create_batch(["One"])
    batch_processing_task.apply_async(kwargs={"batch_id": 1}, countdown=3600)
    room.repair(True)
    assert batch.load(1).run.number == 0


@with_redis
def test_progress_rises_to_one_hundred_and_an_end_is_known_without_redis(
    client: redis.Redis,
) -> None:
    create_batch(["One", "Two"], window=1)
    batch_processing_task.delay(batch_id=1)
    seen: list[dict[str, Any]] = []
    listener = threading.Thread(target=lambda: seen.extend(room.subscribe(batch.load(1))))
    listener.start()
    until(lambda: seen, 10, "the first event")
    for number, status in ((1, "completed"), (2, "failed")):
        room.repair(False)
        end(number, status)
    room.repair(False)
    listener.join(10)
    assert [event["progress"] for event in seen][-1] == 100
    assert [event["final"] for event in seen].count(True) == 1
    assert seen[-1]["counts"] == {"completed": 1, "failed": 1}
    assert any(event.get("eta_seconds") is not None for event in seen[:-1])
    client.flushall()
    late = list(room.subscribe(batch.load(1)))
    assert [(event["progress"], event["status"]) for event in late] == [(100, "partial")]


# -- real workers ----------------------------------------------------------------------------------

acceptance = [pytest.mark.acceptance, pytest.mark.redis]


def idle(
    folder: Path, plan: dict[int, str] | None = None
) -> contextlib.AbstractContextManager[Bench]:
    @contextlib.contextmanager
    def house() -> Iterator[Bench]:
        with bench(folder) as made:
            made.environment["PYTHONPATH"] += f":{ROOT / 'tests'}"
            made.environment["IDLE_PLAN"] = str(folder / "plan.json")
            tell_plan(made, plan or {})
            yield made

    return house()


def tell_plan(house: Bench, plan: dict[int, str]) -> None:
    aside = house.folder / "plan.new"
    aside.write_text(json.dumps(plan))
    aside.replace(house.folder / "plan.json")


def cli(house: Bench, *arguments: str) -> Any:
    found = subprocess.run(
        [sys.executable, "-m", "app", "batch", *arguments, "--json"],
        env=house.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def statuses(told: dict[str, Any]) -> list[str]:
    return [entry["status"] for entry in told["projects"]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with idle(tmp_path_factory.mktemp("batches")) as made:
        made.start_worker(app="_idle_app")
        yield made


def make(house: Bench, count: int, **rules: object) -> tuple[int, list[int]]:
    told = house.call(
        f"""
        made = create_batch([f"Topic {{n}}" for n in range({count})], title="T", **{rules!r})
        tell([made.batch_id, list(made.projects)])
        """
    )
    return told[0], told[1]


class TestWithWorkers:
    pytestmark = acceptance

    def test_two_callers_at_once_get_the_same_and_no_more_than_the_window_is_in_flight(
        self, house: Bench
    ) -> None:
        number, made = make(house, 8, window=2)
        tell_plan(house, {made[1]: "fail", made[0]: "hold"})
        house.call(
            f"celery_app.kept = [batch_processing_task.delay(batch_id={number}) for _ in range(2)]"
        )
        markers = house.data / "projects" / ".active"
        script = house.data / "projects"
        until(lambda: _ended(script / str(made[5])), 30, "the others go on past a failure")
        assert len({int(path.name) for path in markers.iterdir()} & set(made)) <= 2
        tell_plan(house, {made[1]: "fail"})
        one, other = house.call("tell([task.get(timeout=60) for task in celery_app.kept])")
        assert one == other
        assert (one["status"], one["counts"]) == ("partial", {"completed": 7, "failed": 1})
        assert [entry["project_id"] for entry in one["projects"]] == made
        assert one["projects"][1]["error"]["code"] == "forbidden"

    def test_stop_and_retry_what_failed(self, house: Bench) -> None:
        number, made = make(house, 5, window=1, on_failure="stop")
        tell_plan(house, {made[1]: "fail"})
        told = cli(house, "run", str(number))
        assert statuses(told) == ["completed", "failed", *["cancelled"] * 3]
        assert told["counts"] == {"completed": 1, "failed": 1, "cancelled": 3}
        assert told["status"] == "partial"
        tell_plan(house, {})
        planned = cli(house, "retry-failed", str(number), "--dry-run")
        assert (planned["projects"], planned["to_make"]) == (4, 4)
        told = cli(house, "retry-failed", str(number))
        assert (told["status"], told["counts"]) == ("completed", {"completed": 5})
        runs = [
            json.loads((house.data / f"projects/{n}/project_state.json").read_bytes())["run"]
            for n in made
        ]
        assert [run["number"] for run in runs] == [1, 2, 1, 1, 1]

    def test_cancel_ends_what_is_in_work_and_begins_no_more(self, house: Bench) -> None:
        number, made = make(house, 4, window=2)
        tell_plan(house, dict.fromkeys(made[1:], "hold"))
        house.call(f"celery_app.kept = batch_processing_task.delay(batch_id={number})")
        until(lambda: _status(house, made[2]) == "running", 30, "two are held")
        assert [row["status"] for row in cli(house, "ls")][number - 1] == "running"
        told = cli(house, "cancel", str(number), "--yes")
        assert statuses(told) == ["completed", *["cancelled"] * 3]
        told = house.call("tell(celery_app.kept.get(timeout=10))")
        assert (told["status"], told["counts"]) == ("cancelled", {"completed": 1, "cancelled": 3})
        tell_plan(house, {})

    def test_a_project_run_by_hand_meanwhile_is_joined(self, house: Bench) -> None:
        number, made = make(house, 3, window=1)
        tell_plan(house, {made[0]: "hold", made[1]: "hold"})
        house.call(f"celery_app.kept = batch_processing_task.delay(batch_id={number})")
        until(lambda: _status(house, made[0]) == "running", 30, "the first is held")
        house.call(f"celery_app.hand = start({made[1]})")
        until(lambda: _status(house, made[1]) == "running", 30, "so is the one by hand")
        tell_plan(house, {})
        told = house.call("tell(celery_app.kept.get(timeout=60))")
        assert told["counts"] == {"completed": 3}
        assert house.call("tell(celery_app.hand.get(timeout=10)['status'])") == "completed"
        state = json.loads((house.data / f"projects/{made[1]}/project_state.json").read_bytes())
        assert state["run"]["number"] == 1

    def test_nothing_is_lost_with_the_worker_and_all_of_redis(self, tmp_path: Path) -> None:
        """The worker of the batch's message dies, then Redis forgets all: every caller is answered."""
        with idle(tmp_path, {1: "hold", 2: "hold"}) as made:
            worker = made.start_worker(app="_idle_app")
            make(made, 6, window=2)
            made.call(
                """
                import threading
                task = batch_processing_task.delay(batch_id=1)
                celery_app.box = []
                wait = lambda: celery_app.box.append(task.get(timeout=90))
                celery_app.waiting = threading.Thread(target=wait, daemon=True)
                celery_app.waiting.start()
                """
            )
            until(lambda: _status(made, 2) == "running", 30, "two are in work")
            made.kill_worker(worker)
            made.redis.flushall()
            tell_plan(made, {3: "hold"})
            made.start_worker(app="_idle_app")
            until(lambda: _status(made, 3) == "running", 30, "the batch goes on")
            made.redis.flushall()
            tell_plan(made, {})
            told = made.call("celery_app.waiting.join(80); tell(celery_app.box)")
            assert told
            assert told[0]["counts"] == {"completed": 6}
            assert cli(made, "show", "1")["status"] == "completed"


def _status(house: Bench, number: int) -> str:
    path = house.data / "projects" / str(number) / "project_state.json"
    return str(json.loads(path.read_bytes())["status"])


def _ended(folder: Path) -> bool:
    state = json.loads((folder / "project_state.json").read_bytes())
    return bool(state["run"]["ended"])
