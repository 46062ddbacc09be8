"""What is kept of a publication, as it was read: what is not ours counts as lost."""

from __future__ import annotations

from typing import Any

from app.providers import Desk

_UPLOAD = {"uri": str, "digest": str, "size": int, "began": float}
"""Field of a session that was begun → its type."""


def load(desk: Desk) -> dict[str, Any]:
    """Return the facts a desk kept; with `lost` where some were damaged, so that all is looked for."""
    facts = desk.load()
    upload = facts.get("upload") or {}
    sound = (
        isinstance(upload, dict)
        and all(isinstance(upload.get(name), kind) for name, kind in _UPLOAD.items() if upload)
        and isinstance(facts.get("steps") or {}, dict)
        and isinstance(facts.get("video_id") or "", str)
        and all(
            _is_number(facts.get(name) or 0) for name in ("uploaded", "looked", "processing_since")
        )
    )
    if sound:
        return facts
    return {"marker": facts.get("marker"), "lost": True}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
