"""Nothing is lost: rescues without anybody's help, cancel, hand-over, waiting, limits, urgency."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from _redis import until
from _workers import Bench, bench, story

pytestmark = [pytest.mark.acceptance, pytest.mark.redis]

QUICK = {
    "WATCHDOG_SECONDS": "0.3",
    "QUEUE_GRACE_SECONDS": "1",
    "LEASE_SECONDS": "1",
    "DRAIN_SECONDS": "0.5",
    "SPEECH_PROVIDER": "flaky",
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.environment |= {
            **QUICK,
            "CLIENT_IMPORT": "_flaky",
            "FLAKY_PLAN": str(made.folder / "plan"),
        }
        plan(made)
        yield made


def plan(house: Bench, *faults: str) -> None:
    (house.folder / "plan").write_text("\n".join(faults))


def worker(house: Bench, concurrency: int = 1) -> Any:
    return house.start_worker(concurrency=concurrency, app="_flaky")


def new(house: Bench) -> int:
    return int(house.call(f"tell(create_project({str(story(house.folder))!r}).id)"))


def note(house: Bench, number: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((house.data / f"projects/{number}/.lock").read_text())
    except (ValueError, OSError):
        return {}
    return found


def hanging(house: Bench, number: int) -> Callable[[], bool]:
    """Return a question: does a worker hang in the voice of a project?"""
    return lambda: (
        bool(note(house, number).get("units")) and not (house.folder / "plan").read_text()
    )


def hung(house: Bench) -> int:
    """Return a project whose caller waits and whose worker hangs in the voice."""
    number = new(house)
    plan(house, "hang")
    begin(house, number)
    until(hanging(house, number), 30, "the voice hangs")
    return number


def begin(house: Bench, number: int, name: str = "caller") -> None:
    """Let a caller's own chain start; the result stays with the client under a name."""
    house.call(f"{name} = video_pipeline({number}).apply_async(); tell(0)")


def outcome(house: Bench, name: str = "caller", seconds: int = 60) -> Any:
    return house.call(
        f"""
        from app.errors import ReelchainError
        try:
            tell({name}.get(timeout={seconds})["status"])
        except ReelchainError as error:
            tell([type(error).__name__, error.code])
        """
    )


def quiet(house: Bench, number: int) -> bool:
    """Tell whether nothing of a run is left behind."""
    return not (house.data / f"projects/.active/{number}").exists() and not note(house, number)


def history(house: Bench, number: int) -> list[str]:
    lines = (house.data / f"projects/{number}/events.jsonl").read_text().splitlines()
    return [json.loads(line)["code"] for line in lines]


# -- rescues ---------------------------------------------------------------------------------


def test_a_killed_workers_project_goes_on_at_another_and_its_caller_is_answered(
    house: Bench,
) -> None:
    first = worker(house)
    number = hung(house)
    worker(house)
    house.call(f"lone = generate_assets_task.delay(project_id={number}); tell(0)")
    run = house.state(number)["run"]["number"]
    house.kill_worker(first)
    until(lambda: house.state(number)["run"]["number"] > run, 5, "another run")
    assert outcome(house) == "completed"
    assert outcome(house, "lone") == "completed"
    until(lambda: quiet(house, number), 30, "nothing is left")
    assert history(house, number).count("rescued") == 1
    assert house.state(number)["run"]["deaths"] == {}


def test_a_killed_child_is_no_failure_for_its_caller(house: Bench) -> None:
    worker(house)
    number = new(house)
    plan(house, "die")
    begin(house, number)
    assert outcome(house) == "completed"
    house.call(f"alone = generate_assets_task.delay(project_id={number}); tell(0)")
    assert outcome(house, "alone") == "completed"


def test_a_lone_task_is_rescued_as_just_that(house: Bench) -> None:
    worker(house)
    number = new(house)
    house.call(f"generate_script_task.delay(project_id={number}).get(timeout=60)")
    plan(house, "die")
    house.call(f"lone = generate_assets_task.delay(project_id={number}); tell(0)")
    assert outcome(house, "lone") == "completed"
    until(lambda: quiet(house, number), 30, "nothing is left")
    found = house.state(number)
    assert found["run"]["stages"] == ["asset_generation"]
    assert found["status"] == "pending"
    assert "video_rendering" not in found["stages"]


