"""Turns, rests and the breaker: among threads, processes, with Redis and without."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import redis

from _processes import in_processes
from _redis import RedisServer, until
from app import connection, throttle
from app.errors import TransientError

pytestmark = pytest.mark.redis

Spans = list[tuple[float, float]]
"""When turns began and ended, by the clock that all processes of a machine share."""


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pace of the throttle ten times as fast or more, in forked children too."""
    paces = {"LEASE": 0.6, "RENEW": 0.1, "UNSEEN": 0.4, "GRACE": 0.4, "AWAY": 0.15, "MINUTE": 0.5}
    for name, seconds in paces.items():
        monkeypatch.setattr(throttle, name, seconds)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as made:
        yield made


def turns(count: int, seconds: float, at_once: int = 5, per_minute: int = 0) -> Spans:
    """Take turns in as many threads; return their spans."""

    def one(_: int) -> tuple[float, float]:
        with throttle.slot("model", at_once=at_once, per_minute=per_minute):
            begun = time.monotonic()
            time.sleep(seconds)
            return begun, time.monotonic()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def most_at_once(spans: Spans) -> int:
    # an end goes before a beginning at the same moment
    edges = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    now = most = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def flat(parts: list[Spans]) -> Spans:
    return [span for part in parts for span in part]


@contextmanager
def other_process(work: Callable[[], object]) -> Iterator[int]:
    """Run `work` in a process that is killed at the end."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def hold(at_once: int = 1) -> None:
    with throttle.slot("model", at_once=at_once):
        time.sleep(30)


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "seconds"), [(1, 0.2), (4, 0.5)])
def test_no_turn_is_wasted(redis_url: str, processes: int, seconds: float) -> None:
    def took() -> float:
        spans = flat(in_processes(processes, lambda _: turns(20 // processes, seconds)))
        assert most_at_once(spans) == 5
        return max(ended for _, ended in spans) - min(begun for begun, _ in spans)

    # more than once, for a machine that is busy with something else
    assert any(took() <= 1.2 * 4 * seconds for _ in range(4))


def test_the_oldest_goes_first(client: redis.Redis) -> None:
    order: list[int] = []

    def wait(number: int) -> None:
        with throttle.slot("model", at_once=1):
            order.append(number)

    with ThreadPoolExecutor(6) as pool, throttle.slot("model", at_once=1):
        for number in range(6):
            pool.submit(wait, number)
            until(lambda n=number: client.zcard("throttle:line:model") == n + 1, what="a line")
    assert order == list(range(6))


@pytest.mark.slow
def test_starts_per_minute_hold_whatever_the_clocks_of_the_workers_say(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "MINUTE", 1)

    def work(number: int) -> Spans:
        skew = number * 1e6
        throttle.time = SimpleNamespace(  # type: ignore[attr-defined]
            monotonic=lambda: time.monotonic() + skew, time=lambda: time.time() - skew
        )
        return turns(4, 0, at_once=4, per_minute=3)

    starts = sorted(begun for begun, _ in flat(in_processes(2, work)))
    gaps = [later - earlier for earlier, later in zip(starts, starts[3:], strict=False)]
    assert min(gaps) >= 0.5
    assert starts[-1] - starts[0] < 4


@pytest.mark.slow
def test_a_living_holder_keeps_its_turn_and_a_killed_one_loses_it(
    client: redis.Redis, fast: None
) -> None:
    with throttle.slot("model", at_once=2), other_process(lambda: hold(2)) as pid:
        until(lambda: client.zcard("throttle:held:model") == 2, what="the other one's turn")
        with (
            pytest.raises(TransientError) as caught,
            throttle.slot("model", at_once=2, patience=0.9),
        ):
            pass
        assert (caught.value.code, caught.value.retry_after) == ("service_busy", 60)
        assert client.zcard("throttle:line:model") == 0
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        with throttle.slot("model", at_once=2, patience=5):
            assert time.monotonic() - killed < 0.6 + 0.5


def test_who_died_in_the_line_holds_nobody_up(client: redis.Redis, fast: None) -> None:
    with throttle.slot("model", at_once=1), other_process(hold):
        until(lambda: client.zcard("throttle:line:model"), what="the other process waits")
    with throttle.slot("model", at_once=1, patience=2):
        pass


def test_who_is_called_off_leaves_the_line(client: redis.Redis) -> None:
    def called_off(_: float) -> None:
        raise InterruptedError

    with throttle.slot("model", at_once=1):
        with (
            pytest.raises(InterruptedError),
            throttle.slot("model", at_once=1, pause=called_off),
        ):
            pass
        assert client.zcard("throttle:line:model") == 0
    assert client.zcard("throttle:held:model") == 0


def test_without_redis_the_limits_hold_in_the_process(
    own_redis: RedisServer, fast: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_redis.kill()
    assert most_at_once(turns(8, 0.02, at_once=2)) == 2
    starts = sorted(begun for begun, _ in turns(4, 0, at_once=4, per_minute=3))
    assert starts[3] - starts[0] >= 0.25
    throttle.close("model", 30)
    assert 29 < throttle.closed("model") <= 30


@pytest.mark.slow
def test_a_flush_lets_nobody_in_beyond_the_limit(own_redis: RedisServer, fast: None) -> None:
    threading.Timer(0.3, own_redis.client.flushall).start()
    spans = flat(in_processes(3, lambda _: turns(3, 0.5, at_once=3)))
    assert most_at_once(spans) == 3
    assert max(ended for _, ended in spans) - min(begun for begun, _ in spans) < 5


def test_starts_are_told_to_a_redis_that_was_flushed(client: redis.Redis) -> None:
    for _ in range(2):
        with throttle.slot("model", at_once=5, per_minute=2):
            pass
    client.flushall()
    with (
        pytest.raises(TransientError) as caught,
        throttle.slot("model", at_once=5, per_minute=2, patience=4),
    ):
        pass
    assert 50 < (caught.value.retry_after or 0) <= throttle.MINUTE


def test_a_restart_keeps_holders_and_frees_what_was_given_back_meanwhile(
    own_redis: RedisServer, fast: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "LEASE", 30)

    def holders() -> int:
        return int(own_redis.client.zcard("throttle:held:model"))

    with throttle.slot("model", at_once=3):
        with throttle.slot("model", at_once=3), throttle.slot("model", at_once=3):
            assert holders() == 3
            own_redis.kill()
        own_redis.start()
        with throttle.slot("model", at_once=2, patience=2):
            until(lambda: holders() == 2, 2, "Redis knows who holds")
    until(lambda: holders() == 0, 2, "all turns are given back")


def test_a_turn_whose_answer_was_lost_is_no_second_turn(
    client: redis.Redis, fast: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = connection.quick()
    answers = iter([redis.ConnectionError()])

    def run(*arguments: object) -> object:
        answer = real.eval(*arguments)  # type: ignore[arg-type]
        for error in answers:
            raise error
        return answer

    monkeypatch.setattr(connection, "quick", lambda: SimpleNamespace(eval=run))
    with throttle.slot("model", at_once=1, patience=0):
        assert client.zcard("throttle:held:model") == 1
        time.sleep(0.4)
        assert client.zcard("throttle:held:model") == 1
    until(lambda: client.zcard("throttle:held:model") == 0, 2, "the turn is given back")


def test_a_question_that_was_sent_twice_is_one_turn(
    client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = connection.quick()

    def run(*arguments: object) -> object:  # as redis-py does after a lost connection
        real.eval(*arguments)  # type: ignore[arg-type]
        return real.eval(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(connection, "quick", lambda: SimpleNamespace(eval=run))
    with throttle.slot("model", at_once=1, per_minute=5, patience=0):
        assert client.zcard("throttle:held:model") == client.zcard("throttle:starts:model") == 1
    assert client.zcard("throttle:held:model") == 0


def test_a_turn_given_back_while_it_is_renewed_stays_given_back(
    client: redis.Redis, fast: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "LEASE", 30)
    real = connection.quick()
    renewing, left = threading.Event(), threading.Event()

    def run(script: str, *arguments: object) -> object:
        if script == throttle._KEEP:
            renewing.set()
            assert left.wait(5)
        return real.eval(script, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(connection, "quick", lambda: SimpleNamespace(eval=run))
    with throttle.slot("model", at_once=1):
        assert renewing.wait(5)
    left.set()
    keeper = throttle._here.keeper
    assert keeper is not None
    keeper.join(5)
    assert client.zcard("throttle:held:model") == 0


def test_starts_without_redis_are_told_to_it_when_it_is_back(
    own_redis: RedisServer, fast: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "MINUTE", 61)
    monkeypatch.setattr(throttle, "RENEW", 30)  # nobody else tells it

    def start() -> None:
        with throttle.slot("model", at_once=5, per_minute=2, patience=3):
            pass

    start()
    own_redis.kill()
    start()
    own_redis.start()
    time.sleep(throttle.AWAY)
    with pytest.raises(TransientError):
        start()
    assert own_redis.client.zcard("throttle:starts:model") == 2


@pytest.mark.slow
def test_a_frozen_redis_is_waited_for_once(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "TIMEOUT", 0.1)
    throttle.closed("model")
    own_redis.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    for _ in range(10):
        with throttle.slot("model", at_once=1):
            pass
    assert time.monotonic() - begun < 0.8


def test_a_rest_holds_for_all_and_is_never_shortened(client: redis.Redis) -> None:
    with other_process(lambda: throttle.close("model", 40)):
        until(lambda: throttle.closed("model"), what="the rest is known here")
    throttle.close("model", 5)
    throttle.close("model", 0)
    assert 35 < throttle.closed("model") <= 40
    assert throttle.closed("other") == 0
    with (
        pytest.raises(TransientError) as caught,
        throttle.slot("model", at_once=1, patience=20),
    ):
        pass
    assert 35 < (caught.value.retry_after or 0) <= 40


def test_calls_start_when_the_rest_is_over(redis_url: str) -> None:
    begun = time.monotonic()
    in_processes(2, lambda _: turns(1, 0))
    usual = time.monotonic() - begun
    begun = time.monotonic()
    throttle.close("model", 0.3)
    in_processes(2, lambda _: turns(1, 0))
    assert 0.3 <= time.monotonic() - begun < 0.6 + 2 * usual


@pytest.fixture
def brittle(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in {"PAUSE": 0.1, "LONGEST_PAUSE": 0.3, "TRIAL": 0.2}.items():
        monkeypatch.setattr(throttle, name, seconds)


def break_over(name: str) -> float:
    """Wait as long as the break lasts; return how long it was said to last."""
    left = throttle.broken(name)
    time.sleep(left + 0.005)
    return left


def elsewhere(name: str) -> float:
    """Return what another thread is told of a service."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(throttle.broken, name).result()


