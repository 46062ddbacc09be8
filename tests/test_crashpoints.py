"""`kill -9` of the child and of the worker at each point of the coordination: all comes out by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import _crashpoints
from _chaoshouse import House
from _chaosverdict import VISIBILITY, Story, right, settled
from _crashpoints import POINTS, RESCUE

pytestmark = [pytest.mark.acceptance, pytest.mark.redis, pytest.mark.ffmpeg]

TEXT = "---\nlanguage: en\nmusic: none\n---\n# The Lamp\n\n## One\n\nIt was lit at dusk.\n"
SEQUENCES = (
    ("run begun", "unit begun", "next link published", "run ended"),
    ("claimed", "unit placed", "result stored", "callers answered"),
    ("stage committed", RESCUE, "before next link", "batch told"),
)
"""Each point once for each victim; a project dies at several, one after the other."""
VICTIMS = ("child", "worker")
SECONDS = 20.0
"""From a death to the project being sent on, but for what a restart of both workers takes."""
CALLERS = """
waiting = batch_processing_task.delay({batch})
joined = [start(number) for number in {joined}]
alone = [r.get(timeout=200)["status"] for r in joined]
tell([waiting.get(timeout=200), alone])
"""


@pytest.fixture
def started() -> list[float]:
    """Hold the seconds that both workers took to start: what their restart costs on this machine."""
    return []


@pytest.fixture
def house(tmp_path: Path, started: list[float]) -> Iterator[House]:
    began = time.monotonic()
    made = House(tmp_path, seal=False)
    try:
        made.settle(lambda: all(map(made.ready, made.names)), 90, "workers ready")
        started.append(time.monotonic() - began)
        yield made
    finally:
        made.close()


def deaths(house: House, project_id: int) -> list[dict[str, Any]]:
    """Return the deaths that a project's plans led to, in order."""
    events = house.witness.events
    return [e for e in events if e["ev"] == "crash" and e["project"] == project_id]


def seconds_to_go_on(house: House, crash: dict[str, Any]) -> float | None:
    """Return how long after a death its project was sent on or worked on; None if it never was."""
    later = [
        event["t"] - crash["t"]
        for event in house.witness.events
        if event["ev"] in ("run", "stage-begin")
        and event["project"] == crash["project"]
        and event["t"] > crash["t"]
    ]
    return min(later, default=None)


@pytest.mark.timeout(420)
def test_every_crash_point_comes_out_by_itself(house: House, started: list[float]) -> None:
    assert {point for points in SEQUENCES for point in points} == {*POINTS, RESCUE}
    cases = [(victim, points) for points in SEQUENCES for victim in VICTIMS]
    reference = house.call(
        f"i = create_project({{'text': {TEXT!r}}}).id\nstart(i).get(timeout=60)\ntell(i)"
    )
    batch, numbers = house.call(
        f"b = create_batch([{{'text': {TEXT!r}}}] * {len(cases)})\n"
        "tell([b.batch_id, list(b.projects)])"
    )
    for number, (victim, points) in zip(numbers, cases, strict=True):
        for point in points:
            _crashpoints.plan(house.crash, number, victim, point, POINTS.get(point, ""))

    # who joins a project of the batch gets its outcome as well
    caller = house.caller(CALLERS.format(batch=batch, joined=numbers[2:4]))
    house.settle(caller.answered, 210, "the callers of the batch and of its projects are answered")
    answer = caller.answer()
    assert isinstance(answer, list), answer
    outcome, alone = answer
    assert outcome["counts"] == {"completed": len(numbers)}, outcome
    assert set(alone) == {"completed"}
    # what a killed worker had taken and not begun comes back after the visibility timeout, when all
    # is long done: nobody waits for it, but it has to go
    settled(house, VISIBILITY + SECONDS)

    died = {number: deaths(house, number) for number in numbers}
    for number, (_, points) in zip(numbers, cases, strict=True):
        assert sorted(e["point"] for e in died[number]) == sorted(points)
    told = Story(house.witness.events, house.coroner.death)
    assert not told.overlaps()
    assert not told.fallen_runs()
    assert not told.published_twice()
    wrong = {n: why for n, why in right(house, numbers, [reference]).items() if why}
    assert not wrong
    most = SECONDS + started[0]
    slow = {
        (crash["project"], crash["point"], crash["victim"]): seconds
        for crashes in died.values()
        for crash in crashes
        if (seconds := seconds_to_go_on(house, crash)) is not None and seconds > most
    }
    assert not slow, f"longer than {most} s until somebody went on: {slow}"