def test_a_unit_that_kills_its_workers_ends_the_project_with_that_said(house: Bench) -> None:
    worker(house)
    number = new(house)
    plan(house, *["die"] * 9)
    begin(house, number)
    assert outcome(house) == ["PermanentError", "worker_lost"]
    found = house.state(number)
    assert found["status"] == "failed"
    error = found["stages"]["asset_generation"]["error"]
    assert error["code"] == "worker_lost"
    assert "One worker after another died" in error["message"]
    assert "assets/voice/" in error["message"]
    assert len((house.folder / "plan").read_text().split()) == 5, "three rescues, no more"


def test_a_redis_that_lost_everything_loses_no_project_and_no_caller(house: Bench) -> None:
    number = new(house)
    begin(house, number)
    house.redis.flushall()
    worker(house)
    assert outcome(house) == "completed"
    assert history(house, number).count("rescued") == 1


def test_a_message_lost_between_the_links_is_sent_again(house: Bench) -> None:
    number = new(house)
    begin(house, number)
    house.redis.delete(*list(house.redis.keys("video_generation*")))
    worker(house)
    assert outcome(house) == "completed"
    assert "rescued" in history(house, number)


def test_a_queued_project_is_not_sent_twice(house: Bench) -> None:
    worker(house)
    busy, queued = new(house), new(house)
    plan(house, "hang")
    begin(house, busy)
    until(hanging(house, busy), 30, "the voice hangs")
    begin(house, queued, "second")
    for _ in range(10):  # each time it comes back is a round of the watchdog
        house.redis.delete("watchdog")
        until(lambda: house.redis.exists("watchdog"), 10, "a round")
    assert "rescued" not in history(house, queued)
    assert house.call(f"tell(cancel({busy}))") is True
    assert outcome(house, "second") == "completed"


def test_a_stopped_owner_is_ended_and_its_project_goes_on(house: Bench) -> None:
    worker(house, concurrency=2)
    number = hung(house)
    os.kill(note(house, number)["pid"], signal.SIGSTOP)
    assert outcome(house) == "completed"


# -- cancel, restart, remove -------------------------------------------------------------------


def test_cancel_stops_the_work_within_two_seconds_and_tells_everybody(house: Bench) -> None:
    worker(house)
    number = new(house)
    plan(house, "hang")
    begin(house, number)
    house.call(f"second = start({number}); tell(0)")
    until(hanging(house, number), 30, "the voice hangs")
    began = time.monotonic()
    assert house.call(f"tell(cancel({number}))") is True
    until(lambda: not note(house, number), 5, "the owner let go")
    assert time.monotonic() - began < 2
    assert outcome(house) == ["Cancelled", "cancelled"]
    assert outcome(house, "second") == ["Cancelled", "cancelled"]
    last = house.call(f"tell(list(subscribe_progress(project_id={number}))[-1])")
    assert (last["status"], last["final"], last["code"]) == ("cancelled", True, "cancelled")
    assert house.call(f"tell(cancel({number}))") is False
    assert house.call(f"tell(start({number}).get(timeout=60)['status'])") == "completed"


def test_work_that_nothing_interrupts_ends_with_its_process(house: Bench) -> None:
    worker(house)
    number = new(house)
    plan(house, "deaf")
    begin(house, number)
    until(hanging(house, number), 30, "the voice is deaf")
    pid = note(house, number)["pid"]
    began = time.monotonic()
    house.call(f"tell(cancel({number}))")
    gone = time.monotonic() - began
    if psutil.pid_exists(pid):
        psutil.Process(pid).wait(timeout=3)
        gone = time.monotonic() - began
    assert gone < 3
    assert outcome(house) == ["Cancelled", "cancelled"]


