"""Errors by class: 503 is tried again after 2, 5, 10 s and seen to be; 403 never; limits hold."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from _workers import Bench, bench, story

pytestmark = [pytest.mark.acceptance, pytest.mark.redis]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("retries")) as made:
        made.environment |= {
            "FLAKY_PLAN": str(made.folder / "plan"),
            "SPEECH_PROVIDER": "flaky",
        }
        made.start_worker(app="_flaky")
        yield made


def fail(house: Bench, *plan: str) -> int:
    """Plan the failures; return a project whose script is made."""
    (house.folder / "plan").write_text("\n".join(plan))
    (house.folder / "plan.calls").unlink(missing_ok=True)
    number = house.call(f"tell(create_project({str(story(house.folder))!r}).id)")
    house.call(f"generate_script_task.delay(project_id={number}).get(timeout=60)")
    return int(number)


def gaps(house: Bench) -> list[float]:
    times = [float(line) for line in (house.folder / "plan.calls").read_text().split()]
    return [after - before for before, after in itertools.pairwise(times)]


def outcome(house: Bench, number: int, limit: float | None = None) -> Any:
    """Return how the stage ends: the states it went through, and its status or its error.

    Args:
        limit: Seconds it may take, instead of the stage's own limit.
    """
    return house.call(
        f"""
        from app.errors import ReelchainError
        import time
        result = generate_assets_task.apply_async(
            kwargs={{"project_id": {number}}}, soft_time_limit={limit}
        )
        states = []
        while not result.ready():
            states += [result.state] if result.state not in states else []
            time.sleep(0.02)
        try:
            tell([states, result.get()["status"]])
        except ReelchainError as error:
            tell([states, type(error).__name__, error.code, error.hint])
        """
    )


def history(house: Bench, number: int) -> list[dict[str, Any]]:
    lines = (house.data / f"projects/{number}/events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_503_is_tried_again_and_everybody_sees_it(house: Bench) -> None:
    number = fail(house, "503", "503")
    states, status = outcome(house, number)
    assert status == "completed"
    assert "RETRY" in states
    (gap,) = gaps(house)
    assert 2.0 <= gap < 5.0, "the first delay, not the next"
    retries = [event for event in history(house, number) if event["code"] == "retry"]
    assert [event["delay"] for event in retries] == [2.0, 5.0]
    assert retries[0]["error"] == "service_unavailable"


def test_a_503_in_one_of_several_voices_at_once_is_tried_again(house: Bench) -> None:
    number = fail(house, "503")
    several = house.folder / "plan.several"
    several.touch()
    try:
        states, status = outcome(house, number)
    finally:
        several.unlink()
    assert status == "completed"
    assert "RETRY" in states
    assert [event["delay"] for event in history(house, number) if event["code"] == "retry"] == [2.0]


def test_a_403_is_never_tried_again(house: Bench) -> None:
    number = fail(house, "403")
    _, kind, code, hint = outcome(house, number)
    assert (kind, code, hint) == ("PermanentError", "forbidden", "Ask for access.")
    assert gaps(house) == []
    state = house.state(number)
    assert state["stages"]["asset_generation"]["error"]["code"] == "forbidden"
    assert state["status"] == "failed"


def test_a_fault_of_ours_keeps_its_name(house: Bench) -> None:
    number = fail(house, "crash")
    _, kind, code, _ = outcome(house, number)
    assert (kind, code) == ("InternalError", "internal")


def test_a_stage_that_hangs_is_ended_by_its_limit_and_can_go_on(house: Bench) -> None:
    number = fail(house, "hang")
    _, kind, code, _ = outcome(house, number, limit=3)
    assert (kind, code) == ("TimeLimitError", "time_limit")
    (house.folder / "plan").write_text("")  # should it have come before the voice was asked
    assert outcome(house, number)[-1] == "completed"
