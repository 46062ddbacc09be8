"""The judge of the publishing measurements: it must see what is wrong."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from _publish import Again, Plan, number_of, resent
from _publish_secrets import _found, _needles
from _youtube import Call, YouTube

SECRET = "1//0" + "aB-_9" * 12
MIB = 1024 * 1024


def chunk(at: float, offset: int, sent: int, fault: str = "") -> Call:
    return Call(at, "videos.insert.chunk", session="s", offset=offset, sent=sent, fault=fault)


def again(*calls: Call) -> list[Again]:
    with YouTube() as server:
        server.calls += calls
        return resent(server)


def test_an_upload_that_goes_on_where_it_was_sends_nothing_again() -> None:
    assert again(chunk(1, 0, MIB), chunk(2, MIB, MIB)) == []


def test_a_lost_chunk_is_one_step_back() -> None:
    assert again(chunk(1, 0, MIB, "mid"), chunk(2, 0, MIB)) == [Again("s", "mid", MIB)]


def test_a_try_that_brought_nothing_does_not_hide_the_step_back() -> None:
    calls = chunk(1, 0, MIB), chunk(2, MIB, MIB, "lost"), chunk(3, 0, 0), chunk(4, 0, MIB)
    assert again(*calls) == [Again("s", "lost", 2 * MIB)]


def test_a_marker_names_its_project() -> None:
    assert number_of("ref rc-12-0123456789ab") == 12
    assert number_of("rc-12-0123456789ab") is None


def test_each_planned_fault_strikes_a_call_of_its_own() -> None:
    plan = Plan.of(3, 17, 5 * MIB)
    struck = [plan.next("videos.insert.chunk") for _ in range(30)]
    assert 1 <= sum(action is not None for action in struck) == len(plan.at) <= 6


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET, safe=""),
        f"cut short: {SECRET[:30]}…",
        base64.b64encode(f'{{"token": "{SECRET}"}}'.encode()).decode(),
        base64.b64encode(f'{{"token":  "{SECRET}"}}'.encode()).decode(),
        base64.b64encode(f'{{"token":   "{SECRET}"}}'.encode()).decode(),
    ],
)
def test_a_secret_is_found_however_it_is_written(written: str) -> None:
    found = list(_found("here", f"before {written} after".encode(), _needles([SECRET])))
    assert {finding.place for finding in found} == {"here"}
    assert list(_found("here", b"another token", _needles([SECRET]))) == []
