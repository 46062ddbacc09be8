"""What waits, who works, emptying a queue, a health check: on a real Redis, with real workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

import app.cli
from _redis import RedisServer, until
from _workers import Bench, bench, story
from app import operations, pipeline, records, settings
from app.celery_app import QUEUES, celery_app, debug_task
from app.doctor import health
from app.errors import Cancelled, InputError, ServiceError
from app.operations import broker
from app.project import Project
from app.tasks import batch as batches
from app.tasks import batch_processing_task, generate_script_task, sync_quotas, watchdog

pytestmark = [
    pytest.mark.redis,
    # Celery's own way to store a result, which redis-py would rather have otherwise
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
]


@pytest.fixture
def redis(redis_server: RedisServer, redis_url: str) -> Iterator[RedisServer]:
    """The session's Redis, with nobody at work."""
    celery_app.conf.update(broker_url=redis_url, result_backend=redis_url)
    celery_app._redirect(redis_url)
    return redis_server


def made(topic: str = "the tides") -> Project:
    return pipeline.create_project({"topic": topic})


def queue(name: str) -> dict[str, Any]:
    (row,) = [row for row in operations.queues() if row["queue"] == name]
    return row


# -- queues ------------------------------------------------------------------------------------


def test_queues_without_a_worker(redis: RedisServer) -> None:
    assert [row["queue"] for row in operations.queues()] == list(QUEUES)
    assert all(row["oldest"] is None and not row["waiting"] for row in operations.queues())
    first, second = made(), made()
    pipeline.start(first.id)
    pipeline.start(second.id, priority="high")
    debug_task.delay()
    row = queue("video_generation")
    assert (row["waiting"], row["priorities"]) == (2, {"9": 1, "5": 1})
    assert row["oldest"]["project_id"] == first.id
    assert row["oldest"]["task"] == "generate_script_task"
    assert 0 <= row["oldest"]["age_seconds"] < 60
    assert row["next"]["project_id"] == second.id
    assert queue("maintenance")["oldest"]["task"] == "debug_task"


def test_the_oldest_is_found_wherever_it_lies(redis: RedisServer) -> None:
    for number in range(3):
        debug_task.delay()
        ((key, raw),) = [(k, redis.client.lindex(k, 0)) for k in redis.client.keys("maintenance*")]
        told = json.loads(raw)
        told["headers"]["sent"] = time.time() - (100, 7200, 300)[number]
        redis.client.lset(key, 0, json.dumps(told))
    assert 7100 < queue("maintenance")["oldest"]["age_seconds"] < 7300
    checks = {check.name: check for check in health.examine()}
    assert checks["Queues"].status == "warn"


def test_messages_that_nobody_can_read_are_counted(redis: RedisServer) -> None:
    for raw in (b"\xff\xfe no text", b"[]", b'{"headers": {}}', b'{"headers": {"task": "x"}}'):
        redis.client.lpush("maintenance", raw)
    row = queue("maintenance")
    assert row["waiting"] == 4
    assert row["oldest"]["age_seconds"] is None
    assert {m.task for m in operations.plan(["maintenance"])} == {"unreadable"}
    assert operations.drop(operations.plan())["dropped"] == 4


def test_taken_and_not_done(redis: RedisServer) -> None:
    redis.client.hset("unacked", "tag", json.dumps([{}, "", "batch_processing"]))
    redis.client.hset("unacked", "broken", "?")
    assert queue("batch_processing")["unacked"] == 1
    assert queue("maintenance")["unacked"] == 0


def test_a_redis_that_is_away_is_told_of_at_once(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "PATIENCE", 0.3)
    celery_app._redirect(own_redis.url)
    own_redis.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    for ask in (operations.queues, operations.plan, operations.workers):
        with pytest.raises(ServiceError) as caught:
            ask()
        assert caught.value.code == "redis_unreachable"
    assert time.monotonic() - began < 3
    began = time.monotonic()
    checks = {check.name: check for check in health.examine()}
    assert time.monotonic() - began < 3
    assert {n for n, c in checks.items() if c.status == "fail"} == {
        "Redis",
        "Workers",
        "Watchdog",
        "Queues",
    }
    own_redis.kill()
    with pytest.raises(ServiceError):
        operations.queues()


# -- purge -------------------------------------------------------------------------------------


def test_a_dropped_project_is_cancelled_and_can_go_on(redis: RedisServer) -> None:
    project, other = made(), made()
    result = pipeline.start(project.id)
    pipeline.start(other.id)
    debug_task.delay()
    messages = [m for m in operations.plan() if m.project != other.id]
    done = operations.drop(messages)
    assert done["dropped"] == 2
    assert done["projects"] == [project.id]
    assert project.state().status == "cancelled"
    assert other.state().status == "pending"
    assert [m.project for m in operations.plan()] == [other.id]
    with pytest.raises(Cancelled):
        result.get(timeout=5)
    pipeline.start(project.id)
    assert {m.project for m in operations.plan()} == {project.id, other.id}


