"""Scripts by any server that speaks the OpenAI chat protocol: OpenAI, OpenRouter, vLLM, Ollama."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from app import patience, settings, spending, throttle
from app.errors import InputError, PermanentError, ReelchainError, TransientError
from app.logs import masked
from app.models import Script
from app.providers import ScriptRequest, _writing
from app.providers._writing import Conversation, Reply
from app.spending import Usage

Form = Literal["schema", "object", "none"]
_WEAKER: dict[Form, Form] = {"schema": "object", "object": "none"}
_MOST_BYTES = 8_000_000
_PIECE = 65_536
_MESSAGE_LENGTH = 300
_KEY = re.compile(r"[\x21-\x7e]{1,1000}")
_FORM_REFUSED = re.compile(
    r"response_format|json_schema|json_object|structured|schema", re.IGNORECASE
)
_LIMITS = ("max_completion_tokens", "max_tokens")
"""How an answer is kept short: the name of today, and that of older servers."""
_BLOCKS = frozenset(("content_filter", "content_policy_violation", "moderation"))


class OpenAISettings(settings.Base):
    """What `.env.example` explains, field for field."""

    openai_base_url: str = Field(
        default="https://api.openai.com/v1", pattern=r"^https?://[^\s?#@]+$"
    )
    openai_api_key: SecretStr | None = None
    openai_model: str = Field(default="", pattern=r"^[A-Za-z0-9._:/@+-]{0,200}$")
    openai_timeout: float = Field(default=120, gt=0, le=3600)
    """Seconds after which a call is given up."""
    openai_at_once: int = Field(default=5, ge=1, le=100)
    """Calls that all workers together may have on their way."""
    openai_per_minute: int = Field(default=0, ge=0)
    """Calls that all workers together may begin in a minute; 0 is no limit."""
    openai_json: Form = "schema"
    """How the form of an answer is asked for; a server that refuses one is asked by the next."""

    @field_validator("openai_api_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _KEY.fullmatch(value.get_secret_value()):
            raise ValueError("a key is made of ASCII letters, digits and signs, without spaces")
        return value


def get() -> OpenAISettings:
    """Return the settings.

    Raises:
        InputError: `setting_invalid`.
    """
    return settings.load(OpenAISettings)


def ready() -> OpenAISettings:
    """Return the settings, made sure that they name a model; sends nothing.

    Raises:
        InputError: `setting_invalid`, `openai_model_missing`.
    """
    chosen = get()
    if not chosen.openai_model:
        raise InputError(
            "openai_model_missing",
            "No model is named for the writer of scripts.",
            "Set OPENAI_MODEL to one that the server at OPENAI_BASE_URL has.",
        )
    return chosen


class OpenAIWriter:
    """Writes a script by the model of `OPENAI_MODEL` at `OPENAI_BASE_URL`."""

    name: ClassVar[str] = "openai"
    version: ClassVar[str] = f"1 {_writing.VERSION}"

    def write(self, request: ScriptRequest) -> Script:
        """Return a script of `request.seconds` of speech.

        Raises:
            InputError: `openai_model_missing`.
            PermanentError: `script_unusable`, `script_length`; `openai_key_refused`,
                `openai_model_gone`, `openai_no_credit`, `openai_blocked` or `openai_refused`.
            TransientError: `openai_unavailable`, `openai_rate`, `openai_malformed`, `service_busy`.
            BudgetError: Before a call that may pass the budget.
        """
        return _writing.write(request, _Door(ready()).ask, name=self.name)


# -- one call -----------------------------------------------------------------------------------


class _Door:
    """Puts conversations to the server."""

    def __init__(self, chosen: OpenAISettings) -> None:
        self._set = chosen
        self._form = chosen.openai_json
        self._limits: tuple[str, ...] = _LIMITS
        self._name = f"{urlsplit(chosen.openai_base_url).hostname}:{chosen.openai_model}"

    def ask(self, conversation: Conversation) -> Reply:
        """Return the answer; a form or a limit that the server does not know is left out."""
        while True:
            try:
                return self._once(conversation)
            except _LimitRefused:
                self._limits = self._limits[1:]
            except _FormRefused as refused:
                weaker = _WEAKER.get(self._form)
                if weaker is None:
                    raise refused.error from None
                self._form = weaker

    def _once(self, conversation: Conversation) -> Reply:
        chosen, body = self._set, self._body(conversation)
        spent = sum(len(one["content"].encode()) for one in body["messages"]) // 3
        model = chosen.openai_model
        most = Usage(
            service="openai",
            model=model,
            input_tokens=spent,
            output_tokens=conversation.most_tokens,
        )
        turn = throttle.slot(
            self._name,
            at_once=chosen.openai_at_once,
            per_minute=chosen.openai_per_minute,
        )
        with turn, spending.call(most):
            status, headers, document = self._post(body)
            if status == 200:
                broken = document if isinstance(document, _Broken) else None
                spending.paid(_usage(None if broken else document, model, spent))
                if broken is not None:
                    raise _error(_LOST, 0, str(broken), None)
                return _reply(document, model)
            raise self._refused(status, headers, document)

    def _body(self, conversation: Conversation) -> dict[str, Any]:
        messages = [{"role": "system", "content": conversation.system}]
        roles = {"user": "user", "model": "assistant"}
        messages += [
            {"role": roles[turn.role], "content": turn.text} for turn in conversation.turns
        ]
        body: dict[str, Any] = {
            "model": self._set.openai_model,
            "messages": messages,
            "stream": False,
            # what the purse was asked for; thoughts count as well
            **dict.fromkeys(self._limits[:1], conversation.most_tokens),
        }
        if self._form == "schema":
            form = {"name": "script", "strict": True, "schema": conversation.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        elif self._form == "object":
            body["response_format"] = {"type": "json_object"}
        return body

    def _post(self, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        import requests

        chosen, end = self._set, time.monotonic() + self._set.openai_timeout
        try:
            with requests.post(
                f"{chosen.openai_base_url.rstrip('/')}/chat/completions",
                data=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                auth=self._sign,
                timeout=chosen.openai_timeout,
                allow_redirects=False,  # another address would get the key
                stream=True,
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                try:
                    return answer.status_code, headers, _json(_received(answer.raw, end))
                except _Broken as broken:
                    if answer.status_code == 200:
                        return 200, headers, broken  # no use, and paid for all the same
                    raise
        except (requests.RequestException, OSError, ValueError, _Broken) as error:
            told = self._hidden(str(error)) or type(error).__name__
            raise _error(_LOST, 0, told, None) from None
        except Exception as error:
            if type(error).__module__.startswith("urllib3"):  # what reading piece by piece raises
                raise _error(_LOST, 0, self._hidden(str(error)), None) from None
            raise

    def _sign(self, request: Any) -> Any:
        """Put the key on a request; also where there is none, or a `.netrc` would give its own."""
        if self._set.openai_api_key is not None:
            secret = self._set.openai_api_key.get_secret_value()
            request.headers["Authorization"] = f"Bearer {secret}"
        return request

    def _hidden(self, text: str) -> str:
        key = self._set.openai_api_key
        clean = text.replace(key.get_secret_value(), "***") if key is not None else text
        return " ".join(masked(clean).split())[:_MESSAGE_LENGTH]

    def _refused(self, status: int, headers: dict[str, str], document: Any) -> Exception:
        fact = _dict(_dict(document).get("error"))
        reason, message = str(fact.get("code") or fact.get("type") or ""), fact.get("message")
        told = self._hidden(message if isinstance(message, str) else str(document or ""))
        rule = _rule(status, reason[:80], told)
        patience = _patience(headers) if rule.kind is TransientError else None
        if rule is _RATE and patience:
            throttle.close(self._name, patience)
        error = _error(rule, status, told, patience)
        if rule is not _REFUSED or status not in (400, 422):
            return error
        named = f"{fact.get('param')} {told}"
        if any(name in named for name in self._limits):
            return _LimitRefused()
        form = self._form != "none" and _FORM_REFUSED.search(told)
        return _FormRefused(error) if form else error


def _received(raw: Any, end: float) -> bytes:
    """Return an answer's body, however slowly it drips, until its time is over."""
    received = bytearray()
    while piece := raw.read1(_PIECE, decode_content=True):
        received += piece
        if len(received) > _MOST_BYTES:
            raise _Broken("the answer is too large")
        if time.monotonic() > end:
            raise _Broken("the answer took too long")
    return bytes(received)


