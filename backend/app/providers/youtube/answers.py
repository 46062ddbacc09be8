"""Fields of YouTube's answers, whatever they are."""

from __future__ import annotations

from typing import Any

from app.errors import TransientError


def items(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the items of a list's answer; what is none is left out."""
    found = answer.get("items")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def told(resource: dict[str, Any], *path: str) -> Any:
    """Return a field of a resource, None where it is not there."""
    found: Any = resource
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def unclear(what: str) -> TransientError:
    """Return the error of an answer that makes no sense."""
    return TransientError("youtube_unavailable", what, "Run the project again in a while.")
