"""Progress over a real Redis: latest first, live without a gap, calm, and never in the way."""

from __future__ import annotations

import json
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
import redis

from _processes import in_processes
from _redis import RedisServer, free_port, until
from app import connection, progress, settings

pytestmark = pytest.mark.redis


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what earlier tests did to this process's connection."""
    monkeypatch.setattr(progress, "_silent_until", 0.0)
    monkeypatch.setattr(progress, "dropped", 0)
    yield
    for client in connection._clients.values():
        client.close()
    connection._clients.clear()


def told(percent: int, *, project_id: int = 1, run: int = 1, **facts: Any) -> dict[str, Any]:
    base = {"project_id": project_id, "stage": "asset_generation", "message": f"{percent} %"}
    return progress.event(**(base | {"progress": percent, "run": run} | facts))


def ended(percent: int = 100, **facts: Any) -> dict[str, Any]:
    return told(percent, **{"status": "completed", "code": "completed", "final": True, **facts})


class Listener:
    """A subscriber in a thread of its own."""

    def __init__(self, project_id: int | str = 1, **options: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.error: BaseException | None = None
        self._stream = progress.subscribe(project_id, **options)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        try:
            for event in self._stream:
                self.times.append(time.monotonic())
                self.events.append(event)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def has(self, percent: int) -> bool:
        return any(event["progress"] == percent for event in self.events)

    def end(self, seconds: float = 15) -> list[dict[str, Any]]:
        """Return all events once the subscription has ended by itself."""
        self.thread.join(seconds)
        assert not self.thread.is_alive(), f"it does not end: {self.events[-3:]}"
        assert self.error is None, repr(self.error)
        return self.events


@pytest.fixture
def listen(redis_server: RedisServer) -> Callable[..., Listener]:
    def start(
        project_id: int | str = 1, server: RedisServer = redis_server, **options: Any
    ) -> Listener:
        channel = progress.channel(project_id)
        before = server.subscribers(channel)
        listener = Listener(project_id, **options)
        until(lambda: server.subscribers(channel) > before or listener.error, what="a subscriber")
        return listener

    return start


def percents(events: list[dict[str, Any]]) -> list[int]:
    return [event["progress"] for event in events]


def say(event: dict[str, Any], *listeners: Listener) -> None:
    """Publish, and wait until everyone has it: who has just come may skip to the latest."""
    assert progress.publish(event)
    seq = (progress.latest(event["project_id"]) or {})["seq"]
    for listener in listeners:
        until(lambda it=listener: it.events and it.events[-1]["seq"] >= seq, what=f"{event}")


# -- one run --------------------------------------------------------------------------------------


def test_the_latest_comes_first_then_what_happens_until_the_end(
    redis_url: str, listen: Callable[..., Listener]
) -> None:
    assert progress.publish(told(3))
    assert progress.publish(told(5))
    listener = listen()
    until(lambda: listener.events)
    say(told(40), listener)
    say(ended(), listener)
    events = listener.end()
    assert percents(events) == [5, 40, 100]
    assert [e["seq"] for e in events] == sorted({e["seq"] for e in events})
    assert events[-1]["final"] is True


def test_a_message_has_every_field_of_the_contract(redis_url: str) -> None:
    with listening(redis_url, "progress:7") as receive:
        progress.publish(told(5, project_id=7, stage_progress=20, code="voice", message="旁白 1/3"))
        message = receive()
    assert message["project_id"] == 7
    assert message["stage"] == "asset_generation"
    assert message["progress"] == 5
    assert message["message"] == "旁白 1/3"
    assert message["timestamp"].endswith("Z")
    assert set(message) == {
        "project_id", "stage", "progress", "message", "timestamp",
        "stage_progress", "status", "run", "code", "eta_seconds", "error", "seq", "final",
    }  # fmt: skip


@contextmanager
def listening(url: str, channel: str) -> Iterator[Callable[[], dict[str, Any]]]:
    """Listen as any Redis client would."""
    client = redis.Redis.from_url(url, decode_responses=True)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    try:
        pubsub.subscribe(channel)
        until(lambda: dict(client.pubsub_numsub(channel)).get(channel))

        def receive() -> dict[str, Any]:
            found: list[dict[str, Any]] = []
            until(lambda: found or found.extend(filter(None, [pubsub.get_message(timeout=0.1)])))
            value: dict[str, Any] = json.loads(found[0]["data"])
            return value

        yield receive
    finally:
        pubsub.close()
        client.close()


def test_no_event_is_lost_between_the_latest_and_the_live_ones(redis_url: str) -> None:
    """Subscribers come at any moment of a lively run; none of them waits for a re-reading."""
    stop = threading.Event()

    def run() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            for percent in range(0, 90, 10):
                progress.publish(told(percent, run=number))
            progress.publish(ended(run=number))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(25):
            listener = Listener(idle=60)
            assert listener.end()[-1]["final"]
    finally:
        stop.set()
        thread.join()


def test_a_subscriber_after_the_end_gets_the_end(redis_url: str) -> None:
    progress.publish(ended())
    assert percents(list(progress.subscribe(1))) == [100]


@pytest.mark.parametrize("status", ["failed", "cancelled", "pending"])
def test_every_kind_of_end_ends_the_subscription(
    redis_url: str, listen: Callable[..., Listener], status: str
) -> None:
    listener = listen()
    progress.publish(ended(40, status=status, code=status))
    assert [e["status"] for e in listener.end()] == [status]


def test_many_subscribers_get_the_same(redis_url: str, listen: Callable[..., Listener]) -> None:
    progress.publish(told(1))
    listeners = [listen() for _ in range(4)]
    until(lambda: all(listener.events for listener in listeners))
    for percent in (10, 20):
        say(told(percent), *listeners)
    say(ended(), *listeners)
    assert {tuple(percents(listener.end())) for listener in listeners} == {(1, 10, 20, 100)}


def test_progress_never_falls_within_a_run_and_is_100_once(
    redis_url: str, listen: Callable[..., Listener]
) -> None:
    listener = listen(idle=0.2)
    for percent in (10, 5, 30, 100, 20, 101):
        say(told(percent), listener)
    assert percents([progress.latest(1) or {}]) == [99]
    progress.publish(ended())
    progress.publish(ended())
    progress.publish(told(50))
    events = listener.end()
    assert percents(events) == [10, 10, 30, 99, 99, 99, 100]
    assert percents([progress.latest(1) or {}]) == [100]


def test_an_end_without_success_does_not_lift_the_percentage(redis_url: str) -> None:
    progress.publish(told(40))
    progress.publish(ended(0, status="failed", code="failed"))
    latest = progress.latest(1)
    assert latest is not None
    assert (latest["progress"], latest["status"]) == (40, "failed")


def test_an_outdated_run_says_nothing_any_more(
    redis_url: str, listen: Callable[..., Listener]
) -> None:
    progress.publish(told(5, run=2))
    listener = listen(idle=0.2)
    until(lambda: listener.events)
    progress.publish(told(60, run=1))
    progress.publish(ended(run=1))
    say(told(7, run=2), listener)
    say(ended(run=2), listener)
    events = listener.end()
    assert {event["run"] for event in events} == {2}
    assert percents(events) == [5, 7, 100]


def test_a_new_run_starts_low_again(redis_url: str) -> None:
    progress.publish(ended(run=1))
    progress.publish(told(2, run=2))
    latest = progress.latest(1)
    assert latest is not None
    assert (latest["progress"], latest["run"], latest["final"]) == (2, 2, False)


def test_progress_of_threads_and_processes_at_once_is_in_order(
    redis_url: str, listen: Callable[..., Listener]
) -> None:
    listener = listen(idle=0.2)
    threads = [
        threading.Thread(target=lambda: [progress.publish(told(p)) for p in range(0, 99, 3)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.publish(ended())
    events = listener.end()
    assert all(a["progress"] <= b["progress"] and a["seq"] < b["seq"] for a, b in pairwise(events))
    assert percents(events).count(100) == 1


# -- calm ------------------------------------------------------------------------------------------


def test_a_burst_gives_ten_messages_a_second_at_most_and_the_end_at_once(
    redis_url: str, listen: Callable[..., Listener]
) -> None:
    listener = listen(idle=30)
    began = time.monotonic()
    count = 0
    while time.monotonic() - began < 2.3:
        count += 1
        progress.publish(told(min(98, count // 100)) | {"at": time.monotonic()})
    progress.publish(ended())
    sent = time.monotonic()
    events = listener.end()
    assert count > 100
    assert listener.times[-1] - sent < 1
    assert events[-1]["final"]
    # when they were sent, not when they came: arrival wobbles with the load of the machine
    moments = [event["at"] for event in events[:-1]]
    for n, moment in enumerate(moments):
        assert sum(other < moment + 0.9 for other in moments[n:]) <= 10
    assert 18 <= len(events) <= 31


def test_what_the_limit_held_back_comes_with_the_next_silence(
    redis_url: str, listen: Callable[..., Listener]
) -> None:
    listener = listen(idle=0.3)
    for percent in range(1, 41):
        progress.publish(told(percent))
    until(lambda: listener.has(40), 5, "the last of a burst")
    assert len(listener.events) <= 12
    progress.publish(ended())
    listener.end()


def test_each_project_has_a_limit_of_its_own(redis_url: str) -> None:
    with listening(redis_url, "progress:2") as receive:
        for percent in range(50):
            progress.publish(told(percent, project_id=1))
        progress.publish(told(5, project_id=2))
        assert receive()["progress"] == 5


# -- a new start -------------------------------------------------------------------------------------


def queued(**facts: Any) -> dict[str, Any]:
    return told(0, **{"status": "pending", "code": "queued", "run": 0, **facts})


def test_a_new_start_takes_the_last_run_s_end_away(
    redis_url: str, listen: Callable[..., Listener]
) -> None:
    progress.publish(ended(run=3))
    progress.reset(1, queued())
    listener = listen()
    until(lambda: listener.events)
    assert (listener.events[0]["code"], listener.events[0]["progress"]) == ("queued", 0)
    say(told(1, run=4), listener)
    say(ended(run=4), listener)
    assert percents(listener.end()) == [0, 1, 100]


def test_a_new_start_leaves_a_living_run_alone(redis_url: str) -> None:
    progress.publish(told(50, run=3))
    before = progress.latest(1)
    progress.reset(1, queued())
    assert progress.latest(1) == before


def test_a_new_start_is_told_where_redis_lost_the_last_run(redis_url: str) -> None:
    progress.reset(2, queued(project_id=2))
    told_last = progress.latest(2)
    assert told_last is not None
    assert told_last["code"] == "queued"
    assert not told_last["final"]


def test_a_late_word_of_the_ended_run_does_not_come_after_a_new_start(redis_url: str) -> None:
    progress.publish(told(100, run=3, final=True))
    progress.reset(1, queued())
    progress.publish(told(70, run=3))
    last = progress.latest(1)
    assert last is not None
    assert last["code"] == "queued"
    progress.publish(told(5, run=4))
    last = progress.latest(1)
    assert last is not None
    assert last["run"] == 4


def test_a_new_start_keeps_the_run_s_number(redis_url: str) -> None:
    progress.publish(ended(run=3))
    progress.reset(1, queued())
    latest = progress.latest(1)
    assert latest is not None
    assert latest["run"] == 3
    progress.publish(told(50, run=2))
    assert progress.latest(1) == latest


# -- batches -------------------------------------------------------------------------------------------


def test_a_batch_has_a_channel_of_its_own(redis_url: str, listen: Callable[..., Listener]) -> None:
    name = progress.channel("batch:4")
    assert name == "progress:batch:4"
    base = {"batch_id": 4, "message": "", "run": 1}
    listener = listen("batch:4")
    progress.publish({**base, "progress": 50, "final": False}, name=name)
    until(lambda: listener.events)
    progress.publish({**base, "progress": 100, "final": True}, name=name)
    assert [(e["batch_id"], e["progress"]) for e in listener.end()] == [(4, 50), (4, 100)]
    assert progress.latest(4) is None


# -- when Redis goes ------------------------------------------------------------------------------------


def test_a_cut_connection_is_taken_up_again(
    redis_server: RedisServer, redis_url: str, listen: Callable[..., Listener]
) -> None:
    progress.publish(told(5))
    listener = listen(idle=0.3)
    until(lambda: listener.events)
    for percent in (20, 40, 60):
        redis_server.cut()
        assert progress.publish(told(percent))
        until(lambda percent=percent: listener.has(percent), what=f"{percent} % after a cut")
    redis_server.cut()
    progress.publish(ended())
    assert percents(listener.end()) == [5, 20, 40, 60, 100]


def test_a_redis_that_died_is_waited_for(
    own_redis: RedisServer, listen: Callable[..., Listener]
) -> None:
    progress.publish(told(5))
    listener = listen(server=own_redis, idle=0.3)
    until(lambda: listener.events)
    own_redis.kill()
    assert not progress.publish(told(30))
    own_redis.start()
    assert progress.publish(told(50))
    until(lambda: listener.has(50), 15, "the first word after the restart")
    own_redis.kill()
    own_redis.start()
    progress.publish(ended())
    assert percents(listener.end())[-1] == 100
    assert listener.error is None


def test_what_was_kept_is_still_there_after_a_restart(own_redis: RedisServer) -> None:
    progress.publish(told(41, run=6))
    own_redis.kill()
    own_redis.start()
    latest = progress.latest(1)
    assert latest is not None
    assert (latest["progress"], latest["run"]) == (41, 6)


def test_the_end_that_came_while_the_line_was_down_is_read(
    own_redis: RedisServer, listen: Callable[..., Listener]
) -> None:
    progress.publish(told(5))
    listener = listen(server=own_redis, idle=0.3)
    until(lambda: listener.events)
    kept = own_redis.client.get("progress:1:last")
    own_redis.kill()
    own_redis.start()
    assert kept is not None
    last = json.loads(kept) | {"final": True, "progress": 100, "seq": json.loads(kept)["seq"] + 1}
    own_redis.client.set("progress:1:last", json.dumps(last))  # kept, and never sent
    assert percents(listener.end()) == [5, 100]


def test_a_flushed_redis_in_the_middle_of_a_run_does_not_stop_a_subscriber(
    redis_server: RedisServer, redis_url: str, listen: Callable[..., Listener]
) -> None:
    for percent in range(1, 30):
        progress.publish(told(percent))
    listener = listen(idle=60)
    until(lambda: listener.events)
    redis_server.client.flushall()
    progress.publish(told(30))
    until(lambda: listener.has(30), what="a word after the flush")
    progress.publish(ended())
    assert percents(listener.end()) == [29, 30, 100]


def test_a_redis_that_knows_nothing_is_helped_out_by_the_folder(
    redis_url: str, listen: Callable[..., Listener]
) -> None:
    assert percents(list(progress.subscribe(1, known=ended))) == [100]
    listener = listen(known=lambda: told(20))
    until(lambda: listener.events)
    say(told(30), listener)
    say(ended(), listener)
    assert percents(listener.end()) == [20, 30, 100]


def test_without_anything_known_a_subscriber_waits(
    redis_url: str, listen: Callable[..., Listener]
) -> None:
    assert progress.latest(1) is None
    listener = listen(idle=0.1)
    progress.publish(ended())
    assert percents(listener.end()) == [100]


def test_a_stream_that_is_left_closes_its_connections(
    redis_server: RedisServer, redis_url: str
) -> None:
    progress.publish(told(5))
    stream = progress.subscribe(1)
    assert next(stream)["progress"] == 5
    stream.close()  # type: ignore[attr-defined]
    until(lambda: redis_server.subscribers("progress:1") == 0, what="no subscriber")


# -- it never delays or fails the work -------------------------------------------------------------------


def test_nobody_listening_at_the_address_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", f"redis://127.0.0.1:{free_port()}/0")
    settings.get.cache_clear()
    began = time.monotonic()
    for percent in range(20):
        assert not progress.publish(told(percent))
    progress.reset(1, queued())
    assert time.monotonic() - began < 2.5
    assert progress.dropped == 20
    with pytest.raises(redis.ConnectionError):
        progress.latest(1)


def test_a_frozen_redis_costs_a_moment_once(own_redis: RedisServer) -> None:
    assert progress.publish(told(1))
    own_redis.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert not progress.publish(told(2))
        assert time.monotonic() - began < 2.5
        began = time.monotonic()
        for percent in range(3, 90):
            assert not progress.publish(told(percent))
        assert time.monotonic() - began < 0.5
        began = time.monotonic()
        assert not progress.publish(ended())  # an end is worth another try
        assert time.monotonic() - began < 2.5
    finally:
        own_redis.send_signal(signal.SIGCONT)
    assert progress.publish(ended())
    assert progress.dropped == 89
    assert progress.publish(told(1, run=2))  # it answers again: no pause is left


def test_the_pause_ends_by_itself(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.2)
    assert progress.publish(told(1))
    own_redis.send_signal(signal.SIGSTOP)
    try:
        assert not progress.publish(told(2))
    finally:
        own_redis.send_signal(signal.SIGCONT)
    until(lambda: progress.publish(told(3)), 5, "the next message")


def test_an_address_that_swallows_everything_costs_a_moment_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("CELERY_BROKER_URL", f"redis://127.0.0.1:{deaf.getsockname()[1]}/0")
        settings.get.cache_clear()
        began = time.monotonic()
        for percent in range(30):
            assert not progress.publish(told(percent))
        assert time.monotonic() - began < 4


def test_a_redis_that_takes_no_writes_costs_a_message(own_redis: RedisServer) -> None:
    own_redis.client.config_set("maxmemory", 1)
    assert not progress.publish(told(1))
    own_redis.client.config_set("maxmemory", 0)
    assert progress.publish(told(2))


def test_text_that_no_message_can_hold_costs_a_message(redis_url: str) -> None:
    assert not progress.publish(told(1) | {"message": "a lone surrogate \udcff"})
    assert progress.publish(told(2))


def test_a_forked_process_has_a_connection_of_its_own(redis_url: str) -> None:
    assert progress.publish(told(1))
    assert (
        in_processes(4, lambda n: all(progress.publish(told(p)) for p in range(25))) == [True] * 4
    )
    assert percents([progress.latest(1) or {}]) == [24]


# -- the meter -------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    return moment


def meter(sent: queue.SimpleQueue[dict[str, Any]], **options: Any) -> progress.Meter:
    base = told(0)
    return progress.Meter(base, start=10, share=50, send=sent.put, **options)


def drained(sent: queue.SimpleQueue[dict[str, Any]]) -> list[dict[str, Any]]:
    return [sent.get() for _ in range(sent.qsize())]


def test_a_meter_turns_a_stage_into_its_part_of_the_run(clock: list[float]) -> None:
    sent: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    stage = meter(sent)
    for fraction in (0, 0.5, 1):
        clock[0] += 1
        stage.tell(fraction, "voice", "…")
    events = drained(sent)
    assert [(e["progress"], e["stage_progress"]) for e in events] == [(10, 0), (35, 50), (60, 100)]
    assert {e["code"] for e in events} == {"voice"}


def test_a_meter_leaves_out_what_comes_too_quickly_and_never_falls(clock: list[float]) -> None:
    sent: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    stage = meter(sent)
    for n in range(100):
        clock[0] += 0.01
        stage.tell(n / 100, "voice", "…")
    assert len(drained(sent)) == 7
    stage.tell(0.2, "retry", "…", now=True)
    stage.tell(7, "done", "…", now=True, final=True, progress=100)
    last = drained(sent)
    assert [(e["stage_progress"], e["progress"]) for e in last] == [(99, 59), (100, 100)]


def test_a_meter_says_how_long_it_will_take(clock: list[float]) -> None:
    sent: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    stage = meter(sent, elapsed=5)
    clock[0] += 15
    stage.tell(0.2, "voice", "…")  # 20 % in 20 s
    assert drained(sent)[0]["eta_seconds"] == 80.0
    quick = meter(sent)
    quick.tell(0.2, "voice", "…")
    assert drained(sent)[0]["eta_seconds"] is None
