"""How costs look in a terminal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from app import prices
from app.cli import output
from app.spending import Usage

COLUMNS = ["Service and model", "Calls", "Tokens in", "Tokens out", "Pictures", "Characters", "USD"]
AMOUNTS = ("calls", "input_tokens", "output_tokens", "pictures", "characters")


def show(spend: dict[str, Any]) -> None:
    """Print what services have cost; nothing where none was asked and there is no budget."""
    rows = [
        [row["model"], *(row[n] or "" for n in AMOUNTS), _usd(row["usd"])] for row in spend["rows"]
    ]
    if rows:
        output.table(COLUMNS, rows)
    if rows or spend["budget"] is not None:
        output.facts(None, as_json=False, lines=[f"  {'cost':<14}{whole(spend)}"])


def whole(spend: dict[str, Any]) -> str:
    """Return the sum of all costs in words, with the budget."""
    told = _usd(spend["known_usd"])
    if spend["unknown"]:
        told = f"unknown: at least {told}, and what {', '.join(spend['unknown'])} costs"
    budget = spend["budget"]
    return told if budget is None else f"{told} (budget {prices.shown(Decimal(str(budget)))})"


def forecast(planned: dict[str, Any]) -> str:
    """Return what an estimate says of costs."""
    calls = planned["paid_calls"]
    if calls == 0:
        return "no cost"
    if planned["usd"] is None:
        return f"about {calls} paid calls, cost unknown ({planned['usd_note']})"
    about = _usd(planned["usd"])
    return f"about {calls} paid calls, about {about} (prices of {planned['prices_of']})"


def dollars(usage: Usage) -> str:
    """Return what a use costs, in words."""
    usd = prices.price(usage)
    return "an unknown amount" if usd is None else prices.shown(usd)


def _usd(text: str | None) -> str:
    return prices.shown(None if text is None else Decimal(text))
