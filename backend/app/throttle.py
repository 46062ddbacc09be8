"""How much is asked of a service at once, by all workers together: turns, rests, a breaker.

What workers share is in Redis and goes by its clock, whatever theirs say. While Redis is away each
process keeps to the same limits by itself, and tells Redis afterwards what it holds.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import redis

from app import connection, spending
from app.errors import TransientError

log = logging.getLogger(__name__)

PREFIX = "throttle:"
LEASE = 30.0
"""Seconds after which a holder that died is forgotten."""
RENEW = 1.0
"""Seconds between two renewals, by one thread of the process."""
UNSEEN = 1.5
"""Seconds after which somebody in the line who asks no more is passed over; who asks again has the
place from before."""
GRACE = 2.5
"""Seconds without new starts after Redis lost its memory; in them every holder tells of itself."""
MINUTE = 61.0
"""Seconds that a start counts: calls reach the service a little later than they start, some more
than others, and it counts 60 s by its own clock."""
SHORTEST, LONGEST, SLOWEST = 0.02, 0.25, 0.5
"""Seconds between two looks: of who is next, at first and after a while, and of anybody else."""
COMES_BACK = 60.0
"""Seconds to wait before asking again where the line was too long."""
LONGEST_REST = 26 * 3600.0
"""A quota of a day comes back within one, its longest has 25 hours."""
AWAY = 1.0
"""Seconds in which a Redis that did not answer is not asked again; longer if it took its time."""

FAILURES, WINDOW = 5, 60.0
"""So many failures in a row, in so many seconds, break the circuit."""
PAUSE, LONGEST_PAUSE = 30.0, 600.0
"""Seconds that it stays broken at first, and at most; they double each time."""
TRIAL = 30.0
"""Seconds after which a trial call of which nothing was heard leaves its place to another."""

_LOST = "lost"
_KINDS = ("held", "line", "seen", "starts", "closed")
_CLOCK = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
"""
# A score further ahead than it can be is of before the clock was set back.
_CLEAR = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. now + lease, '+inf')
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - minute)
redis.call('ZREMRANGEBYSCORE', KEYS[4], '(' .. now, '+inf')
"""
# KEYS held line seen starts closed since; ARGV the lease and the minute in milliseconds, token,
# arrival (0: just now), at once, per minute, unseen, the beginning of Redis' memory as the caller
# knows it, milliseconds without starts after that, milliseconds that the caller rests. Returns:
# admitted, arrival, place in the line, milliseconds to wait for sure, the beginning of Redis' memory.
_ASK = f"""{_CLOCK}
local lease, minute, token = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local arrival, at_once, per_minute = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local unseen, known, grace = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local rest = tonumber(ARGV[10])
{_CLEAR}
local since = redis.call('GET', KEYS[6])
if not since then
  since = string.format('%d', now)
  redis.call('SET', KEYS[6], since)
end
if redis.call('ZSCORE', KEYS[1], token) then return {{1, arrival, 0, 0, since}} end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now)) do
  redis.call('ZREM', KEYS[2], gone)
  redis.call('ZREM', KEYS[3], gone)
end
if arrival == 0 then arrival = now end
redis.call('ZADD', KEYS[2], arrival, token)
redis.call('ZADD', KEYS[3], now + unseen, token)
redis.call('PEXPIRE', KEYS[2], unseen)
redis.call('PEXPIRE', KEYS[3], unseen)
local rank = redis.call('ZRANK', KEYS[2], token)
local room = at_once - redis.call('ZCARD', KEYS[1])
local wait = math.max(rest, redis.call('PTTL', KEYS[5]), math.min(grace, since + grace - now))
if per_minute > 0 then
  local before = redis.call('ZCARD', KEYS[4]) - per_minute + rank
  if before >= 0 then
    local first = redis.call('ZRANGE', KEYS[4], before, before, 'WITHSCORES')[2]
    wait = math.max(wait, first and first + minute - now or minute)
  end
end
if rank >= room or wait > 0 or (known ~= '' and known ~= since) then
  return {{0, arrival, rank, wait, since}}
end
redis.call('ZREM', KEYS[2], token)
redis.call('ZREM', KEYS[3], token)
redis.call('ZADD', KEYS[1], now + lease, token)
redis.call('PEXPIRE', KEYS[1], lease)
if per_minute > 0 then
  redis.call('ZADD', KEYS[4], now, token)
  redis.call('PEXPIRE', KEYS[4], minute)