def _json(body: bytes) -> Any:
    """Return what a body says; None where it is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _reply(document: Any, model: str) -> Reply:
    """Return the words of an answer.

    Raises:
        PermanentError: `openai_blocked`.
        TransientError: `openai_malformed`.
    """
    choices = _dict(document).get("choices")
    choice = _dict(choices[0]) if isinstance(choices, list) and choices else {}
    message = _dict(choice.get("message"))
    refusal = message.get("refusal")
    if choice.get("finish_reason") == "content_filter" or (refusal and isinstance(refusal, str)):
        told = " ".join(masked(str(refusal or "content_filter")).split())[:_MESSAGE_LENGTH]
        raise _error(_BLOCKED, 200, told, None)
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise _error(_ODD, 200, "there are no words in it", None)
    answered = _dict(document).get("model")
    named = isinstance(answered, str) and re.fullmatch(r"[A-Za-z0-9._:/@+-]{1,80}", answered)
    return Reply(content, str(answered) if named else model)


def _usage(document: Any, model: str, sent: int) -> Usage:
    """Return what a call used; where the server does not say, it is guessed from the lengths."""
    if document is None:
        return Usage(service="openai", model=model)  # it counts as the most that was asked for
    told = _dict(_dict(document).get("usage"))
    counts = [told.get("prompt_tokens"), told.get("completion_tokens")]
    given = [one if type(one) is int and 0 <= one < 10**9 else None for one in counts]
    guessed = [sent, len(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")) // 3]
    used = [guess if one is None else one for one, guess in zip(given, guessed, strict=True)]
    return Usage(service="openai", model=model, input_tokens=used[0], output_tokens=used[1])


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


# -- refusals -------------------------------------------------------------------------------------


class _Broken(Exception):  # noqa: N818 - never leaves this file
    """An answer that was given up."""


class _LimitRefused(Exception):  # noqa: N818 - never leaves this file
    """The server does not know the limit, or not this one."""


class _FormRefused(Exception):  # noqa: N818 - never leaves this file
    """The server does not know the form that was asked for."""

    def __init__(self, error: ReelchainError) -> None:
        super().__init__(error.code)
        self.error = error


@dataclass(frozen=True)
class Rule:
    """What is done about a refusal: the error's class and code, what happened, what to do."""

    kind: type[ReelchainError]
    code: str
    told: str
    hint: str


