"""What both SDKs have to know of a question before they send it."""

from __future__ import annotations

import re

_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?-")
_STYLED_FROM = (3, 8)


def picture_mime(data: bytes) -> str:
    """Return the MIME type of a PNG or JPEG."""
    return "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"


def takes_style(model: str) -> bool:
    """Tell whether a speaking model takes the style apart from the text, which it reads aloud."""
    found = _VERSION.match(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= _STYLED_FROM


def spoken(model: str, text: str, style: str) -> str:
    """Return the text as it is sent: older models are told the style in front of it."""
    return text if not style or takes_style(model) else f"{style.rstrip(' .:')}: {text}"