end
return {{1, arrival, rank, 0, since}}
"""
# KEYS held line seen starts; ARGV the lease and the minute in milliseconds, how many hold, their
# tokens, then token and age in milliseconds of each start
_KEEP = f"""{_CLOCK}
local lease, minute, holders = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
{_CLEAR}
for n = 4, 3 + holders do redis.call('ZADD', KEYS[1], now + lease, ARGV[n]) end
for n = 4 + holders, #ARGV, 2 do redis.call('ZADD', KEYS[4], 'NX', now - ARGV[n + 1], ARGV[n]) end
redis.call('PEXPIRE', KEYS[1], lease)
redis.call('PEXPIRE', KEYS[4], minute)
return 1
"""
# KEYS held line seen; ARGV tokens
_LEAVE = """
for _, key in ipairs(KEYS) do
  for _, token in ipairs(ARGV) do redis.call('ZREM', key, token) end
end
return 1
"""
# KEYS closed; ARGV milliseconds
_CLOSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
end
return 1
"""
# KEYS closed; returns milliseconds
_CLOSED = "return redis.call('PTTL', KEYS[1])"
# KEYS circuit; returns the circuit and the time in milliseconds
_READ = f"{_CLOCK} return {{redis.call('GET', KEYS[1]) or '', now}}"
# KEYS circuit; ARGV as it was read, as it shall be, milliseconds to remember it; 0: another changed it
_WRITE = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""


@dataclass(frozen=True)
class _Circuit:
    """What is known of a service that failed; times are seconds of one clock.

    Attributes:
        failures: When it failed, since it last worked.
        breaks: How often the circuit broke since then.
        until: When the last break ends.
        trial_of: Who makes the trial call after it.
        trial_until: Until when nobody else does.
    """

    failures: tuple[float, ...] = ()
    breaks: int = 0
    until: float = 0.0
    trial_of: str = ""
    trial_until: float = 0.0


_WHOLE = _Circuit()
_Step = Callable[[_Circuit, float], tuple[_Circuit, float]]
"""Circuit and time → the circuit afterwards, and what was asked."""


@dataclass
class _Name:
    """What this process itself does with one name; times are its own clock's.

    Attributes:
        held: Tokens of those who have their turn.
        line: Tokens of those who wait, the oldest first.
        left: Token → when it was given back without Redis hearing of it.
        starts: Token → when its turn began, where that counts.
        closed_until: Until when nobody starts.
    """

    held: set[str] = field(default_factory=set)
    line: list[str] = field(default_factory=list)
    left: dict[str, float] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    closed_until: float = 0.0

    def tidy(self) -> None:
        """Forget the starts and returns that no longer count."""
        now = time.monotonic()
        self.starts = {token: at for token, at in self.starts.items() if at > now - MINUTE}
        self.left = {token: at for token, at in self.left.items() if at > now - LEASE}


