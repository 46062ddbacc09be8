"""What Gemini's refusals mean, whichever SDK met them.

The table follows Google's troubleshooting guide of the Gemini API: which of its answers are worth
another try, which mean tomorrow or another model, and which are final.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app import patience
from app.errors import PermanentError, QuotaError, ReelchainError, TransientError
from app.logs import masked

OVERLOADED = frozenset((500, 502, 503, 504))
"""Codes that say the model has too much to do: after some tries another one may have less."""
ENDS = frozenset(("STOP", "MAX_TOKENS", "CONTINUATION"))
"""Reasons to end that are the caller's business."""
_MALFORMED = frozenset(("MALFORMED_RESPONSE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"))
_BLOCKS = (
    {"SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "LANGUAGE"}
    | {f"IMAGE_{reason}" for reason in ("SAFETY", "PROHIBITED_CONTENT", "RECITATION", "OTHER")}
    | {"NO_IMAGE"}
)
"""Reasons to end that come again with the same prompt; so does one nobody knows, with no content."""
_SLACK = 60.0
"""Seconds after midnight: who comes too early is refused for the old day, and waits another one."""
_MESSAGE_LENGTH = 300
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_NO_QUOTA = re.compile(r"\blimit: 0\b(?!\.\d)")


@dataclass(frozen=True)
class Refusal:
    """What an answer that is none says, in no SDK's words.

    Attributes:
        code: The HTTP status; 0 where no answer came.
        status: Google's name of the kind, such as RESOURCE_EXHAUSTED.
        reason: The ErrorInfo's, such as API_KEY_INVALID.
        quotas: Which quotas are used up, by their ids.
        limits: What those quotas are, as far as it is said.
        delay: The seconds that are asked for.
        message: What is told.
    """

    code: int
    status: str = ""
    reason: str = ""
    quotas: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    delay: float | None = None
    message: str = ""


class RefusedError(Exception):
    """There is no answer; `refusal` tells why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code, refusal.status)
        self.refusal = refusal


@dataclass(frozen=True)
class Rule:
    """What is done about a refusal.

    Attributes:
        kind: The class of the error.
        code: Its code.
        told: What happened, in our words.
        hint: What to do.
    """

    kind: type[ReelchainError]
    code: str
    told: str
    hint: str


_BUSY = Rule(
    TransientError,
    "gemini_unavailable",
    "Gemini did not answer",
    "Run the project again in a while, or name a second model or provider.",
)
_RATE = Rule(
    TransientError,
    "gemini_rate",
    "Gemini takes no more calls this minute",
    "Run the project again in a while; GEMINI_PER_MINUTE keeps below the plan's limit.",
)
_DAY = Rule(
    QuotaError,
    "gemini_quota",
    "Gemini's quota of the day is used up",
    "The project goes on by itself after midnight Pacific time; a second model in the setting "
    "has a quota of its own.",
)
_NONE = Rule(
    PermanentError,
    "gemini_no_quota",
    "The key's plan has no quota for this model",
    "Name another model, or switch billing on at aistudio.google.com.",
)
_KEY = Rule(
    PermanentError,
    "gemini_key_refused",
    "Gemini does not take the key",
    "Get a key at aistudio.google.com/apikey and set GEMINI_API_KEY.",
)
_PLACE = Rule(
    PermanentError,
    "gemini_precondition",
    "Gemini is not to be had from here, or not without billing",
    "See Gemini's words; switch billing on at aistudio.google.com, or use another provider.",
)
_GONE = Rule(
    PermanentError,
    "gemini_model_gone",
    "Gemini has no such model",
    "Name one that it has: ai.google.dev/gemini-api/docs/models.",
)
_REFUSED = Rule(
    PermanentError,
    "gemini_refused",
    "Gemini refused the request",
    "See Gemini's words; change the text, the model or the settings, then run the project again.",
)
_BLOCKED = Rule(
    PermanentError,
    "gemini_blocked",
    "Gemini does not answer this",
    "Say it in other words, or use another provider: the same prompt is refused again.",
)
_ODD = Rule(
    TransientError,
    "gemini_malformed",
    "Gemini's answer can't be used",
    "Run the project again.",
)

BY_REASON = {"API_KEY_INVALID": _KEY}
"""The ErrorInfo's reason → what is done."""
BY_CODE: dict[int, Rule] = {
    200: _ODD,
    **dict.fromkeys((0, 408, *OVERLOADED), _BUSY),
    401: _KEY,
    403: _KEY,
    404: _GONE,
}
"""HTTP status → what is done where the reason says nothing else."""


def explain(refusal: Refusal, model: str) -> ReelchainError:
    """Return one of our errors for a refusal of a model."""
    rule = _rule(refusal)
    said = " ".join(masked(refusal.message).split())[:_MESSAGE_LENGTH].rstrip(".")
    name = refusal.reason or refusal.status
    facts = [model, str(refusal.code or ""), name, said]
    patience = refusal.delay if rule.kind is TransientError else None
    if rule is _DAY:
        patience = until_midnight()
    told = f"{rule.told} ({', '.join(fact for fact in facts if fact)})."
    return rule.kind(rule.code, told, rule.hint, patience)


def _rule(refusal: Refusal) -> Rule:
    if refusal.code == 429:
        if "0" in refusal.limits or _NO_QUOTA.search(refusal.message):
            return _NONE
        return _DAY if any("PerDay" in quota for quota in refusal.quotas) else _RATE
    if refusal.code == 400 and refusal.status == "FAILED_PRECONDITION":
        return _PLACE
    found = BY_REASON.get(refusal.reason) or BY_CODE.get(refusal.code)
    return found or (_BUSY if refusal.code >= 500 else _REFUSED)


def _unread(model: str, why: str) -> ReelchainError:
    return _ODD.kind(_ODD.code, f"{_ODD.told} ({model}: {why}).", _ODD.hint)


def judged(*, model: str, block: str, finish: str, whole: bool) -> ReelchainError | None:
    """Return what is wrong with an answer that came.

    Args:
        model: Who answered.
        block: Why the prompt was blocked.
        finish: Why the answer ended.
        whole: Whether it holds what was asked for.
    """
    if block:
        told = f"{_BLOCKED.told} ({model}, the prompt: {block})."
        return _BLOCKED.kind(_BLOCKED.code, told, _BLOCKED.hint)
    if finish in _BLOCKS or not (whole or finish in _MALFORMED or finish in {"", *ENDS}):
        told = f"{_BLOCKED.told} ({model}, the answer: {finish})."
        return _BLOCKED.kind(_BLOCKED.code, told, _BLOCKED.hint)
    if finish in _MALFORMED or not whole:
        return _unread(model, f"{finish or 'no reason'}, and nothing in it")
    return None


def until_midnight(now: datetime | None = None) -> float:
    """Return the seconds until the quota's next day: midnight in California, and a little."""
    now = now or datetime.now(UTC)
    return (patience.next_quota_day(now) - now).total_seconds() + _SLACK


def read(code: int, document: Any, headers: Mapping[str, str], *, secret: str) -> Refusal:
    """Return what a refusal says.

    Args:
        code: The HTTP status.
        document: The answer's JSON, or whatever came in its place.
        headers: The answer's.
        secret: What is taken out of the message, should it be there.
    """
    fact = _dict(_dict(document[0] if isinstance(document, list) and document else document))
    fact = _dict(fact.get("error")) or fact
    details = [_dict(one) for one in _list(fact.get("details"))]
    violations = [_dict(v) for one in details for v in _list(one.get("violations"))]
    delays = [_seconds(one.get("retryDelay")) for one in details]
    delays.append(patience.retry_after(headers.get("retry-after")))
    return Refusal(
        code=code,
        status=_text(fact.get("status")),
        reason=next((_text(one["reason"]) for one in details if "reason" in one), ""),
        quotas=tuple(_text(one.get("quotaId")) for one in violations),
        limits=tuple(_text(one["quotaValue"]) for one in violations if "quotaValue" in one),
        delay=next((delay for delay in delays if delay is not None), None),
        message=_text(fact.get("message"), 4 * _MESSAGE_LENGTH).replace(secret, "***"),
    )


def lost(error: Exception, *, secret: str) -> Refusal:
    """Return the refusal for a connection that failed, or an answer that did not come in time."""
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Refusal(0, message=words.replace(secret, "***"))


def garbled(error: Exception) -> Refusal:
    """Return the refusal for an answer that can't be read."""
    return Refusal(200, message=f"it can't be read, {type(error).__name__}")


def _seconds(value: Any) -> float | None:
    found = _DELAY.fullmatch(value) if isinstance(value, str) else None
    return min(float(found[1]), patience.LONGEST) if found else None


def _text(value: Any, length: int = 80) -> str:
    return value[:length] if isinstance(value, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