def test_five_failures_in_a_row_break_the_circuit_for_all(redis_url: str) -> None:
    in_processes(2, lambda _: [throttle.failed("gemini") for _ in range(2)])
    assert throttle.broken("gemini") == 0
    throttle.worked("gemini")
    in_processes(2, lambda _: [throttle.failed("gemini") for _ in range(2)])
    assert throttle.broken("gemini") == 0
    throttle.failed("gemini")
    assert all(28 < left <= 30 for left in in_processes(2, lambda _: throttle.broken("gemini")))
    assert throttle.broken("openai") == 0
    throttle.failed("gemini")  # began before the break
    assert throttle.broken("gemini") <= 30


def test_failures_at_the_same_moment_all_count(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = connection.quick()
    others = [throttle.failed] * 4

    def run(script: str, *arguments: object) -> object:
        if script == throttle._WRITE and others:
            others.pop()("gemini")  # another one between our look and our word
        return real.eval(script, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(connection, "quick", lambda: SimpleNamespace(eval=run))
    throttle.failed("gemini")
    assert throttle.broken("gemini") > 0


def test_old_failures_do_not_count(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "WINDOW", 0.1)
    for _ in range(4):
        throttle.failed("gemini")
    time.sleep(0.15)
    throttle.failed("gemini")
    assert throttle.broken("gemini") == 0


@pytest.mark.parametrize("away", [False, True], ids=["shared", "away"])
def test_one_trial_call_decides_and_breaks_grow(
    own_redis: RedisServer, brittle: None, away: bool
) -> None:
    if away:
        own_redis.kill()
    for _ in range(5):
        throttle.failed("gemini")
    for longest in (0.1, 0.2, 0.3, 0.3):
        assert longest / 2 < break_over("gemini") <= longest + 0.001
        assert throttle.broken("gemini") == 0
        assert throttle.broken("gemini") == 0  # it is this thread's trial
        assert 0 < elsewhere("gemini") <= 0.2
        throttle.failed("gemini")
    break_over("gemini")
    assert throttle.broken("gemini") == 0
    throttle.worked("gemini")
    assert elsewhere("gemini") == 0
    throttle.failed("gemini")
    assert throttle.broken("gemini") == 0


def test_a_trial_call_that_died_leaves_its_place(redis_url: str, brittle: None) -> None:
    for _ in range(5):
        throttle.failed("gemini")
    break_over("gemini")
    assert throttle.broken("gemini") == 0
    time.sleep(elsewhere("gemini") + 0.005)
    assert elsewhere("gemini") == 0
    assert throttle.broken("gemini") > 0


def test_what_another_version_left_is_no_obstacle(client: redis.Redis) -> None:
    for text in ("[]", "{", '{"colour": 1}', "null"):
        client.set("throttle:circuit:gemini", text)
        assert throttle.broken("gemini") == 0
        throttle.failed("gemini")


def test_nothing_stays_behind(client: redis.Redis, fast: None) -> None:
    turns(3, 0, per_minute=3)
    throttle.close("model", 0.2)
    throttle.failed("gemini")
    throttle.worked("gemini")
    until(lambda: client.keys() == ["throttle:since"], 3, "all else is forgotten")
