"""Every way in which Gemini refuses, and what it becomes: for both of Google's SDKs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "scenes": {"type": "array", "items": {"$ref": "#/$defs/Scene"}},
    },
    "required": ["title", "scenes"],
    "$defs": {"Scene": {"type": "object", "properties": {"narration": {"type": "string"}}}},
}
INLINE = {
    **SCHEMA,
    "properties": {
        **SCHEMA["properties"],
        "scenes": {"type": "array", "items": SCHEMA["$defs"]["Scene"]},
    },
}
WISH = "A hill. All narration together has between 95 and 105 words, in about 4 scenes."


@dataclass(frozen=True)
class Case:
    """A fault of the local Gemini, and the error it ends in.

    Attributes:
        fault: What the server does.
        kind: The error's class.
        code: Its code.
        wait: The seconds it asks for; -1 is until midnight in California.
        says: What its message holds.
        model: Who is asked, by its kind.
        alone: Whether the older SDK can't tell it apart.
    """

    fault: str
    kind: str
    code: str
    wait: float | None = None
    says: str = ""
    want: str = "text"
    alone: bool = False


def _blocked(fault: str, want: str = "text") -> Case:
    reason = fault.partition(":")[2]
    known = want == "text" or reason == "IMAGE_SAFETY"
    return Case(fault, "PermanentError", "gemini_blocked", says=reason if known else "", want=want)


CASES = (
    Case("302", "PermanentError", "gemini_refused", says="302", alone=True),
    Case("400", "PermanentError", "gemini_refused", says="INVALID_ARGUMENT, Wrong"),
    Case("400:echo", "PermanentError", "gemini_refused", says="***"),
    Case("400:region", "PermanentError", "gemini_precondition", says="location is not supported"),
    Case("400:key", "PermanentError", "gemini_key_refused", says="API_KEY_INVALID"),
    Case("401", "PermanentError", "gemini_key_refused", says="401"),
    Case("403", "PermanentError", "gemini_key_refused", says="reported as leaked"),
    Case("404", "PermanentError", "gemini_model_gone", says="404"),
    Case("408", "TransientError", "gemini_unavailable", says="408"),
    Case("413", "PermanentError", "gemini_refused", says="413"),
    Case("429", "TransientError", "gemini_rate", says="429"),
    Case("429:minute:7", "TransientError", "gemini_rate", wait=7, says="current quota"),
    Case("429:day", "QuotaError", "gemini_quota", wait=-1, says="current quota"),
    Case("429:none", "PermanentError", "gemini_no_quota", says="limit: 0"),
    Case("500", "TransientError", "gemini_unavailable", says="INTERNAL"),
    Case("502", "TransientError", "gemini_unavailable", says="502"),
    Case("503", "TransientError", "gemini_unavailable", says="overloaded"),
    Case("504", "TransientError", "gemini_unavailable", says="DEADLINE_EXCEEDED"),
    Case("drop", "TransientError", "gemini_unavailable"),
    Case("lost", "TransientError", "gemini_unavailable"),
    Case("slow:60", "TransientError", "gemini_unavailable"),
    Case("garbage", "TransientError", "gemini_malformed"),
    Case("odd", "TransientError", "gemini_malformed"),
    Case("empty", "TransientError", "gemini_malformed"),
    *(
        _blocked(f"block:{reason}")
        for reason in ("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "IMAGE_SAFETY", "OTHER")
    ),
    *(
        _blocked(f"{fault}:{reason}")
        for fault in ("finish", "finish+")
        for reason in (
            "SAFETY",
            "PROHIBITED_CONTENT",
            "BLOCKLIST",
            "SPII",
            "RECITATION",
            "LANGUAGE",
        )
    ),
    *(
        _blocked(f"finish:{reason}", "picture")
        for reason in (
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "IMAGE_OTHER",
            "NO_IMAGE",
        )
    ),
    Case("finish:STOP", "TransientError", "gemini_malformed", says="STOP"),
    Case("prose", "TransientError", "gemini_malformed", want="picture"),
    Case("prose", "TransientError", "gemini_malformed", want="speech"),
    Case(
        "finish:MALFORMED_RESPONSE",
        "TransientError",
        "gemini_malformed",
        says="MALFORMED_RESPONSE",
        alone=True,
    ),
    Case(
        "finish+:MALFORMED_RESPONSE",
        "TransientError",
        "gemini_malformed",
        says="MALFORMED_RESPONSE",
        alone=True,
    ),
)
_MODELS = {"text": "gemini-3.8-flash", "picture": "gemini-3.1-flash-image"}


def name(case: Case) -> str:
    """Return the name of a case."""
    return f"{case.fault}-{case.want}"


def model(case: Case, number: int) -> str:
    """Return a model that no other case asks: a refusal may close it for a while."""
    return f"{_MODELS.get(case.want, 'gemini-3.8-flash-tts')}-{number}"
