"""A server of our own that speaks the OpenAI chat protocol: real HTTP, strict, with faults on demand.

    with OpenAI() as server:
        worker_environment |= environment(server)
        server.answers = ["no JSON at all", lambda body: "{}"]
        server.fault = lambda n, body: "503" if n == 1 else None

`bodies` holds what was asked, `violations` what a correct client would never have sent. A text is
the next of `answers`, else one that fits the schema it was sent and the length it was told.
`forms` are the kinds of `response_format` it knows, `limits` the names of an answer's most tokens. `models` are those it has.

`fault(n, body)` is asked once a call (n from 1 in all). It returns nothing, or one of

- a status (`400`, `401`, `429`, `503` …), with `:CODE` (the error's code), `:after=S` (Retry-After) or
  `:echo` (its message holds the key): refused;
- `redirect`: to an address that must not be followed;
- `refusal`, `content_filter`, `empty`, `cut` (finish_reason length, half the text): answered so;
- `nousage`: without usage; `garbage`: no JSON; `odd`: JSON of another shape; `huge`: without end;
- `drop`: the connection ends; `slow:S`: S seconds late; `drip`: a byte every tenth of a second.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import _gemini_answers as written
from _serving import Serving

Text = Callable[[dict[str, Any]], str]
Fault = Callable[[int, dict[str, Any]], str | None]
LIMITS = ("max_completion_tokens", "max_tokens")
_BODY = {"model", "messages", "stream", "response_format", *LIMITS}
_REASONS = {400: "invalid_request_error", 401: "invalid_api_key", 404: "model_not_found"}


class OpenAI(Serving):
    """The server; a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self.key = "sk-" + random.SystemRandom().randbytes(24).hex()
        self.reset()
        server = _Server(("127.0.0.1", 0), _Handler)
        server.openai = self
        self.serve(server)
        self.root = f"{self.address}/v1"

    def reset(self) -> None:
        """Forget what was asked and what is to be answered."""
        self.forms: tuple[str, ...] = ("json_schema", "json_object")
        self.models: tuple[str, ...] = ("tiny-1",)
        self.limits: tuple[str, ...] = LIMITS
        self.answers: Sequence[str | Text] = ()
        self.fault: Fault | None = None
        self.bodies: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self._taken = 0

    def asked(self, path: str, headers: Any, raw: bytes) -> tuple[int, dict[str, Any]]:
        """Note a call; return its number and its body, checked."""
        body = json.loads(raw)
        with self._lock:
            self.bodies.append(body)
            number = len(self.bodies)
            self.violations += _wrong(self, path, headers, body)
        return number, body

    def text(self, body: dict[str, Any]) -> str:
        """Return the next answer."""
        with self._lock:
            source = self.answers[self._taken] if self._taken < len(self.answers) else None
            self._taken += 1
        if source is not None:
            return source(body) if callable(source) else source
        form = body.get("response_format", {}).get("json_schema", {}).get("schema", _PLAIN)
        return written.written(form, "\n".join(one["content"] for one in body["messages"]))


_PLAIN = {
    "properties": {
        "title": {"type": "string"},
        "scenes": {
            "items": {
                "properties": {"heading": {"type": "string"}, "narration": {"type": "string"}}
            }
        },
    }
}
"""What it answers by where it is sent no schema."""


def _wrong(server: OpenAI, path: str, headers: Any, body: dict[str, Any]) -> list[str]:
    roles = [one.get("role") for one in body.get("messages", ())]
    turns = ["user" if n % 2 == 0 else "assistant" for n in range(len(roles) - 1)]
    form = body.get("response_format")
    limits = [name for name in LIMITS if name in body]
    checks = {
        f"path {path}": path == "/v1/chat/completions",
        "content type": headers.get("Content-Type") == "application/json",
        "key": headers.get("Authorization") == f"Bearer {server.key}",
        f"unknown fields {set(body) - _BODY}": set(body) <= _BODY,
        f"roles {roles}": roles == ["system", *turns] and roles[-1] == "user",
        "empty message": all(one["content"].strip() for one in body.get("messages", ())),
        "stream": body.get("stream") is False,
        "limits": all(0 < body[name] < 10**6 for name in limits) and len(limits) < 2,
        f"form {form}": form is None or form.get("type") in ("json_schema", "json_object"),
    }
    if form and form.get("type") == "json_schema":
        named = form["json_schema"]
        checks["name"] = bool(named.get("name")) and named.get("strict") is True
        checks["schema is not strict"] = _strict(named.get("schema"))
    return [name for name, right in checks.items() if not right]