def test_a_kept_project_is_left_to_be_sent_again(redis: RedisServer) -> None:
    project = made()
    pipeline.start(project.id)
    done = operations.drop(operations.plan(), keep_projects=True)
    assert (done["projects"], done["kept"]) == ([project.id], True)
    assert not project.state().run.ended
    assert operations.plan() == []


def test_a_dropped_batch_is_cancelled(redis: RedisServer) -> None:
    batch = pipeline.create_batch([{"topic": "rain"}, {"topic": "snow"}])
    result = batch_processing_task.delay(batch.batch_id)
    messages = operations.plan(["batch_processing"])
    assert [m.batch for m in messages] == [batch.batch_id]
    assert operations.drop(messages)["batches"] == [batch.batch_id]
    assert result.get(timeout=5)["status"] == "cancelled"
    assert operations.plan() == []


def test_a_batch_goes_on_without_a_dropped_project(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # on a busy machine a round leaves the rest to the next
    monkeypatch.setattr(batches, "REPAIR_SECONDS", float("inf"))
    batch = pipeline.create_batch([{"topic": "rain"}, {"topic": "snow"}])
    batch_processing_task.delay(batch_id=batch.batch_id)
    operations.drop(operations.plan(), keep_projects=True)
    for look in watchdog.repairs:
        look(False)
    first = [m for m in operations.plan() if m.project == batch.projects[0]]
    done = operations.drop(first)
    assert (done["projects"], done["going_on"]) == ([batch.projects[0]], [batch.batch_id])
    assert [m.project for m in operations.plan()] == [batch.projects[1]]


def test_nobody_waits_for_a_dropped_task(redis: RedisServer) -> None:
    lone, chained = debug_task.delay(), (sync_quotas.si() | debug_task.si()).apply_async()
    operations.drop(operations.plan())
    for result in (lone, chained):
        with pytest.raises(Cancelled):
            result.get(timeout=5)


def test_a_message_of_an_outdated_run_takes_nothing_with_it(redis: RedisServer) -> None:
    project = made()
    pipeline.start(project.id)
    old = operations.plan()
    pipeline.start(project.id, restart=True)
    done = operations.drop(old)
    assert (done["dropped"], done["projects"], done["batches"]) == (1, [], [])
    assert not project.state().run.ended
    assert len(operations.plan()) == 1


def test_a_surplus_message_takes_nothing_from_who_works(redis: RedisServer) -> None:
    project = made()
    pipeline.start(project.id)
    with project.lock():
        assert operations.drop(operations.plan())["projects"] == []
    assert not project.state().run.ended


def test_a_message_that_became_more_urgent_is_found(redis: RedisServer) -> None:
    project = made()
    pipeline.start(project.id, priority="low")
    (seen,) = operations.plan()
    redis.client.lmove(seen.key, "video_generation", "RIGHT", "LEFT")
    assert operations.drop([seen])["projects"] == [project.id]
    assert operations.plan() == []


def test_what_a_worker_took_meanwhile_is_its_own(redis: RedisServer) -> None:
    project = made()
    pipeline.start(project.id)
    seen = operations.plan()
    redis.client.rpop(seen[0].key)
    assert operations.drop(seen)["dropped"] == 0
    assert project.state().status == "pending"


def test_the_plan_names_tasks_projects_and_queues(redis: RedisServer) -> None:
    project = made()
    generate_script_task.delay(project_id=project.id)
    batch_processing_task.delay(batch_id=pipeline.create_batch([{"topic": "rain"}]).batch_id)
    sync_quotas.delay()
    sync_quotas.delay()
    rows = operations.summary(operations.plan())
    assert [(row["queue"], row["tasks"], row["projects"]) for row in rows] == [
        ("video_generation", {"generate_script_task": 1}, [project.id]),
        ("batch_processing", {"batch_processing_task": 1}, []),
        ("maintenance", {"sync_quotas": 2}, []),
    ]
    assert [m.queue for m in operations.plan(["batch_processing"])] == ["batch_processing"]
    with pytest.raises(InputError):
        operations.plan(["celery"])


# -- the commands ------------------------------------------------------------------------------


def reelchain(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app.cli.app, arguments, input=answer)


def test_purge_says_what_it_would_do_and_asks(redis: RedisServer) -> None:
    project = made()
    pipeline.start(project.id)
    would = json.loads(reelchain("purge", "--dry-run", "--json").stdout)
    assert would["queues"][0]["tasks"] == {"generate_script_task": 1}
    assert (would["projects"], would["dropped"]) == ([project.id], 0)
    refused = reelchain("purge", answer="n\n")
    assert refused.exit_code == 1
    assert f"Projects to be cancelled: {project.id}" in refused.stderr
    other = json.loads(reelchain("purge", "-Q", "maintenance", "--json", "--yes").stdout)
    assert other["dropped"] == 0
    assert len(operations.plan()) == 1
    done = reelchain("purge", answer="y\n")
    assert done.exit_code == 0
    assert f"./reelchain run {project.id}" in done.stdout
    assert operations.plan() == []
    assert "Nothing waits." in reelchain("purge").stdout


def test_tables_for_people(redis: RedisServer) -> None:
    project = made()
    pipeline.start(project.id, priority="low")
    told = reelchain("queues").stdout
    assert "video_generation" in told
    assert "1: 1" in told
    assert f"generate_script_task, project {project.id}" in told
    assert "No worker" in reelchain("workers").stdout


def test_an_installation_without_workers_is_not_well(redis: RedisServer) -> None:
    sick = reelchain("health")
    assert sick.exit_code == 1
    assert "Nobody takes video_generation, batch_processing, maintenance." in sick.stdout
    assert "[unhealthy]" in sick.stderr
    rows = json.loads(reelchain("health", "--json", "-Q", "maintenance").stdout)
    states = {row["name"]: row["status"] for row in rows}
    assert states["Redis"] == states["Disk"] == states["Database"] == "ok"
    assert states["Workers"] == states["Watchdog"] == "fail"
    assert health.WATCHDOG == watchdog.KEY


def test_without_a_database_it_is_well_all_the_same(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def breaks() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, "engine", breaks)
    checks = {check.name: check for check in health.examine()}
    assert checks["Database"].status == "warn"
    assert "No space left" in checks["Database"].what


# -- real workers ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("house")) as made_:
        made_.start_worker()
        yield made_


@pytest.fixture
def at_house(house: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Point this process at the house, so that not each question costs a start of Python."""
    for name in ("CELERY_BROKER_URL", "DATA_DIR"):
        monkeypatch.setenv(name, house.environment[name])
    settings.get.cache_clear()
    return house


def busy() -> Iterator[dict[str, Any]]:
    for worker in operations.workers()["workers"]:
        yield from (child for child in worker["children"] if child["stage"])


@pytest.mark.acceptance
@pytest.mark.ffmpeg
@pytest.mark.timeout(180)
def test_workers_at_work_and_frozen(at_house: Bench) -> None:
    house = at_house
    (worker,) = house.workers
    command = [sys.executable, "-m", "app", "health", "--json"]
    done = subprocess.run(
        command, env=house.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    path = story(house.folder, long_story())
    number = house.call(f"tell(create_project({str(path)!r}).id)")
    house.call(f"start({number})")
    found: list[dict[str, Any]] = []
    until(lambda: found.extend(busy()) or found, 60, "the worker is seen at work")
    assert (found[0]["project_id"], found[0]["run"]) == (number, 1)
    assert found[0]["memory_mb"] > 30
    child = until(lambda: caught(house.project(number)), 60, "it is stopped in a stage")
    with stopped(child):
        began = time.monotonic()
        told = operations.workers()
        usual = time.monotonic() - began
        (row,) = told["workers"]
        assert (row["name"], row["pid"], row["state"]) == ("w0@test", worker.pid, "busy")
        assert set(row["queues"]) == set(QUEUES)
        assert sorted(c["state"] for c in row["children"]) == ["frozen", "idle"]
        assert [owner["project_id"] for owner in told["frozen"]] == [number]
        assert f"kill -9 {child}" in told["frozen"][0]["hint"]
        with stopped(worker.pid):
            began = time.monotonic()
            (row,) = operations.workers()["workers"]
            # it was asked and waited for, but not for long: on a quiet machine two seconds in all
            assert time.monotonic() - began < 1.5 + 2 * usual
            assert (row["name"], row["state"]) == ("w0@test", "frozen")
            assert f"kill -CONT {worker.pid}" in row["hint"]
            assert child in [c["pid"] for c in row["children"]]
            assert reelchain("health").exit_code == 1
    house.call(f"from app.pipeline import cancel; tell(cancel({number}))")
    until(lambda: not list(busy()), 30, "it is at rest again")


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def caught(project: Project) -> int | None:
    """Stop whoever is at a project; None, and nobody is stopped, where he was just done."""
    owner = project.owner()
    if owner is None or owner.purpose != "work":
        return None
    os.kill(owner.pid, signal.SIGSTOP)
    found = project.owner()
    if found is not None and (found.purpose, found.stage) == ("work", owner.stage):
        return owner.pid
    os.kill(owner.pid, signal.SIGCONT)
    return None


def long_story() -> str:
    scenes = [
        f"## Part {n}\n\nA door stood in wall {n}. It was blue, and it was shut.\n"
        for n in range(12)
    ]
    return "---\nlanguage: en\nmusic: none\n---\n# Doors\n\n" + "\n".join(scenes)