_LOST = Rule(
    TransientError,
    "openai_unavailable",
    "The server of OPENAI_BASE_URL did not answer",
    "Look whether it runs and OPENAI_BASE_URL is right, then run the project again.",
)
_RATE = Rule(
    TransientError,
    "openai_rate",
    "The server of OPENAI_BASE_URL takes no more calls at the moment",
    "Run the project again in a while; OPENAI_PER_MINUTE keeps below the plan's limit.",
)
_ODD = Rule(
    TransientError,
    "openai_malformed",
    "The answer of OPENAI_BASE_URL can't be used",
    "Look whether the server speaks the OpenAI chat protocol, then run the project again.",
)
_KEYLESS = Rule(
    PermanentError,
    "openai_key_refused",
    "The server of OPENAI_BASE_URL does not take the key",
    "Set OPENAI_API_KEY to a key of that server.",
)
_CREDIT = Rule(
    PermanentError,
    "openai_no_credit",
    "The account at OPENAI_BASE_URL has no credit",
    "Add credit there, or use another SCRIPT_PROVIDER.",
)
_GONE = Rule(
    PermanentError,
    "openai_model_gone",
    "The server of OPENAI_BASE_URL has no such model or address",
    "Set OPENAI_MODEL to one that it has; OPENAI_BASE_URL usually ends with /v1.",
)
_BLOCKED = Rule(
    PermanentError,
    "openai_blocked",
    "The model does not answer this",
    "Say it in other words, or use another SCRIPT_PROVIDER: the same prompt is refused again.",
)
_REFUSED = Rule(
    PermanentError,
    "openai_refused",
    "The server of OPENAI_BASE_URL refused the request",
    "See its words; change the text, the model or the settings, then run the project again.",
)
BY_CODE: dict[int, Rule] = {
    **dict.fromkeys((408, 409, 425), _LOST),
    401: _KEYLESS,
    402: _CREDIT,
    403: _KEYLESS,
    404: _GONE,
    429: _RATE,
}
"""HTTP status → what is done where the reason says nothing else."""


def _rule(status: int, reason: str, told: str) -> Rule:
    if reason == "insufficient_quota":
        return _CREDIT
    if reason in _BLOCKS or (status == 403 and "moderation" in told):
        return _BLOCKED
    return BY_CODE.get(status) or (_LOST if status >= 500 else _REFUSED)


def _error(rule: Rule, status: int, told: str, patience: float | None) -> ReelchainError:
    facts = ", ".join(filter(None, (str(status or ""), told.rstrip("."))))
    return rule.kind(rule.code, f"{rule.told} ({facts}).", rule.hint, patience)


def _patience(headers: dict[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait."""
    return patience.retry_after(headers.get("retry-after"))