class _Process:
    """What this process knows by itself, and how it stands with Redis."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.lock = threading.Lock()
        self.names: dict[str, _Name] = {}
        self.circuits: dict[str, _Circuit] = {}
        self.since = ""
        self.grace = 0.0
        self.away_until = 0.0
        self.keeper: threading.Thread | None = None
        self.id = uuid.uuid4().hex

    def name(self, name: str) -> _Name:
        return self.names.setdefault(name, _Name())


_here = _Process()


def forget() -> None:
    """Forget all that this process knows by itself: in a forked child, and between tests."""
    _here.forget()


os.register_at_fork(after_in_child=forget)


@contextmanager
def slot(
    name: str,
    *,
    at_once: int,
    per_minute: int = 0,
    patience: float = 600,
    pause: Callable[[float], None] = spending.wait,
) -> Iterator[None]:
    """Wait for a turn among all workers that share the Redis, and hold it; the oldest goes first.

    Args:
        name: What is limited: a service, one of its models.
        at_once: Most holders at a time.
        per_minute: Most starts in any 60 s; 0 for no limit.
        patience: Seconds to wait at most.
        pause: Waits between two looks; what it raises ends the waiting. Usually a stage that is
            called off does.

    Raises:
        TransientError: `service_busy`; `retry_after` says when to ask again.
    """
    token = uuid.uuid4().hex
    turn = _Turn(name, token, max(1, at_once), max(0, per_minute))
    try:
        _wait(turn, patience, pause)
        yield
    finally:
        _leave(turn)


def close(name: str, seconds: float) -> None:
    """Let nobody start a call of `name` for so many seconds; a longer rest stays as it is."""
    if not seconds > 0:
        return
    seconds = min(seconds, LONGEST_REST)
    with _here.lock:
        mine = _here.name(name)
        mine.closed_until = max(mine.closed_until, time.monotonic() + seconds)
    _shared(_CLOSE, [_key(name, "closed")], max(1, _milliseconds(seconds)))


def closed(name: str) -> float:
    """Return for how many seconds nobody may start a call of `name`; 0 if it is open."""
    answer = _shared(_CLOSED, [_key(name, "closed")])
    return max(_closed_here(name), (answer or 0) / 1000)


def failed(name: str) -> None:
    """Count a failure of a service: no answer, a time-out, 5xx. Not a refusal, not a 429."""
    _change(name, _after_failure)


def worked(name: str) -> None:
    """Note that a service answered, be it with a refusal: what it failed before is forgotten."""
    _change(name, lambda _circuit, _now: (_WHOLE, 0.0))


def broken(name: str) -> float:
    """Return for how many seconds a service is not to be called; 0 if it may be.

    After a break the first thread that asks gets 0, again and again, and makes the trial call;
    the others wait for its `worked` or `failed`.
    """
    who = f"{_here.id}:{threading.get_ident()}"
    return _change(name, lambda circuit, now: _asked(circuit, now, who))


@dataclass
class _Turn:
    """Somebody who waits for a turn, or has one."""

    name: str
    token: str
    at_once: int
    per_minute: int
    arrival: int = 0
    rank: int = 0


def _wait(turn: _Turn, patience: float, pause: Callable[[float], None]) -> None:
    begun, paused = time.monotonic(), 0.0
    with _here.lock:
        _here.name(turn.name).line.append(turn.token)
    while True:
        admitted, sure = _ask(turn)
        if admitted:
            return
        left = patience - max(paused, time.monotonic() - begun)
        if left <= 0 or sure > left:
            raise TransientError(
                "service_busy",
                f"{turn.name} takes no further calls at the moment.",
                "Try again later; higher limits shorten the wait, if the service allows them.",
                sure or COMES_BACK,
            )
        delay = min(_delay(turn, patience - left, sure), left)
        pause(delay)
        paused += delay


def _delay(turn: _Turn, waited: float, sure: float) -> float:
    """Return how long to wait for the next look: short while calls are short and the turn near."""
    if sure > 0:
        return min(max(sure, SHORTEST), SLOWEST)
    near = min(max(waited / 40, SHORTEST), LONGEST)
    return min(near * (1 + 3 * (turn.rank // turn.at_once)), SLOWEST)


def _ask(turn: _Turn) -> tuple[bool, float]:
    """Return whether the turn has come; if not, the seconds that it can't come before."""
    numbers = (turn.arrival, turn.at_once, turn.per_minute, _milliseconds(UNSEEN))
    memory = (_here.since, _milliseconds(_here.grace))
    answer = _shared(
        *(_ASK, _keys(turn.name), _milliseconds(LEASE), _milliseconds(MINUTE), turn.token),
        *(*numbers, *memory, _milliseconds(_closed_here(turn.name))),
    )
    if answer is None:
        return _ask_here(turn)
    admitted, turn.arrival, turn.rank, wait, since = answer
    if since != _here.since:
        _meet(since)
    if admitted:
        with _here.lock:
            _begin(turn)
    return bool(admitted), wait / 1000


def _ask_here(turn: _Turn) -> tuple[bool, float]:
    """`_ask` among the threads of this process alone."""
    if (rest := _closed_here(turn.name)) > 0:
        return False, rest
    with _here.lock:
        mine = _here.name(turn.name)
        mine.tidy()
        turn.rank = mine.line.index(turn.token)
        if turn.per_minute:
            starts = sorted(mine.starts.values())
            before = len(starts) - turn.per_minute + turn.rank
            if before >= 0:
                now = time.monotonic()
                first = starts[before] if before < len(starts) else now
                return False, max(0.0, first + MINUTE - now)
        if turn.rank >= turn.at_once - len(mine.held):
            return False, 0.0
        _begin(turn)
        return True, 0.0


def _begin(turn: _Turn) -> None:
    mine = _here.name(turn.name)
    mine.line.remove(turn.token)
    mine.held.add(turn.token)
    if turn.per_minute:
        mine.tidy()
        mine.starts[turn.token] = time.monotonic()
    _have_keeper()


def _leave(turn: _Turn) -> None:
    with _here.lock:
        mine = _here.name(turn.name)
        mine.held.discard(turn.token)
        if turn.token in mine.line:
            mine.line.remove(turn.token)
    if _shared(_LEAVE, _keys(turn.name)[:3], turn.token) is None:
        with _here.lock:
            mine.tidy()
            mine.left[turn.token] = time.monotonic()
            _have_keeper()


def _meet(since: str) -> None:
    """Tell a Redis that was away, or lost its memory, what this process holds."""
    if _here.since:
        if not all(_keep(name) for name in list(_here.names)):
            return
        _here.grace = GRACE
    _here.since = since


def _have_keeper() -> None:
    if _here.keeper is None:
        thread = threading.Thread(target=_keep_all, name="throttle", daemon=True)
        thread.start()
        _here.keeper = thread


