"""A project's book of what services cost: lines of its history, and their sums in its state.

A paid call is a line first. So a death between line and state costs nothing of the book: what the
lines hold and the state does not is taken over from them (`booked`, `settle`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app import prices
from app.errors import InputError
from app.project.folder import Project
from app.project.state import ProjectState, Spend
from app.project.store import EVENTS
from app.spending import Usage

CODE = "spend"
_AMOUNTS = ("calls", "input_tokens", "output_tokens", "pictures", "characters")


def line(usage: Usage, usd: Decimal | None) -> dict[str, Any]:
    """Return the facts of a paid call, for a line of the history."""
    return {**usage.model_dump(), "usd": None if usd is None else prices.plain(usd)}


def add(rows: dict[str, Spend], usage: Usage, usd: Decimal | None) -> None:
    """Add a paid call to the sums.

    Args:
        rows: `service/model` → its sum.
        usage: What the call used.
        usd: What it cost; None where that is not known.
    """
    row = rows.setdefault(f"{usage.service}/{usage.model}", Spend())
    for name in _AMOUNTS:
        setattr(row, name, getattr(row, name) + getattr(usage, name))
    if usd is None and prices.silent(usage):
        row.untold += usage.calls
    if usd is None or row.usd is None:
        row.usd = None
    else:
        row.usd = prices.plain(Decimal(row.usd) + usd)


def cost(name: str, row: Spend) -> Decimal | None:
    """Return what a row cost; one whose price was not known has today's, if there is one now."""
    if row.usd is not None:
        return Decimal(row.usd)
    service, _, model = name.partition("/")
    used = row.model_dump(include=set(_AMOUNTS))
    try:
        if row.untold and not prices.gratis(service, model):
            return None
        return prices.price(Usage(service=service, model=model, **used))
    except InputError:  # a wrong PRICES_FILE: that is told where work begins
        return None


def booked(folder: Path, state: ProjectState) -> dict[str, Spend]:
    """Return the sums of a project: those of its state, or of its history where that has more."""
    rows = told(folder)
    kept = {name: row.model_copy() for name, row in state.spend.items()}
    ahead = {n: row for n, row in rows.items() if n not in kept or row.calls > kept[n].calls}
    return kept | ahead


def told(folder: Path) -> dict[str, Spend]:
    """Return the sums of the lines of a project's history."""
    rows: dict[str, Spend] = {}
    for usage, usd in _lines(folder / EVENTS):
        add(rows, usage, usd)
    return rows


def settle(project: Project) -> None:
    """Take over into the state what only the history has; by whoever holds the project."""
    state = project.state()
    if booked(project.folder, state) != state.spend:
        with project.transaction() as state:
            state.spend = booked(project.folder, state)


def total(rows: Mapping[str, Spend]) -> tuple[Decimal, list[str]]:
    """Return what is known to have been spent, and the names of the rows whose cost is not known."""
    costs = {name: cost(name, row) for name, row in rows.items()}
    unknown = sorted(name for name, usd in costs.items() if usd is None)
    return sum((usd for usd in costs.values() if usd is not None), Decimal(0)), unknown


def together(books: Iterable[Mapping[str, Spend]]) -> dict[str, Spend]:
    """Return the sums over several projects."""
    rows: dict[str, Spend] = {}
    for book in books:
        for name, row in book.items():
            sums = rows.setdefault(name, Spend())
            for field in (*_AMOUNTS, "untold"):
                setattr(sums, field, getattr(sums, field) + getattr(row, field))
            usd = cost(name, row)
            known = sums.usd is not None and usd is not None
            sums.usd = prices.plain(Decimal(sums.usd or 0) + (usd or 0)) if known else None
    return rows


def facts(rows: Mapping[str, Spend]) -> dict[str, Any]:
    """Return the book as JSON values.

    Returns:
        `rows` (each with `model`, the amounts, and `usd` as text or null), `usd` (the whole; null
        where a part is not known), `known_usd` (of what is known) and `unknown` (the rest's names).
    """
    known, unknown = total(rows)
    listed = []
    for name, row in sorted(rows.items()):
        usd = cost(name, row)
        told = None if usd is None else prices.plain(usd)
        listed.append({"model": name, **row.model_dump(include=set(_AMOUNTS)), "usd": told})
    text = prices.plain(known)
    return {
        "rows": listed,
        "usd": None if unknown else text,
        "known_usd": text,
        "unknown": unknown,
    }


def _lines(path: Path) -> Iterator[tuple[Usage, Decimal | None]]:
    try:
        with path.open("rb") as lines:
            for raw in lines:
                found = _parsed(raw) if b'"spend"' in raw else None
                if found is not None:
                    yield found
    except OSError:
        return


def _parsed(raw: bytes) -> tuple[Usage, Decimal | None] | None:
    """Return what a line tells of a paid call; None for any other, or one that was cut short."""
    try:
        event = json.loads(raw)
        if event["code"] != CODE:
            return None
        used = {name: event[name] for name in ("service", "model", *_AMOUNTS)}
        usd = event["usd"]
        Spend(usd=usd)
        return Usage(**used), None if usd is None else Decimal(usd)
    except (ValueError, LookupError, TypeError, RecursionError, ValidationError):
        return None