def test_a_cancelled_project_stays_so_over_restarts(house: Bench) -> None:
    number = new(house)
    begin(house, number)
    assert house.call(f"tell(cancel({number}))") is True
    worker(house)
    assert outcome(house) == ["Cancelled", "cancelled"]
    until(lambda: not house.redis.llen("video_generation\x06\x164"), 10, "its message was taken")
    other = new(house)
    assert house.call(f"tell(start({other}).get(timeout=60)['status'])") == "completed"
    assert house.state(number)["status"] == "cancelled"
    assert house.state(number)["stages"] == {}


def test_restart_fences_the_run_on_its_way(house: Bench) -> None:
    worker(house, concurrency=2)
    number = hung(house)
    run = house.state(number)["run"]["number"]
    house.call(f"second = start({number}, restart=True); tell(0)")
    assert outcome(house, "second", 20) == "completed"
    assert outcome(house, "caller", 20) == "completed"
    assert house.state(number)["run"]["number"] == run + 1


def test_a_running_project_is_neither_edited_nor_removed(house: Bench) -> None:
    number = new(house)
    begin(house, number)
    told = house.call(
        f"""
        from app import pipeline
        from app.errors import InputError
        codes = []
        for act in (lambda: pipeline.remove({number}),
                    lambda: start({number}, from_stage="script_generation")):
            try:
                act()
            except InputError as error:
                codes.append(error.code)
        cancel({number})
        folder = pipeline.remove({number})
        tell([codes, folder.exists(), create_project({{"topic": "Rain"}}).id])
        """
    )
    assert told == [["project_running"] * 2, False, number + 1]


# -- stopping ------------------------------------------------------------------------------------


def test_sigterm_hands_long_work_over_to_another_worker(house: Bench) -> None:
    first = worker(house)
    number = hung(house)
    worker(house)
    first.send_signal(signal.SIGTERM)
    assert outcome(house) == "completed"
    assert first.wait(timeout=40) == 0
    assert "rescued" not in history(house, number), "handed over, not found dead"
    assert house.state(number)["run"]["deaths"] == {}


def deaf_to_soft_limits(house: Bench) -> str:
    """Return an application whose stages take no notice of a soft limit; the hard one is a second on."""
    (house.folder / "hardlimit.py").write_text(
        "import app.celery_app as c\nc.HARD_LIMIT_GRACE = 1\nfrom _flaky import app\n"
        "import app.tasks._turn as t\nt.Turn._time_is_up = lambda *_: None\n"
    )
    house.environment["PYTHONPATH"] += f":{house.folder}"
    return "hardlimit"


