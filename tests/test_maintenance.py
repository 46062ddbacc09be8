"""The clean-up: what was finished stays finished, what is worked on is left alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from _finished import SEGMENTS, VOICE, finished
from _redis import RedisServer
from _workers import Bench, bench, story
from app import pipeline, records
from app.celery_app import celery_app
from app.project import Project
from app.tasks import cleanup, dispatch
from app.tasks.maintenance import CLEANING, clean_up
from app.tasks.thumbnail import FACTS


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def run(*, days: int = 30, gigabytes: float = 0) -> dict[str, Any]:
    return cleanup.run(days=days, gigabytes=gigabytes, seconds=60)


def parts_of(project: Project) -> list[Path]:
    return [project.path(name) for name in (*SEGMENTS, "render/sound.m4a")]


def is_thin(project: Project) -> bool:
    there = {path.exists() for path in parts_of(project)}
    assert len(there) == 1, "half of the parts are gone"
    return there == {False}


# -- what goes ---------------------------------------------------------------------------------


def test_the_parts_of_an_old_film_go_and_it_stays_finished() -> None:
    old, young = finished(ended=ago(31)), finished(ended=ago(29))
    size = sum(path.stat().st_size for path in parts_of(old))
    assert run() == {"projects": 1, "bytes": size, "left": 0}
    assert is_thin(old)
    assert not is_thin(young)
    assert not (old.folder / "render").exists()
    for name in ("video.mp4", "captions.srt", "thumbnail.jpg", "publish.json", VOICE):
        assert old.path(name).exists()
    for project in (old, young):
        assert project.sealed(project.state())
        assert pipeline.finished(project.id) is not None
        assert dispatch.finished(project) is not None
    assert not old.active()


def test_a_second_clean_up_finds_nothing() -> None:
    project = finished(ended=ago(31))
    run()
    before = project.state()
    assert run() == {"projects": 0, "bytes": 0, "left": 0}
    assert project.state() == before


def test_only_what_was_made_counts_as_made_afterwards() -> None:
    project = finished(ended=ago(31))
    project.path("thumbnail.jpg").write_bytes(b"damaged")
    run()
    assert is_thin(project)
    state = project.state()
    assert not project.sealed(state)
    assert dispatch.finished(project) is None
    made = [stage for stage in state.stages if cleanup.is_made(project, state, stage)]
    assert made == [
        "script_generation", "asset_generation", "video_rendering", "youtube_upload",
    ]  # fmt: skip


def test_what_an_edit_made_outdated_stays_so() -> None:
    project = finished(ended=ago(31))
    with project.transaction() as state:
        state.spec = state.spec.model_copy(update={"speed": 1.5})
    run()
    assert is_thin(project)
    state = project.state()
    assert dispatch.finished(project) is None
    assert not project.sealed(state)
    assert cleanup.is_made(project, state, "script_generation")
    assert not cleanup.is_made(project, state, "asset_generation")


def test_no_limit_by_age_and_a_limit_by_size() -> None:
    projects = [finished(ended=ago(days), size=100_000) for days in (3, 2, 1)]
    one = sum(path.stat().st_size for path in parts_of(projects[0]))
    assert run(days=0)["projects"] == 0
    assert run(days=0, gigabytes=(2.5 * one) / 1e9)["projects"] == 1
    assert [is_thin(project) for project in projects] == [True, False, False]
    assert run(days=0, gigabytes=one / 2 / 1e9)["projects"] == 2


def test_what_is_not_finished_keeps_its_parts() -> None:
    failed, running = finished(ended=ago(31)), finished(ended=ago(31))
    with failed.transaction() as state:
        state.status = "failed"
    running.begin_run(["youtube_upload"])
    stray = running.path(f"render/segment/{9:020x}.mp4")
    stray.write_bytes(b"x")
    assert run() == {"projects": 0, "bytes": 0, "left": 0}
    assert stray.exists()
    assert not is_thin(failed)
    assert not is_thin(running)


def test_what_is_worked_on_is_left_alone() -> None:
    project = finished(ended=ago(31))
    stray = project.path(f"render/segment/{9:020x}.mp4")
    stray.write_bytes(b"x")
    with project.lock():
        assert run()["bytes"] == 0
        assert not is_thin(project)
        assert stray.exists()
    run()
    assert is_thin(project)


def test_strays_and_lock_files_go_and_the_users_files_stay() -> None:
    project = finished()
    stray = project.path(f"assets/voice/{9:020x}.wav")
    mine = project.path("render/segment/my cut.mp4")
    for path in (stray, mine):
        path.write_bytes(b"x" * 10)
    assert any((project.folder / ".locks").iterdir())
    assert run()["bytes"] == 10
    assert not stray.exists()
    assert mine.exists()
    assert not any((project.folder / ".locks").iterdir())
    assert dispatch.finished(project) is not None


def test_a_death_in_the_middle_leaves_a_finished_project(monkeypatch: pytest.MonkeyPatch) -> None:
    project = finished(ended=ago(31))

    def dies(path: Path) -> None:
        if path.suffix == ".mp4":
            raise KeyboardInterrupt
        path.unlink(missing_ok=True)

    with monkeypatch.context() as patched:
        patched.setattr(cleanup.disk, "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert project.path(SEGMENTS[0]).exists()
    assert dispatch.finished(project) is not None
    assert project.sealed(project.state())
    run()
    assert is_thin(project)


def test_it_stops_when_its_time_is_up() -> None:
    for _ in range(2):
        finished(ended=ago(31))
    assert cleanup.run(days=30, gigabytes=0, seconds=0)["projects"] == 0
    assert run()["projects"] == 2


# -- the task ----------------------------------------------------------------------------------


@pytest.fixture
def redis(redis_server: RedisServer, redis_url: str) -> Iterator[RedisServer]:
    celery_app._redirect(redis_url)
    yield redis_server
    records.close()


@pytest.mark.redis
def test_one_clean_up_at_a_time(redis: RedisServer) -> None:
    project = finished(ended=ago(31))
    redis.client.set(CLEANING, "another")
    assert clean_up() == {"skipped": True}
    assert not is_thin(project)
    assert redis.client.get(CLEANING) == "another"
    redis.client.delete(CLEANING)
    done = clean_up()
    assert (done["projects"], done["left"]) == (1, 0)
    assert not redis.client.exists(CLEANING)


@pytest.mark.redis
def test_a_clean_up_that_died_does_not_block_the_next_for_long(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(**_: Any) -> None:
        os._exit(137)

    monkeypatch.setattr(cleanup, "run", dies)
    pid = os.fork()
    if pid == 0:
        clean_up()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 137
    assert 0 < int(redis.client.ttl(CLEANING)) <= 360


@pytest.mark.redis
def test_old_history_goes_too(redis: RedisServer) -> None:
    row = {"task_id": "a", "status": "completed"}
    records.stage_event(1, "script_generation", 1, 1, **row, started_at=ago(91))
    records.stage_event(1, "script_generation", 2, 2, **row, started_at=ago(1))
    assert clean_up()["history"] == 1
    assert [tried["run"] for tried in records.history(1)] == [2]


# -- a real film -------------------------------------------------------------------------------


@pytest.mark.acceptance
@pytest.mark.redis
@pytest.mark.ffmpeg
@pytest.mark.timeout(180)
def test_an_edit_after_a_clean_up_remakes_only_what_it_must(tmp_path: Path) -> None:
    with bench(tmp_path) as house:
        house.environment["CLEANUP_GB"] = "0.000001"
        house.start_worker()
        path = story(tmp_path)
        number = house.call(f"tell(create_project({str(path)!r}).id)")
        house.call(f"start({number}).get(timeout=90)")
        project = Project.open(house.data / "projects", number)
        before = marks(project)
        done = house.call(
            "from app.tasks.maintenance import clean_up\ntell(clean_up.delay().get(timeout=30))"
        )
        assert done["projects"] == 1
        assert {name for name in before if name.startswith("render/")} - set(marks(project))
        assert {name for name in marks(project) if name.startswith("render/")} <= {FACTS}

        # finished, and known to be so without a worker
        assert house.call(f"r = start({number}); tell([type(r).__name__, r.get()['status']])") == [
            "EagerResult",
            "completed",
        ]
        assert project.state().run.number == 1

        # another description: no picture changes, so neither does the film
        update(house, number, path, description="Doors and walls.")
        assert changed(before, marks(project)) == {"script.json"}
        assert {name for name in marks(project) if name.startswith("render/")} <= {FACTS}

        # another sentence: its voice and the film, which has lost its parts
        after = marks(project)
        path.write_text(path.read_text().replace("It was blue.", "It was red."), encoding="utf-8")
        update(house, number, path, description="Doors and walls.")
        kept = {name for name in after if name.startswith("assets/")} - {"assets/assets.json"}
        new = changed(after, marks(project))
        assert {"script.json", "assets/assets.json", "video.mp4"} <= new
        assert len([name for name in new if name.endswith(".wav")]) == 1
        assert len(kept - new) >= len(kept) - 2
        assert "thumbnail.jpg" not in new


def marks(project: Project) -> dict[str, tuple[int, int]]:
    """Return each recorded file with what tells it from one made anew."""
    state = project.state()
    names = [name for part in state.stages.values() for name in part.artifacts]
    return {name: (s.st_ino, s.st_mtime_ns) for name in names if (s := project.path(name).stat())}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in after if before.get(name) != after[name]} - {"publish.json"}


def update(house: Bench, number: int, path: Path, **facts: str) -> None:
    told = json.dumps(facts)
    house.call(
        f"from app.pipeline import update_project\n"
        f"update_project({number}, {str(path)!r}, overrides={told})\n"
        f"start({number}).get(timeout=90)"
    )
