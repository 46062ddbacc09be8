"""The command `quota`: what the publisher's day still allows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from app.cli import output

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(quota)


def quota(json: Json = False) -> None:
    """Show today's quota: spent, reserved, left, when it is reset, how many more videos fit."""
    from app import ledger, settings

    publisher = settings.get().publisher
    found = [ledger.standing(tariff) for tariff in ledger.tariffs()]
    if json:
        output.facts({"publisher": publisher, "quotas": found}, as_json=True)
        return
    if not found:
        line = f"The publisher {publisher!r} has no quota: as many videos as you like."
        output.facts(None, as_json=False, lines=[line])
    for standing in found:
        _print(standing)


def _print(standing: dict[str, Any]) -> None:
    output.table(
        ["Quota", "Limit", "Spent", "Reserved", "Left", "One video", "Closed until"],
        [
            [
                row["bucket"],
                row["limit"],
                row["spent"],
                row["reserved"],
                row["left"],
                standing["cost"].get(row["bucket"], 0),
                _local(row["closed_until"]) if row["closed_until"] else "",
            ]
            for row in standing["buckets"]
        ],
    )
    hours, minutes = divmod(standing["resets_in"] // 60, 60)
    fits = standing["fits"]
    output.facts(
        None,
        as_json=False,
        lines=[
            f"{standing['service']}, key {standing['key']}, day {standing['day']} (Pacific).",
            f"Reset at {_local(standing['resets_at'])}, in {hours}:{minutes:02d} h.",
            f"{fits} more video{'' if fits == 1 else 's'} {'fits' if fits == 1 else 'fit'} today.",
            f"Prices and limits as of {standing['as_of']}, with your settings on top.",
        ],
    )


def _local(moment: str) -> str:
    """Return an ISO time by this machine's clock."""
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M %Z}"
