"""A short chaos: a few real renders under a dozen faults; `reelchain bench chaos` is the long one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import _chaos
from _chaosfaults import WEIGHTS, Fault
from _chaosparts import Proxy, SmallFiles, read_only
from _chaosverdict import Story, answers
from _redis import RedisServer, until


@pytest.mark.acceptance
@pytest.mark.redis
@pytest.mark.ffmpeg
@pytest.mark.timeout(400)
def test_a_batch_under_every_kind_of_fault_comes_out_right(tmp_path: Path) -> None:
    plan = _chaos.Plan(seed=20, faults=len(WEIGHTS), projects=5, seconds=200, slowest=2.0, alone=1)
    report = _chaos.run(tmp_path, plan, say=print)
    assert not report.problems, report.text()
    assert report.facts["right"] == plan.projects
    had = {fault.kind for fault in report.faults}
    assert had == set(WEIGHTS) - set(report.facts["not to be had"])


# -- the judge itself: it must see what is wrong -------------------------------------------------


def event(what: str, t: float, pid: int, **facts: object) -> dict[str, object]:
    return {"ev": what, "t": t, "project": 1, "pid": pid, "born": 7, "run": 1, **facts}


def built(
    pid: int, begin: float, end: float | None, name: str = "a", **facts: object
) -> list[object]:
    made: list[object] = [event("unit-begin", begin, pid, unit=name, **facts)]
    if end is not None:
        made.append(event("unit-end", end, pid, unit=name, well=True, **facts))
    return made


def story(*events: list[object], deaths: dict[int, float] | None = None) -> Story:
    known = deaths or {}
    flat = [e for group in events for e in group]
    return Story(flat, lambda process: known.get(process[0]))  # type: ignore[arg-type]


def test_two_owners_at_once_are_seen() -> None:
    assert story(built(10, 1.0, 2.0), built(11, 1.9, 3.0)).overlaps()


def test_one_owner_after_the_other_is_no_overlap() -> None:
    assert not story(built(10, 1.0, 2.0), built(11, 2.0, 3.0)).overlaps()


def test_the_end_of_a_killed_owner_is_its_death() -> None:
    killed = built(10, 1.0, None)
    assert not story(killed, built(11, 5.0, 6.0), deaths={10: 4.9}).overlaps()
    assert story(killed, built(11, 4.8, 6.0), deaths={10: 4.9}).overlaps()


def test_an_owner_that_never_ended_overlaps_all_that_follow() -> None:
    assert story(built(10, 1.0, None), built(11, 100.0, 101.0)).overlaps()


def test_a_build_no_fault_had_touched_is_told() -> None:
    twice = story(built(10, 1.0, 2.0), built(11, 9.0, 9.5))
    lost, unexplained = twice.remade([Fault("child", 0, 1.5, 1.5)], [1])
    assert len(lost) == 1
    assert not unexplained
    _, unexplained = twice.remade([Fault("child", 0, 5.0, 5.0)], [1])
    assert len(unexplained) == 1


def test_a_run_that_falls_is_told() -> None:
    def stage(run: int, at: float) -> list[object]:
        return [
            event("stage-begin", at, 10, stage="s", run=run),
            event("stage-end", at + 0.5, 10, stage="s", run=run, well=True),
        ]

    assert not story(stage(1, 1), stage(2, 2)).fallen_runs()
    assert story(stage(2, 1), stage(1, 2)).fallen_runs()


def test_a_second_publication_is_told() -> None:
    first, second = (
        event("publish-begin", t, 10, again=again) for t, again in ((1, False), (2, True))
    )
    assert not story([first]).published_twice()
    assert story([first, second]).published_twice() == [1]


def test_a_wrong_answer_to_a_caller_is_told() -> None:
    right = [
        {"status": "partial", "failed": {"1": "disk_full"}},
        {"status": "completed", "failed": {}},
    ]
    assert not answers({"batch": right}, ("disk_full",))
    assert answers({"batch": right}, ())
    assert answers({"batch": right[:1]}, ("disk_full",))
    assert answers({"batch": {"error": "Traceback …"}}, ())


def test_the_recovery_is_the_next_stage_of_another_process() -> None:
    events = [event("stage-begin", t, pid, stage="s") for t, pid in ((1, 10), (4, 11))]
    told = story(list(events), deaths={10: 2.0, 11: 9.0})
    killed = Fault("child", 0, 2.0, 2.0, victims={1: (10, 7)})
    assert told.recovery([killed], ("child",)) == [(2.0, True)]
    assert told.recovery([killed, Fault("cut", 0, 3.0, 3.0)], ("child",)) == [(2.0, False)]
    assert not told.recovery([killed], ("worker",))


# -- the tools -----------------------------------------------------------------------------------


@pytest.fixture
def proxy(own_redis: RedisServer) -> Iterator[Proxy]:
    made = Proxy(own_redis.port)
    yield made
    made.close()


@pytest.mark.redis
def test_the_proxy_cuts_what_it_carries(proxy: Proxy) -> None:
    with redis.Redis(port=proxy.port, socket_timeout=5) as client:
        pubsub = client.pubsub()
        pubsub.subscribe("somewhere")
        assert pubsub.get_message(timeout=5)
        assert proxy.cut() == 1
        with pytest.raises(redis.ConnectionError):
            until(lambda: pubsub.connection.read_response() and False, 5)
        pubsub.close()
        assert client.ping()


def test_a_folder_made_read_only_takes_nothing_and_is_given_back(tmp_path: Path) -> None:
    way = read_only(tmp_path)
    if way is None:
        pytest.skip("neither mounts nor chattr nor permissions bind here")
    folder = tmp_path / "there"
    folder.mkdir()
    assert way.set(folder)
    with pytest.raises(OSError, match=r"ermitted|denied|ead-only"):
        (folder / "x").touch()
    way.unset(folder)
    (folder / "x").touch()


def test_a_limit_on_the_size_of_files_stops_a_process_and_goes_again(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "for line in sys.stdin:\n"
        "    try: open(line.strip(), 'wb', buffering=0).write(bytes(100_000)); print('wrote', flush=True)\n"
        "    except OSError as e: print(e.strerror, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        limit = SmallFiles(lambda: [child.pid])

        def ask(name: str) -> str:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(f"{tmp_path / name}\n")
            child.stdin.flush()
            return child.stdout.readline().strip()

        assert ask("a") == "wrote"
        assert limit.fill()
        ask("b")  # the write that crosses the limit is cut short
        assert (tmp_path / "b").stat().st_size <= SmallFiles.limit
        limit.relieve()
        assert ask("c") == "wrote"
        assert (tmp_path / "c").stat().st_size == 100_000


def test_the_same_seed_gives_the_same_schedule() -> None:
    plan = _chaos.Plan(seed=3, faults=40, projects=4)
    assert plan.schedule() == plan.schedule()
    assert plan.schedule() != _chaos.Plan(seed=4, faults=40, projects=4).schedule()
    assert {kind for kind, _, _ in plan.schedule()} == set(WEIGHTS)
