"""What a run would do, as `--dry-run` shows it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from app.cli import money, output

WIDTH = 16


def show(planned: dict[str, Any], *, as_json: bool) -> None:
    """Print what a run would do; end with the exit code of the first error it would meet."""
    output.facts(planned, as_json=as_json, lines=_lines(planned))
    for problem in planned["problems"]:
        output.note(f"Error [{problem['code']}]: {problem['message']}\n  {problem['hint']}")
    if planned["problems"]:
        sys.exit(planned["problems"][0]["exit_code"])


def _lines(planned: dict[str, Any]) -> Iterator[str]:
    yield f"Project {planned['project_id']}: {planned['title']}"
    for name, told in _facts(planned):
        yield f"  {name:<{WIDTH}}{told}"


def _facts(planned: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for state, name in (("made", "made"), ("to_make", "to make")):
        stages = [stage for stage, found in planned["stages"].items() if found == state]
        if stages:
            yield name, ", ".join(stages)
    if planned["url"]:
        yield "published", planned["url"]
    if "to_make" not in planned["stages"].values():
        yield "", "Complete as it stands: a run would do nothing."
        return
    estimate = planned["estimate"]
    yield "takes about", f"{output.clock(estimate['seconds'])} ({estimate['basis']})"
    yield "cost", money.forecast(estimate)
    second = ", a second video" if planned["second"] else ""
    yield "publisher", f"{planned['publisher']}{second}"
    if planned["announcement"] is None:
        yield "", "What is told about the video is known once its script is written."
    else:
        limit = " of 5,000" if planned["publisher"] == "youtube" else ""
        yield from _announced(planned["announcement"], f"{planned['description_bytes']:,}{limit}")
    if planned["quota"] is not None:
        yield "quota", _quota(planned["quota"])


def _announced(told: dict[str, Any], size: str) -> Iterator[tuple[str, object]]:
    yield "title", told["title"]
    later = f", public from {told['publish_at']}" if told["publish_at"] else ""
    yield "privacy", f"{told['privacy']}{later}"
    yield "category", told["category"]
    yield "made for kids", _word(told["made_for_kids"])
    yield "synthetic media", _word(told["synthetic_media"])
    yield "notify", _word(told["notify"])
    yield "playlist", told["playlist"] or "none"
    yield "tags", ", ".join(told["tags"]) or "none"
    yield "description", f"{size} bytes"
    for line in told["description"].splitlines():
        yield "", f"| {line}"


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _quota(quota: dict[str, Any]) -> str:
    costs = ", ".join(f"{units:,} of {bucket}" for bucket, units in quota["cost"].items())
    fits = quota["fits"]
    if fits:
        return f"{costs}; {fits} such video{' fits' if fits == 1 else 's fit'} today"
    return f"{costs}; none fits today, it would wait until {quota['resets_at']}"
