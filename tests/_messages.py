"""Wrong messages and wrong keys in Redis, for a real worker to meet; judged as in `_mutations`."""

from __future__ import annotations

import base64
import json
import random
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from _mutations import Verdict, World, junk, snapshot, spoil
from _redis import RedisServer
from _workers import Bench
from app import errors, pipeline
from app.celery_app import celery_app, debug_task
from app.project import STAGE_ORDER
from app.tasks._stage import DEFINITIONS

QUEUE = "video_generation"
PATIENCE = 30
"""Seconds for an answer. None within this time is a caller who waits for ever."""

FOREIGN = re.compile(r"unexpected keyword argument|positional argument")
"""What Python says of arguments that a task does not have: clear, and nobody's fault here."""

Sent = tuple[str, Callable[[], object]]
"""What is wrong, and a callable that sends it and waits for its outcome."""


class Guest(Bench):
    """A worker on a Redis that is there: this process's Celery application keeps to one for life."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self._server = server
        super().__init__(folder)
        self.url = server.url
        self.environment |= {
            "CELERY_BROKER_URL": server.url,
            "SPEECH_PROVIDER": "silent",
            "RENDER_SCALE": "0.1",
        }

    def _start_redis(self) -> None:
        self.redis = self._server.client
        self.redis_process = subprocess.Popen(["true"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def case(house: Bench, world: World, seed: int, number: int) -> Verdict:
    """Send something wrong, judge its outcome, prove that the worker still works."""
    rng = random.Random(f"message:{seed}:{number}")  # noqa: S311 - the same each time
    kinds = (arguments, envelope, keys)
    kind = kinds[number % len(kinds)]
    what, send = kind(house, world, rng)
    verdict = Verdict(seed, number, f"message {kind.__name__}", what, "result")
    before = snapshot(world.outside)
    began = time.monotonic()
    try:
        fault = _answer(send)
        if fault is not None:
            verdict.outcome = "error"
            verdict.codes.append(fault)
        assert house.workers[-1].poll() is None, "the worker ended"
        assert debug_task.delay().get(timeout=PATIENCE)["queue"] == "maintenance"
        outcome = pipeline.finished(1)
        assert outcome is not None, "the other project is no longer finished"
        assert snapshot(world.outside) == before, "touched outside the data folder"
    except AssertionError as error:
        verdict.outcome, verdict.why = "bad", str(error)
    except Exception as error:  # noqa: BLE001 - a probe that fails is a bad case, not a broken suite
        verdict.outcome, verdict.why = "bad", f"afterwards: {type(error).__name__}: {error}"
    verdict.seconds = time.monotonic() - began
    return verdict


def _answer(send: Callable[[], object]) -> str | None:
    """Return the code of the clear error that came, or None for a result."""
    try:
        send()
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever came, it is judged
        return _clear(error)
    return None


def _clear(error: Exception) -> str:
    """Return the code of an error that says what happened and what to do; refuse any other."""
    if isinstance(error, TypeError) and FOREIGN.search(str(error)):
        return "TypeError"
    told = f"{type(error).__name__}: {error}"[:600]
    assert isinstance(error, errors.ReelchainError), told
    assert not isinstance(error, errors.InternalError), told
    assert error.code, told
    assert error.hint, told
    return error.code


# -- arguments ---------------------------------------------------------------------------------


def arguments(house: Bench, world: World, rng: random.Random) -> Sent:
    """A task sent with arguments of the wrong kind, project, run or order."""
    name = rng.choice(
        (*(d.task_name for d in DEFINITIONS.values()), "app.tasks.batch_processing_task")
    )
    state = pipeline.open_project(2).state()
    value = junk(rng, world)
    if str(value) == "1":  # the project that stays as it is
        value = 3
    result = state.result(rng.choice(STAGE_ORDER))
    runs = (0, -1, 1, state.run.number, state.run.number + 1, 10**6, str(state.run.number), value)
    result["run"] = rng.choice(runs)
    wrong, what = spoil(rng, world, result)
    if isinstance(wrong, dict) and str(wrong.get("project_id")) == "1":
        wrong["project_id"] = 2
    choices: tuple[tuple[list[Any], dict[str, Any], str], ...] = (
        ([value], {}, f"previous = {value!r}"),
        ([], {"project_id": value}, f"project_id = {value!r}"),
        ([result], {}, f"run {result['run']!r} of {state.run.number}"),
        ([wrong], {}, f"previous: {what}"),
        ([], {"project_id": 2, "run": value}, f"run = {value!r}"),
        ([], {"project_id": _fresh()}, "a stage out of order"),
        ([], {"project_id": 2, "other": value}, "an unknown argument"),
        ([value, value], {}, "too many arguments"),
        ([], {"batch_id": value}, f"batch_id = {value!r}"),
    )
    args, kwargs, told = rng.choice(choices)

    def send() -> None:
        task_id = str(uuid4())
        answer = celery_app.send_task(name, args, kwargs, task_id=task_id).get(timeout=PATIENCE)
        assert isinstance(answer, dict), answer
        assert "project_id" in answer or "batch_id" in answer, answer

    return f"{name.rpartition('.')[2]} {told[:160]}", send


def _fresh() -> int:
    return pipeline.create_project({"topic": "How do tides work?"}).id


# -- envelopes -----------------------------------------------------------------------------------


def message(name: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return a message as Celery puts it into a list of Redis."""
    number = str(uuid4())
    body = [list(args), kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    headers = (
        f'{{"lang": "py", "task": "{name}", "id": "{number}", "root_id": "{number}", '
        '"parent_id": null, "group": null, "retries": 0, "timelimit": [null, null], "eta": null, '
        '"expires": null, "argsrepr": "()", "kwargsrepr": "{}", "origin": "x", "shadow": null}'
    )
    properties = (
        f'{{"correlation_id": "{number}", "reply_to": "{uuid4()}", "delivery_mode": 2, '
        f'"delivery_info": {{"exchange": "", "routing_key": "{QUEUE}"}}, "priority": 0, '
        f'"body_encoding": "base64", "delivery_tag": "{uuid4()}"}}'
    )
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": json.loads(headers),
        "properties": json.loads(properties),
    }