def _strict(schema: Any) -> bool:
    """Tell whether a schema keeps the rules of strict mode: all required, nothing further."""
    if schema.get("type") == "array":
        return set(schema) <= {"type", "items"} and _strict(schema["items"])
    if schema.get("type") != "object":
        return set(schema) <= {"type"}
    inner = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False
    return closed and schema.get("required") == list(inner) and all(map(_strict, inner.values()))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    openai: OpenAI

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_GET(self) -> None:
        self.server.openai.violations.append(f"GET {self.path}")
        self._send(404, b"{}")

    def do_POST(self) -> None:
        server = self.server.openai
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number, body = server.asked(self.path, self.headers, raw)
        fault = (server.fault and server.fault(number, body)) or ""
        kind, _, rest = fault.partition(":")
        if kind == "slow":
            server.closing.wait(float(rest))
        form = body.get("response_format", {}).get("type")
        unknown = [name for name in LIMITS if name in body and name not in server.limits]
        if kind == "drop":
            self.close_connection = True
        elif kind == "redirect":
            self._send(307, b"", {"Location": f"{server.root}/stolen"})
        elif kind.isdigit():
            self._refuse(int(kind), rest)
        elif body.get("model") not in server.models:
            self._refuse(404, "")
        elif form is not None and form not in server.forms:
            self._refuse(400, f"message='response_format' of type {form!r} is not supported")
        elif unknown:
            self._refuse(400, f"message=Unsupported parameter: {unknown[0]!r}.")
        else:
            self._answer(kind, body)

    def _refuse(self, status: int, rest: str) -> None:
        code, message, headers = _REASONS.get(status, "error"), f"It is {status}.", {}
        if rest.startswith("after="):
            headers["Retry-After"] = rest[6:]
        elif rest.startswith("message="):
            message = rest[8:]
        elif rest == "echo":
            message = f"Incorrect API key provided: {self.server.openai.key}."
        elif rest:
            code = rest
        document = {"error": {"message": message, "type": "error", "param": None, "code": code}}
        self._send(status, json.dumps(document).encode(), headers)

    def _answer(self, fault: str, body: dict[str, Any]) -> None:
        if fault == "huge":
            self._endless()
            return
        text: str | None = self.server.openai.text(body)
        assert text is not None
        reason, refusal = "stop", None
        if fault == "cut":
            text, reason = text[: len(text) // 2], "length"
        elif fault == "content_filter":
            text, reason = "", "content_filter"
        elif fault == "refusal":
            text, refusal = None, "I can't help with that."
        elif fault == "empty":
            text = ""
        message = {"role": "assistant", "content": text, "refusal": refusal}
        sent = sum(len(one["content"]) for one in body["messages"]) // 4
        made = len(text or "") // 4 + 1
        document: Any = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_800_000_000,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {
                "prompt_tokens": sent,
                "completion_tokens": made,
                "total_tokens": sent + made,
            },
        }
        if fault == "nousage":
            del document["usage"]
        content = json.dumps(document).encode()
        content = {"garbage": b"<html>oops", "odd": b'[{"choices": 5}]'}.get(fault, content)
        self._send(200, content, drip=fault == "drip")

    def _endless(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(200):
                self.wfile.write(b" " * 1_000_000)
        self.close_connection = True

    def _send(
        self, status: int, body: bytes, more: dict[str, str] | None = None, *, drip: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(more or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not drip:
            self.wfile.write(body)
            return
        with contextlib.suppress(OSError):
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                if self.server.openai.closing.wait(0.1):
                    break


def environment(server: OpenAI) -> dict[str, str]:
    """Return the settings that let workers ask it."""
    return {
        "OPENAI_BASE_URL": server.root,
        "OPENAI_API_KEY": server.key,
        "OPENAI_MODEL": server.models[0],
    }
