"""Log lines that say which project, stage and task they belong to, and never a secret."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

FORMAT = "%(asctime)s %(levelname)s %(context)s%(name)s: %(message)s"

_context: ContextVar[str] = ContextVar("log_context", default="")
_SECRET = re.compile(
    # a password may hold "/" and "@" by mistake: up to the last "@" then
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,30}://)[^\s/@:]*(?::\S{0,500})?@"
    r"|(?P<key>(?:key|token|secret|passw(?:or)?d|requirepass|upload_id)[\"']?\s*[=:]\s*(?:bearer\s+)?)"
    r"(?:(?P<quote>[\"'])(?:(?!(?P=quote)).)*(?P=quote)|[\"']?[^\s\"'&,;]+)"
    r"|(?P<bearer>\bbearer\s+)[^\s\"',;]+",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """Return `text` with passwords in addresses and values of secret-looking keys replaced."""
    return _SECRET.sub(_hidden, text)


def _hidden(match: re.Match[str]) -> str:
    if match["scheme"]:
        return f"{match['scheme']}***@"
    quote = match["quote"] or ""
    return f"{match['key'] or match['bearer']}{quote}***{quote}"


_PLAIN = logging.Formatter()


@contextmanager
def context(**facts: object) -> Iterator[None]:
    """Put `facts` (project, run, stage, task …) on every log line written inside."""
    inner = " ".join(f"{name}={value}" for name, value in facts.items() if value not in (None, ""))
    token = _context.set(f"{_context.get()}{inner} " if inner else _context.get())
    try:
        yield
    finally:
        _context.reset(token)


class ContextFilter(logging.Filter):
    """Adds `%(context)s` and masks secrets in the message and its traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.context = _context.get()
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            return True  # the handler tells of arguments that do not fit, and raises nothing
        clean = masked(message)
        if clean != message:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = masked(_PLAIN.formatException(record.exc_info))
        return True


def setup(level: str = "INFO") -> None:
    """Send the program's own log to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(ContextFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