def envelope(house: Bench, world: World, rng: random.Random) -> Sent:
    """A message with wrong headers, properties or body, put straight into the list."""
    sent = message(DEFINITIONS["script_generation"].task_name, project_id=2)
    how = rng.randrange(6)
    raw = b""
    if how == 0:
        sent["headers"], what = spoil(rng, world, sent["headers"])
    elif how == 4:
        name = rng.choice(("properties", "headers", "content-type", "content-encoding", "body"))
        sent[name], what = spoil(rng, world, {name: sent[name]}), f"{name} wrong"
    elif how == 5:
        raw = rng.choice(_NO_MESSAGES)
        what = repr(raw[:40])
    elif how == 1:
        body = json.loads(base64.b64decode(sent["body"]))
        body, what = spoil(rng, world, body)
        sent["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    elif how == 2:
        sent["headers"]["task"] = rng.choice(("os.system", "", "app.tasks.nope", "x" * 9999))
        what = "an unknown task"
    else:
        sent["body"] = rng.choice(
            ("", "not base64!", base64.b64encode(b"\xff\xfe").decode(), "e30=")
        )
        what = f"body {sent['body']!r}"
    raw = raw or json.dumps(sent).encode()

    def send() -> None:
        house.redis.lpush(QUEUE, raw)
        probe = celery_app.send_task(
            DEFINITIONS["script_generation"].task_name, [], {"project_id": 2}, queue=QUEUE
        )
        assert probe.get(timeout=PATIENCE)["project_id"] == 2

    return f"message: {what[:160]}", send


_NO_MESSAGES = (b"x", b"\xff\xfe", b"[]", b"null", b"{}", b"1", b'"text"', b"[" * 5000, b"\x00")


# -- keys ----------------------------------------------------------------------------------------


def keys(house: Bench, world: World, rng: random.Random) -> Sent:
    """Keys of ours in Redis with a wrong type or content; the project is run all the same."""
    found = sorted(str(key) for key in house.redis.scan_iter() if _ours(str(key)))
    more = ("progress:2:last", "progress:2:recent", "waiters:2", "lease:2", "batch:1:meta")
    name = rng.choice((*found, *more))
    values: dict[str, Callable[[], object]] = {
        "a text": lambda: house.redis.set(name, rng.choice(("", "x", "{", "[]", "null", "\x00", "1e999"))),
        "JSON": lambda: house.redis.set(name, json.dumps(junk(rng, world))),
        "a list": lambda: house.redis.rpush(name, "x", "{"),
        "a hash": lambda: house.redis.hset(name, mapping={"x": "y", "": "", "1": "no_such_stage"}),
        "a set": lambda: house.redis.sadd(name, "x", "-1", "999"),
        "a sorted set": lambda: house.redis.zadd(name, {"x": 1, "2": float("inf")}),
        "nothing": lambda: None,
    }  # fmt: skip
    kind = rng.choice(list(values))

    def send() -> None:
        house.redis.delete(name)
        values[kind]()
        try:
            result = celery_app.send_task(
                DEFINITIONS["script_generation"].task_name, [], {"project_id": 2}, queue=QUEUE
            ).get(timeout=PATIENCE)
            assert result["status"] == "completed", result
            pipeline.status(2)
        finally:
            house.redis.delete(name)

    return f"{name} is {kind}", send


_THEIRS = (
    "celery-task-meta-",
    "_kombu",
    "unacked",
    "maintenance",
    "video_generation",
    "batch_proc",
)


def _ours(key: str) -> bool:
    return not key.startswith(_THEIRS)
