"""Paid services asked by real workers: killed, refused, on a budget, without a key told to anybody.

`reelchain bench paid` is the long form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from _gemini import Gemini
from _paid import CHAINS, REFUSED, House, Kills, failed_wrong, fell_back_wrong, house, refuse
from _paid_secrets import four_keys
from _publish_secrets import Watch
from _redis import until

pytestmark = [pytest.mark.acceptance, pytest.mark.redis]
SECONDS = 120
PICTURE = Decimal("0.067")
FEW = {"400", "401", "block:SAFETY", "finish:IMAGE_SAFETY"}
SOME = tuple(case for case in REFUSED if case.fault in FEW)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Yield a house that has Gemini, and nothing to fall back to."""
    with (
        Gemini(delay=0.05) as server,
        house(tmp_path_factory.mktemp("paid"), server) as made,
    ):
        made.start_worker(app="_paid_app", concurrency=3)
        yield made
        assert server.violations == []


def test_no_prompt_is_paid_twice_but_for_those_in_flight_at_a_kill(alone: House) -> None:
    kills = Kills(alone, seed=5, count=6)
    kills.run(SECONDS)
    assert kills.problems() == []
    assert len(kills.deaths) >= 6
    assert len(kills.paid()) >= 6 * 9  # each with a word of its project, so none stands for two


def test_a_budget_stops_a_project_before_it_is_passed_and_more_goes_on(alone: House) -> None:
    budget = 5 * PICTURE / 2
    (number,) = alone.create(1, budget=float(budget))
    alone.start([number])
    until(lambda: alone.state(number)["status"] == "failed", SECONDS, "the project stopped")
    assert alone.error(number)["code"] == "budget_reached"
    assert "--budget" in alone.error(number)["hint"]
    first = alone.spent(number)
    pictures = sum(call.want == "picture" for call in alone.calls(number))
    assert 0 < first <= budget
    assert 1 <= pictures <= 2
    alone.finish([number], SECONDS, budget=5.0)
    prompts = Counter((call.want, call.prompt) for call in alone.calls(number))
    assert set(prompts.values()) == {1}
    assert alone.spent(number) > budget
    calls, booked = alone.booked(number)
    assert (calls, booked) == (prompts.total(), alone.spent(number))


def test_a_refusal_ends_a_project_that_has_nobody_else(alone: House) -> None:
    told = refuse(alone, tuple(case for case in SOME if case.want != "picture"), SECONDS)
    told += refuse(alone, tuple(c for c in SOME if c.want == "picture"), SECONDS, strict=True)
    assert [line for one in told for line in failed_wrong(one)] == []


def test_a_chain_goes_on_after_a_refusal_and_says_so_unless_it_is_strict(tmp_path: Path) -> None:
    with Gemini() as server, house(tmp_path, server, **CHAINS) as made:
        made.start_worker(app="_paid_app", concurrency=3)
        moved = refuse(made, SOME, SECONDS)
        strict = refuse(made, SOME[::3], SECONDS, strict=True)
        assert server.violations == []
    assert [line for one in moved for line in fell_back_wrong(one)] == []
    assert [line for one in strict for line in failed_wrong(one)] == []


def test_no_key_stands_where_others_may_see_it(tmp_path: Path) -> None:
    with four_keys(tmp_path, seed=3) as (made, seen, mishaps), Watch(seen) as watch:
        made.start_worker(app="_paid_app", concurrency=3)
        numbers = [*made.create(3), *made.create(2, strict=True)]
        made.start(numbers)
        made.ended(numbers, SECONDS)
        asked = ("show {n} --json", "tasks --json", "dead ls --json")
        assert watch.findings(numbers[-1:], asked) == []
        assert mishaps.struck.total() >= 5
        made.redis.set("planted", seen.server.found[0])
        assert {f.place for f in watch.findings([])} >= {"Redis planted", "Redis' commands"}