def ffmpegs(house: Bench) -> list[psutil.Process]:
    """Return the FFmpeg processes that work in the house's data folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = " ".join(process.info["cmdline"] or ())
        busy = process.info["status"] != psutil.STATUS_ZOMBIE
        if busy and "pipe:1" in words and str(house.data) in words:
            found.append(process)
    return found


HOWS = ["cancel", "soft limit", "hard limit", "child killed", "worker killed"]


@pytest.mark.ffmpeg
@pytest.mark.parametrize("how", HOWS)
def test_ffmpeg_never_outlives_its_task(house: Bench, how: str) -> None:
    house.environment |= {"RENDER_SCALE": "1", "X264_PRESET": "slower", "WATCHDOG_SECONDS": "60"}
    if how.endswith("limit"):
        house.environment["RENDER_TIME_LIMIT"] = "2"
    app = deaf_to_soft_limits(house) if how == "hard limit" else "_flaky"
    main = house.start_worker(concurrency=1, app=app)
    number = new(house)
    begin(house, number)
    until(lambda: ffmpegs(house), 60, "FFmpeg is at work")
    began = time.monotonic()
    if how == "cancel":
        house.call(f"tell(cancel({number}))")
    elif how == "child killed":
        os.kill(note(house, number)["pid"], signal.SIGKILL)
    elif how == "worker killed":
        house.kill_worker(main)
    until(lambda: not ffmpegs(house), 10, "FFmpeg is gone")
    if how not in ("soft limit", "hard limit"):
        assert time.monotonic() - began < 2
        return
    assert outcome(house) == ["TimeLimitError", "time_limit"]
    assert house.state(number)["status"] == "failed"


def test_a_long_retry_after_gives_the_slot_back_and_goes_on_by_itself(house: Bench) -> None:
    (house.folder / "impatient.py").write_text(
        "from _flaky import app\nimport app.tasks._context as c, app.tasks._execution as s\n"
        "c.LONGEST_WAIT = s.LONGEST_WAIT = 2.0\n"
    )
    house.environment["PYTHONPATH"] += f":{house.folder}"
    house.start_worker(concurrency=1, app="impatient")
    number, other = new(house), new(house)
    plan(house, "later")
    begin(house, number)
    until(lambda: house.state(number)["status"] == "waiting", 30, "it waits")
    # the only slot is free for others meanwhile
    assert house.call(f"tell(generate_script_task.delay(project_id={other}).get(timeout=60))")
    assert outcome(house) == "completed"
    assert "waiting" in history(house, number)
    assert house.state(number)["run"]["deaths"] == {}


# -- urgency -------------------------------------------------------------------------------------


def test_the_urgent_goes_first_and_the_old_rises(house: Bench) -> None:
    numbers = [new(house) for _ in range(3)]
    for number, priority in zip(numbers, ("low", 5, "high"), strict=True):
        house.call(f"start({number}, priority={priority!r}); tell(0)")
    assert [house.redis.llen(f"video_generation\x06\x16{n}") for n in (4, 8)] == [1, 1]
    assert house.redis.llen("video_generation") == 1
    worker(house)
    until(lambda: all(quiet(house, number) for number in numbers), 90, "all are done")
    ended = [house.state(number)["updated_at"] for number in numbers]
    assert ended == sorted(ended, reverse=True), "the most urgent first, at every stage"


def test_nothing_starves(house: Bench) -> None:
    house.environment |= {"PRIORITY_AGEING_SECONDS": "1", "QUEUE_GRACE_SECONDS": "60"}
    number = new(house)
    house.call(f"start({number}, priority=0); tell(0)")
    assert house.redis.llen("video_generation\x06\x169") == 1
    house.start_worker("maintenance")
    until(lambda: house.redis.llen("video_generation") == 1, 30, "it has become the most urgent")


def test_what_a_caller_chained_behind_the_stages_is_not_lost_either(house: Bench) -> None:
    first = worker(house)
    number = new(house)
    plan(house, "hang")
    house.call(
        f"""
        ours = [t.si(project_id={number}) for t in (generate_script_task, generate_assets_task)]
        theirs = debug_task.si()
        whole = chain(*ours, theirs).apply_async()
        tell(0)
        """
    )
    until(hanging(house, number), 30, "the voice hangs")
    house.call(f"joined = chain(generate_script_task.s(project_id={number}), theirs).apply_async()")
    worker(house)
    house.kill_worker(first)
    told = house.call("tell([r.get(timeout=60)['queue'] for r in (whole, joined)])")
    assert told == ["maintenance", "maintenance"]
    until(lambda: quiet(house, number), 30, "nothing is left")
    assert not list((house.data / f"projects/{number}/private").glob("after-*"))


def test_a_caller_behind_a_failed_run_hears_of_it(house: Bench) -> None:
    worker(house)
    number = new(house)
    plan(house, *["die"] * 9)
    house.call(
        f"""
        caller = chain(generate_script_task.s(project_id={number}), generate_assets_task.s(),
                       debug_task.si()).apply_async()
        """
    )
    assert outcome(house) == ["PermanentError", "worker_lost"]


def test_links_that_name_the_project_themselves_are_one_run(house: Bench) -> None:
    worker(house)
    number = new(house)
    house.call(
        f"""
        ours = [t.si(project_id={number}) for t in (generate_script_task, generate_assets_task)]
        caller = chain(*ours).apply_async()
        """
    )
    assert outcome(house) == "completed"
    assert house.state(number)["run"]["number"] == 1
    assert "rescued" not in history(house, number)
