"""Progress over Redis Pub/Sub: publish, the latest state, a subscription without a gap.

Publishing never delays or fails the work: a Redis that does not answer costs a dropped message,
counted in `dropped`. The latest message of each channel is kept under `progress:{id}:last`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis

from app import connection, embedded
from app.connection import TIMEOUT
from app.models import Event

log = logging.getLogger(__name__)

PER_SECOND = 10
"""Most messages a second on one channel; a closing one is always sent."""
KEEP_SECONDS = 30 * 86400

PAUSE = 15.0
"""After such a wait, seconds in which nothing is sent but closing events."""

dropped = 0
"""Messages lost because Redis did not answer, in this process."""

_silent_until = 0.0

# `seq` starts from the clock, so that it rises over a flushed Redis, too.
# KEYS last, recent; ARGV channel, event without closing brace, final, run, progress, ttl, per second
_PUBLISH = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local last = redis.call('GET', KEYS[1])
local seq, progress = tonumber(t[1]) * 1000000 + tonumber(t[2]), tonumber(ARGV[5])
if last then
  local old = cjson.decode(last)
  seq = math.max(seq, old.seq)
  if old.run > tonumber(ARGV[4]) then return -1 end
  if old.run == tonumber(ARGV[4]) then
    if old.final or old.ended then return -1 end
    progress = math.max(progress, old.progress)
  end
end
if ARGV[3] ~= '1' and progress > 99 then progress = 99 end
local text = ARGV[2] .. ',"progress":' .. string.format('%d', progress) .. ',"seq":' .. string.format('%d', seq + 1) .. '}'
redis.call('SET', KEYS[1], text, 'EX', ARGV[6])
local limit = tonumber(ARGV[7])
if ARGV[3] ~= '1' then
  local nth = redis.call('LINDEX', KEYS[2], limit - 2)
  if nth and now - tonumber(nth) < 1000 then return 0 end
end
redis.call('LPUSH', KEYS[2], now)
redis.call('LTRIM', KEYS[2], 0, limit - 1)
redis.call('EXPIRE', KEYS[2], 5)
redis.call('PUBLISH', ARGV[1], text)
return seq + 1
"""

# A first link was sent: an ended run's last word must not greet the new run's subscribers.
_RESET = """
local t = redis.call('TIME')
local seq, run = tonumber(t[1]) * 1000000 + tonumber(t[2]), 0
local last = redis.call('GET', KEYS[1])
if last then
  local old = cjson.decode(last)
  if not old.final then return 0 end
  seq, run = math.max(seq, old.seq), old.run
end
redis.call('SET', KEYS[1], ARGV[1] .. ',"ended":true,"seq":' .. string.format('%d', seq + 1) .. ',"run":' .. string.format('%d', run) .. '}', 'EX', ARGV[2])
return 1
"""


def channel(project_id: int | str) -> str:
    """Return the name of a project's channel; `batch:{id}` as id gives a batch's."""
    return f"progress:{project_id}"


def _keys(name: str) -> tuple[str, str]:
    return f"{name}:last", f"{name}:recent"


def _open_json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False)[:-1]


def publish(event: dict[str, Any], *, name: str | None = None) -> bool:
    """Send an event to its channel and keep it as the latest; False where Redis did not answer.

    `progress` is raised to what the run had reached already, and to 100 only by a final event.
    A message above the limit of ten a second is kept as the latest but not sent.
    """
    global dropped, _silent_until  # noqa: PLW0603 - a counter and a pause of this process
    name = name or channel(event["project_id"])
    facts = {key: value for key, value in event.items() if key not in ("progress", "seq")}
    final = "1" if event.get("final") else "0"
    began = time.monotonic()
    if final == "0" and began < _silent_until:
        dropped += 1
        return False
    try:
        connection.quick().eval(
            _PUBLISH,
            2,
            *_keys(name),
            name,
            _open_json(facts),
            final,
            str(event.get("run", 0)),
            str(event["progress"]),
            str(KEEP_SECONDS),
            str(PER_SECOND),
        )
    except (redis.RedisError, OSError, ValueError) as error:  # ValueError: text that is no UTF-8
        dropped += 1
        ended = time.monotonic()
        if ended - began > TIMEOUT / 2:
            _silent_until = ended + PAUSE
        log.debug("progress not published: %s", error)
        return False
    _silent_until = 0.0
    return True


def reset(project_id: int | str, waiting: dict[str, Any]) -> None:
    """Put `waiting` in the place of an ended run's last event; a live run is left alone."""
    facts = {key: value for key, value in waiting.items() if key not in ("seq", "run")}
    try:
        connection.quick().eval(
            _RESET, 1, _keys(channel(project_id))[0], _open_json(facts), str(KEEP_SECONDS)
        )
    except (redis.RedisError, OSError) as error:
        log.debug("progress not reset: %s", error)