def _keep_all() -> None:
    """Renew what this process holds until it holds nothing."""
    while True:
        time.sleep(RENEW)
        with _here.lock:
            if _here.keeper is not threading.current_thread():
                return
            for mine in _here.names.values():
                mine.tidy()
            names = [name for name, mine in _here.names.items() if mine.held or mine.left]
            if not names:
                _here.keeper = None
                return
        for name in names:
            _keep(name)


def _keep(name: str) -> bool:
    """Renew the turns of one name, return what could not be returned; false where Redis is away."""
    with _here.lock:
        mine = _here.name(name)
        mine.tidy()
        now = time.monotonic()
        held, left = list(mine.held), list(mine.left)
        starts = [x for token, at in mine.starts.items() for x in (token, _milliseconds(now - at))]
    lasting = (_milliseconds(LEASE), _milliseconds(MINUTE))
    if _shared(_KEEP, _keys(name)[:4], *lasting, len(held), *held, *starts) is None:
        return False
    with _here.lock:  # who left meanwhile may have been put back by this
        left += [token for token in held if token not in mine.held]
    if left and _shared(_LEAVE, _keys(name)[:3], *left) is None:
        return False
    with _here.lock:
        for token in left:
            mine.left.pop(token, None)
    return True


def _closed_here(name: str) -> float:
    with _here.lock:
        return max(0.0, _here.name(name).closed_until - time.monotonic())


def _after_failure(circuit: _Circuit, now: float) -> tuple[_Circuit, float]:
    if now < circuit.until:  # of a call that began before the break
        return circuit, 0.0
    failures = (*(at for at in circuit.failures if now - WINDOW < at <= now), now)
    if not circuit.breaks and len(failures) < FAILURES:
        return replace(circuit, failures=failures), 0.0
    pause = min(PAUSE * 2.0 ** min(circuit.breaks, 16), LONGEST_PAUSE)
    return _Circuit(breaks=circuit.breaks + 1, until=now + pause), 0.0


def _asked(circuit: _Circuit, now: float, who: str) -> tuple[_Circuit, float]:
    if not circuit.breaks:
        return circuit, 0.0
    if now < circuit.until:
        return circuit, circuit.until - now
    if circuit.trial_of not in {"", who} and now < circuit.trial_until:
        return circuit, circuit.trial_until - now
    return replace(circuit, trial_of=who, trial_until=now + TRIAL), 0.0


def _remembered(circuit: _Circuit, now: float) -> _Circuit:
    """Forget breaks that are long over, and those of before the clock was set back."""
    return _WHOLE if circuit.breaks and abs(circuit.until - now) > LONGEST_PAUSE else circuit


def _change(name: str, step: _Step) -> float:
    """Take a step with the circuit that all workers share, or with this process's own."""
    key = [_key(name, "circuit")]
    for _ in range(100):
        read = _shared(_READ, key)
        if read is None:
            break
        text, now = read[0], read[1] / 1000
        circuit = _remembered(_parsed(text), now)
        after, answer = step(circuit, now)
        if after == circuit:
            return answer
        lasts = _milliseconds(max(after.until - now, 0.0) + LONGEST_PAUSE)
        written = _shared(_WRITE, key, text, _written(after), lasts)
        if written:
            return answer
        if written is None:
            break
    with _here.lock:
        now = time.monotonic()
        circuit = _remembered(_here.circuits.get(name, _WHOLE), now)
        _here.circuits[name], answer = step(circuit, now)
    return answer


def _parsed(text: str) -> _Circuit:
    try:
        facts = json.loads(text or "{}")
        return _Circuit(**{**facts, "failures": tuple(facts.get("failures", ()))})
    except (ValueError, TypeError, AttributeError):  # another version's
        return _WHOLE


def _written(circuit: _Circuit) -> str:
    return "" if circuit == _WHOLE else json.dumps(asdict(circuit))


def _shared(script: str, keys: list[str], *arguments: str | float) -> Any:
    """Run a script in Redis; None where Redis is away."""
    begun = time.monotonic()
    if begun < _here.away_until:
        return None
    try:
        return connection.quick().eval(script, len(keys), *keys, *arguments)
    except (redis.RedisError, OSError) as error:
        log.debug("limits hold in this process only: %s", error)
        now = time.monotonic()
        _here.away_until = now + max(AWAY, 4 * (now - begun))
        _here.since = _LOST
        return None


def _keys(name: str) -> list[str]:
    return [*(_key(name, kind) for kind in _KINDS), f"{PREFIX}since"]


def _key(name: str, kind: str) -> str:
    return f"{PREFIX}{kind}:{name}"


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
