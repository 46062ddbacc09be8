"""Batches with Redis: no message, worker or memory of Redis is needed for a batch to come to its end."""

from __future__ import annotations

import contextlib
import json
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

from _redis import RedisServer, until
from _workers import Bench, bench
from app import batch, disk, progress, settings
from app.celery_app import celery_app
from app.models import ErrorFact
from app.pipeline import create_batch
from app.project import Project
from app.tasks import batch as room
from app.tasks import batch_processing_task, dispatch

# Celery calls what redis-py calls old
pytestmark = [
    pytest.mark.redis,
    pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning"),
]

TOPICS = ["One", "Two", "Three", "Four"]


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


# -- Redis without workers ---------------------------------------------------------------------


@pytest.fixture
def client(
    redis_server: RedisServer, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> redis.Redis:
    # on a busy machine a round leaves the rest to the next, and here each round is called by hand
    monkeypatch.setattr(room, "REPAIR_SECONDS", float("inf"))
    # pytest looks at the application as it collects, and so configures it for another address
    celery_app._redirect(redis_url)
    return redis_server.client


def answer(task_id: str) -> dict[str, Any] | None:
    result: AsyncResult[Any] = AsyncResult(task_id, app=celery_app)
    return result.get(timeout=1) if result.ready() else None


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


def test_a_message_for_later_begins_nothing_now(client: redis.Redis) -> None:
    create_batch(["One"])
    batch_processing_task.apply_async(kwargs={"batch_id": 1}, countdown=3600)
    room.repair(True)
    assert batch.load(1).run.number == 0


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


def idle(
    folder: Path, plan: dict[int, str] | None = None
) -> contextlib.AbstractContextManager[Bench]:
    @contextlib.contextmanager
    def house() -> Iterator[Bench]:
        with bench(folder) as made:
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
    pytestmark = pytest.mark.acceptance

    def test_two_callers_at_once_get_the_same_and_no_more_than_the_window_is_in_flight(
        self, house: Bench
    ) -> None:
        number, made = make(house, 8, window=2)
        tell_plan(house, {made[1]: "fail", made[0]: "hold"})
        house.call(
            f"celery_app.kept = [batch_processing_task.delay(batch_id={number}) for _ in range(2)]"
        )
        most = [0]

        def past_the_failure() -> bool:
            # the last first: whatever of the others is in flight when it is read was so before, too
            runs = [_state(house, n)["run"] for n in reversed(made)]
            most.append(sum(run["number"] > 0 and not run["ended"] for run in runs))
            return bool(runs[2]["ended"])

        until(past_the_failure, 30, "the others go on past a failure")
        assert 1 <= max(most) <= 2
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
        runs = [_state(house, n)["run"] for n in made]
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
        tell_plan(house, {made[1]: "hold"})
        flying = f"from app import batch; tell(sorted(batch.look({number}).work.flying))"
        until(lambda: house.call(flying) == [made[1]], 30, "the batch waits for the one by hand")
        tell_plan(house, {})
        told = house.call("tell(celery_app.kept.get(timeout=60))")
        assert told["counts"] == {"completed": 3}
        assert house.call("tell(celery_app.hand.get(timeout=10)['status'])") == "completed"
        assert _state(house, made[1])["run"]["number"] == 1

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


def _state(house: Bench, number: int) -> Any:
    path = house.data / "projects" / str(number) / "project_state.json"
    return json.loads(path.read_bytes())


def _status(house: Bench, number: int) -> str:
    return str(_state(house, number)["status"])
