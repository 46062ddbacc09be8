"""What the projects' own history tells of the quota: so a lost database costs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from app.records._quota import Closing, Entry, Hold, Recalled

_CODES = {"quota", "quota_reserved", "quota_released", "quota_refused"}


def recalled(folders: Mapping[int, Path], day: str, active: Iterable[int] = ()) -> Recalled:
    """Return what projects have booked on a day, what they keep reserved, what was refused them.

    Args:
        folders: Project id → its folder; only those whose history may tell of the day.
        day: The Pacific day, ISO 8601.
        active: Projects whose run is on its way: only they keep a reservation.
    """
    found, alive = Recalled([], [], []), set(active)
    for number, folder in folders.items():
        holds: dict[tuple[str, str, str], Hold] = {}
        for event in _events(folder):
            try:
                _take(found, holds, event, number, day)
            except (LookupError, TypeError, ValueError, AttributeError):
                continue  # a line that somebody else wrote
        if number in alive:
            found.holds.extend(holds.values())
    return found


def _take(
    found: Recalled,
    holds: dict[tuple[str, str, str], Hold],
    event: dict[str, Any],
    number: int,
    day: str,
) -> None:
    code = event["code"]
    if code == "quota_released":
        holds.clear()
        return
    service, key_id = str(event["service"]), str(event["key"])
    if code == "quota_reserved":
        for known in [k for k in holds if k[:2] == (service, key_id)]:
            del holds[known]
        for bucket, units in event["units"].items():
            hold = Hold(str(event["entry"]), service, key_id, bucket, int(units), number)
            holds[service, key_id, bucket] = hold
        return
    bucket = str(event["bucket"])
    if code == "quota_refused":
        until, whole = str(event["until"]), event.get("day")
        found.closings.append(Closing(service, key_id, bucket, until, whole and str(whole)))
        return
    units, entry, call = int(event["units"]), str(event["entry"]), str(event["call"])
    if event["day"] == day:
        found.entries.append(Entry(entry, day, service, key_id, bucket, units, call, number))
    if (kept := holds.get((service, key_id, bucket))) is not None:
        left = max(0, kept.units - units)
        holds[service, key_id, bucket] = kept._replace(units=left)


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        with (folder / "events.jsonl").open("rb") as lines:
            for line in lines:
                if b'"quota' not in line:
                    continue
                try:
                    event = json.loads(line)
                except (ValueError, RecursionError):  # a line that a crash cut short
                    continue
                if isinstance(event, dict) and event.get("code") in _CODES:
                    yield event
    except OSError:
        return