def latest(project_id: int | str) -> dict[str, Any] | None:
    """Return the latest event of a channel, or None."""
    return _event(connection.quick().get(_keys(channel(project_id))[0]))


def _event(text: object) -> dict[str, Any] | None:
    """Return an event as kept or published; None for what is none, whoever wrote it."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    numbers = [found.get("seq"), found.get("run", 0)]
    whole = all(isinstance(number, int) and 0 <= number < 10**18 for number in numbers)
    return found if whole else None


def subscribe(
    project_id: int | str,
    *,
    known: Callable[[], dict[str, Any] | None] = lambda: None,
    idle: float = 2.0,
) -> Iterator[dict[str, Any]]:
    """Yield the latest known state, then each event as it comes; end after the final one.

    Args:
        project_id: A project's id, or `batch:{id}`.
        known: What the project's folder says, for a Redis that knows nothing (it was flushed).
        idle: Seconds of silence after which the kept state is read again, so that what was
            published while a connection was down is not missed.

    Raises:
        redis.RedisError: Redis is not there at the start. Later outages are waited for.
    """
    url = embedded.address()
    client: redis.Redis = redis.Redis.from_url(url, decode_responses=True, health_check_interval=10)
    name = channel(project_id)
    pubsub: redis.client.PubSub = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    try:
        pubsub.subscribe(name)
        seen = -1
        event = _latest_or(client, name, known)
        while True:
            if event is not None and event["seq"] > seen:
                seen = event["seq"]
                yield event
                if event.get("final"):
                    return
            event = _next(client, pubsub, name, idle)
    finally:
        pubsub.close()
        client.close()


def _latest_or(
    client: redis.Redis, name: str, known: Callable[[], dict[str, Any] | None]
) -> dict[str, Any] | None:
    try:
        kept = _event(client.get(_keys(name)[0]))
    except redis.ResponseError:  # the key holds another kind of value
        kept = None
    return known() if kept is None else kept


def _next(
    client: redis.Redis, pubsub: redis.client.PubSub, name: str, idle: float
) -> dict[str, Any] | None:
    """Return the next live event; after a silence or a lost connection the kept one."""
    try:
        message = pubsub.get_message(timeout=idle)
        if message is not None and message["type"] == "message":
            return _event(message["data"])
        return _latest_or(client, name, lambda: None)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        log.debug("progress connection lost: %s", error)
        time.sleep(0.2)
        return None


class Meter:
    """Turns what a stage reports into events of its run: overall percent, pace, ETA.

    Args:
        base: The event's fixed facts (project_id, run, stage …).
        start: Percent of the run done before this stage.
        share: Percent of the run this stage is.
        elapsed: Seconds the run took before this stage.
        send: Where events go; `publish` but for tests.
    """

    MIN_GAP = 0.15

    def __init__(
        self,
        base: dict[str, Any],
        *,
        start: float,
        share: float,
        elapsed: float = 0.0,
        send: Callable[[dict[str, Any]], object] = publish,
    ) -> None:
        self._base = base
        self._start = start
        self._share = share
        self._elapsed = elapsed
        self._send = send
        self._began = time.monotonic()
        self._sent = 0.0
        self._fraction = 0.0

    def tell(
        self, fraction: float, code: str, message: str, *, now: bool = False, **extra: Any
    ) -> None:
        """Publish that `fraction` (0-1) of the stage is done; too quick a repetition is left out."""
        self._fraction = max(self._fraction, min(fraction, 1.0))
        moment = time.monotonic()
        if not now and moment - self._sent < self.MIN_GAP:
            return
        self._sent = moment
        overall = self._start + self._share * self._fraction
        self._send(
            self._base
            | {
                "progress": int(overall),
                "stage_progress": int(self._fraction * 100),
                "code": code,
                "message": message,
                "timestamp": timestamp(),
                "eta_seconds": self._eta(overall, moment),
            }
            | extra
        )

    def _eta(self, overall: float, moment: float) -> float | None:
        spent = self._elapsed + moment - self._began
        if overall < 3 or spent < 1:
            return None
        return round(spent * (100 - overall) / overall, 1)


def timestamp() -> str:
    """Return the time in UTC as messages carry it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def event(**facts: Any) -> dict[str, Any]:
    """Return an event with every field of the contract, checked, ready to publish."""
    return Event(**{"timestamp": timestamp(), **facts}).model_dump(mode="json")
