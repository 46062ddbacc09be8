"""A Gemini of our own: the Developer API over real HTTP, strict, with faults on demand.

    with Gemini() as gemini:
        worker_environment |= environment(gemini)
        gemini.fault = lambda point, facts: "503" if facts["n"] == 1 else None
        gemini.answers = ["no JSON at all", lambda prompt, body: "{}"]

`calls` tells what was asked and how it went, `peak` how many calls were on their way at once,
`violations` what a correct client would never have sent. A text is the next of `answers`, or what
`answers` returns if it is a function of prompt and body; else one that fits the schema it was sent
and the length that the prompt names. `delay` is how long each answer takes. `at_once` and
`per_minute` are the limits of a model, 0 for none: what goes past them is refused as Google does.

`fault(point, facts)` is asked once a call; the point is `text`, `picture`, `speech`, `countTokens`
or `models`; the facts are model, prompt, n (1 for the first time this point sees this prompt), and
call (which one in all). It returns nothing, or one of

- `302` (to another address of its own) `400` `400:region` `400:key` `400:echo` (its message holds the key) `401` `403` `404` `408` `413`
  `500` `502` (in HTML) `503` `504`: refused;
- `429` (without details), `429:minute`, `429:minute:S` (come again in S seconds), `429:day`,
  `429:none` (the plan has none): refused;
- `block:REASON`: the prompt is blocked; `finish:REASON`: an answer without content;
  `finish+:REASON`: with half of it; `empty`: neither candidates nor a reason;
- `cut`: MAX_TOKENS after half the text; `cut:0`: after none of it; `think`: thoughts, and fields
  and values that nobody has heard of; `prose`: a text where a picture or speech was wanted;
- `drop`: the connection ends; `lost`: the same, after the work was done (and charged);
  `garbage`: no JSON; `odd`: JSON of another shape; `slow:S`: S seconds later than usual;
  `drip` (or `503:drip`): a byte every twentieth of a second; `packed`: by gzip.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import random
import socket
import struct
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import _gemini_answers as answers
import _gemini_rules as rules
from _gemini_rules import Refusal
from _serving import Serving

Text = Callable[[str, dict[str, Any]], str]
Fault = Callable[[str, dict[str, Any]], str | None]
_GOOGLE = "type.googleapis.com/google.rpc."
_ENUMS = {
    "finishReason": "_ STOP MAX_TOKENS SAFETY RECITATION OTHER LANGUAGE BLOCKLIST "
    "PROHIBITED_CONTENT SPII MALFORMED_FUNCTION_CALL IMAGE_SAFETY",
    "blockReason": "_ SAFETY OTHER BLOCKLIST PROHIBITED_CONTENT IMAGE_SAFETY",
}
"""The numbers of the older SDK; names that came later have numbers that it does not know."""


@dataclass
class Call:
    """A request as it went.

    Attributes:
        at: When it came, in seconds of `time.monotonic`.
        want: `text`, `picture`, `speech`, `countTokens` or `models`.
        together: How many were on their way, this one counted.
        status: What was answered; 0 if nothing was.
        fault: What the test asked for.
        paid: What the answer's usageMetadata says.
    """

    at: float
    path: str
    model: str = ""
    want: str = ""
    system: str = ""
    prompt: str = ""
    pictures: int = 0
    body: dict[str, Any] = field(default_factory=dict)
    together: int = 0
    status: int = 0
    fault: str = ""
    paid: dict[str, int] = field(default_factory=dict)
    ended: float = 0.0


class _Cut(Exception):  # noqa: N818 - the connection's end is wanted
    """The connection ends without an answer."""


class Gemini(Serving):
    """The server; a context manager.

    Attributes:
        speaks: Turns a text and a voice into 16-bit mono samples at 24 kHz; None is a tone.
    """

    def __init__(self, *, delay: float = 0.0, at_once: int = 0, per_minute: int = 0) -> None:
        super().__init__()
        self.key = "AIza" + random.SystemRandom().randbytes(18).hex()[:35]
        self.delay, self.at_once, self.per_minute = delay, at_once, per_minute
        self.minute = 60.0
        self.models: tuple[str, ...] = rules.MODELS
        self.answers: Text | Sequence[str | Text] | None = None
        self.speaks: Callable[[str, str], bytes] | None = None
        self.fault: Fault | None = None
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self._taken = 0
        self._asked: Counter[tuple[str, str]] = Counter()
        self._open = 0
        server = _Server(("127.0.0.1", 0), _Handler)
        server.gemini = self
        self.serve(server)
        self.root = f"{self.address}/"

    @property
    def peak(self) -> int:
        """Return how many calls were on their way at the same time."""
        return max((call.together for call in self.calls), default=0)

    def asked(self, want: str) -> list[Call]:
        """Return the calls of one kind."""
        return [call for call in list(self.calls) if call.want == want]

    def secrets(self) -> list[str]:
        """Return what may stand nowhere."""
        return [self.key]

    # One request ---------------------------------------------------------------------------

    def answer(self, call: Call, headers: Any, query: dict[str, list[str]], raw: bytes) -> bytes:
        """Return the body of an answer.

        Raises:
            Refusal: It is an error.
            _Cut: There is none.
        """
        self._admit(headers.get("x-goog-api-key") or (query.get("key") or [""])[0])
        parts = urlsplit(call.path).path.strip("/").split("/")
        if parts[0] not in {"v1", "v1beta"} or parts[1:2] != ["models"]:
            raise Refusal(404, "NOT_FOUND", "Not Found", wrong=True)
        if call.want == "models":
            return json.dumps({"models": [{"name": f"models/{m}"} for m in self.models]}).encode()
        if len(raw) > rules.LARGEST:
            raise rules.invalid(f"Request payload size exceeds the limit: {rules.LARGEST} bytes.")
        try:
            body = json.loads(raw)
        except ValueError:
            raise rules.invalid("Invalid JSON payload received.") from None
        call.model, _, method = parts[2].partition(":")
        request = rules.read(body, counting=method == "countTokens")
        call.body = request
        self._understand(call, request)
        if call.model not in self.models:
            raise Refusal(404, "NOT_FOUND", f"models/{call.model} is not found for API version.")
        call.want = method if method == "countTokens" else rules.wanted(call.model, request)
        document = self._done(call, request)
        integers = any("enum-encoding=int" in value for value in query.get("$alt", ()))
        return json.dumps(_numbered(document) if integers else document).encode()

    def _admit(self, key: str) -> None:
        if not key:
            raise Refusal(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
        if key != self.key:
            raise _key_refused()

    def _understand(self, call: Call, request: dict[str, Any]) -> None:
        parts = [p for content in request.get("contents", ()) for p in content["parts"]]
        call.prompt = "\n".join(part["text"] for part in parts if "text" in part)
        call.pictures = sum("inlineData" in part for part in parts)
        system = request.get("systemInstruction", {}).get("parts", ())
        call.system = "\n".join(part.get("text", "") for part in system)

    def _done(self, call: Call, request: dict[str, Any]) -> Any:
        action = self._wanted_fault(call)
        kind, _, rest = action.partition(":")
        late = self._limits(call)
        self.closing.wait(self.delay + (float(rest) if kind == "slow" else 0))
        if kind == "drop":
            raise _Cut
        if late or (kind.isdigit() and len(kind) == 3):
            raise late or _refusal(action, self.key)
        if call.want == "countTokens":
            return {"totalTokens": len(call.prompt) // 4 + 1}
        if kind in {"garbage", "odd", "empty"}:
            return {"garbage": "<html>", "odd": {"candidates": 5}, "empty": {}}[kind]
        if kind == "block":
            call.paid = _usage(call, 0)
            return {"promptFeedback": {"blockReason": rest}, "usageMetadata": call.paid}
        document = self._made(call, request, action)
        if kind == "lost":
            raise _Cut
        return document

    def _wanted_fault(self, call: Call) -> str:
        with self._lock:
            self._asked[call.want, call.prompt] += 1
            count = self._asked[call.want, call.prompt]
        facts = {"model": call.model, "prompt": call.prompt, "n": count, "call": len(self.calls)}
        call.fault = (self.fault(call.want, facts) if self.fault else None) or ""
        return call.fault

    def _limits(self, call: Call) -> Refusal | None:
        """Return the refusal of a call that is one too many."""
        with self._lock:
            before = [c for c in self.calls if c.model == call.model and c is not call]
            open_now = sum(not c.ended for c in before)
            minute = sum(c.at > call.at - self.minute and c.status != 429 for c in before)
        if (self.at_once and open_now >= self.at_once) or (
            self.per_minute and minute >= self.per_minute
        ):
            return _refusal("429:minute:1", self.key)
        return None

    def _made(self, call: Call, request: dict[str, Any], action: str) -> dict[str, Any]:
        kind, _, rest = action.partition(":")
        parts, tokens = self._parts(call, request, prose=kind == "prose")
        finish = "STOP"
        if kind.startswith("finish"):
            finish, parts = rest, parts[:1] if kind == "finish+" else []
        most = request["generationConfig"].get("maxOutputTokens", 1 << 30)
        if call.want == "text" and (kind in {"cut", "finish+"} or tokens > most):
            text = parts[0]["text"]
            keep = 0 if rest == "0" else len(text) // 2 if kind else 4 * most
            parts = [{"text": text[:keep]}] if keep else []
            finish = finish if kind == "finish+" else "MAX_TOKENS"
            tokens = min(tokens, most)
        call.paid = _usage(call, tokens)
        candidate: dict[str, Any] = {"finishReason": finish, "index": 0}
        if parts:
            candidate["content"] = {"role": "model", "parts": parts}
        document = {
            "candidates": [candidate],
            "usageMetadata": call.paid,
            "modelVersion": call.model,
            "responseId": "r",
        }
        if kind == "think":
            candidate["content"]["parts"].insert(0, {"text": "Let me think.", "thought": True})
            candidate["content"]["parts"][1]["thoughtSignature"] = "c2lnbmF0dXJl"
            candidate["novelty"] = {"of": ["tomorrow"]}
            candidate["finishReason"] = "SOMETHING_NEW"
            call.paid["thoughtsTokenCount"] = 40
            call.paid["totalTokenCount"] += 40
        return document

    def _parts(
        self, call: Call, request: dict[str, Any], *, prose: bool
    ) -> tuple[list[dict[str, Any]], int]:
        """Return the parts of an answer, and how many tokens they are."""
        config = request["generationConfig"]
        if call.want == "text" or prose:
            text = "I can't do that." if prose else self._text(call, request)
            return [{"text": text}], len(text) // 4 + 1
        if call.want == "picture":
            aspect = config.get("imageConfig", {}).get("aspectRatio", "1:1")
            data = answers.drawn(aspect, zlib.crc32(call.prompt.encode()))
            picture = {"inlineData": {"mimeType": "image/png", "data": _base64(data)}}
            return [{"text": "Here it is."}, picture], 1290
        voice = config.get("speechConfig", {}).get("voiceConfig", {}).get("prebuiltVoiceConfig", {})
        name = voice.get("voiceName", "Kore")
        samples = self.speaks(call.prompt, name) if self.speaks else answers.spoken(call.prompt)
        mime, data = "audio/L16;codec=pcm;rate=24000", samples
        if rules.whole_wav(call.model):
            mime, data = "audio/wav", answers.wav(samples)
        tokens = len(samples) * 25 // (2 * answers.RATE) + 1
        return [{"inlineData": {"mimeType": mime, "data": _base64(data)}}], tokens

    def _text(self, call: Call, request: dict[str, Any]) -> str:
        source: str | Text | None = None
        if callable(self.answers):
            source = self.answers
        elif self.answers is not None:
            with self._lock:
                if self._taken < len(self.answers):
                    source = self.answers[self._taken]
                    self._taken += 1
        if source is not None:
            return source(call.prompt, request) if callable(source) else source
        config = request["generationConfig"]
        schema = config.get("responseJsonSchema") or config.get("responseSchema")
        return answers.written(schema, call.prompt)

    # What the handler tells ------------------------------------------------------------------

    def begun(self, path: str) -> Call:
        """Note that a request came."""
        with self._lock:
            self._open += 1
            call = Call(time.monotonic(), path, together=self._open)
            self.calls.append(call)
        return call

    def ended(self, call: Call) -> None:
        """Note that a request is done with."""
        with self._lock:
            self._open -= 1
            call.ended = time.monotonic()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _usage(call: Call, tokens: int) -> dict[str, int]:
    asked = (len(call.prompt) + len(call.system)) // 4 + 1 + 258 * call.pictures
    return {
        "promptTokenCount": asked,
        "candidatesTokenCount": tokens,
        "totalTokenCount": asked + tokens,
    }


def _key_refused() -> Refusal:
    info = {"@type": f"{_GOOGLE}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    message = "API key not valid. Please pass a valid API key."
    return Refusal(400, "INVALID_ARGUMENT", message, [info])


def _refusal(action: str, key: str) -> Refusal:
    code, _, rest = action.partition(":")
    if code == "429":
        return _quota(rest)
    if action == "400:key":
        return _key_refused()
    if action == "400:region":
        message = "User location is not supported for the API use."
        return Refusal(400, "FAILED_PRECONDITION", message)
    status, message = {
        "302": ("", "Moved."),
        "400": ("INVALID_ARGUMENT", f"Wrong: {key}" if rest == "echo" else "Wrong."),
        "401": ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
        "403": ("PERMISSION_DENIED", "Your API key was reported as leaked."),
        "404": ("NOT_FOUND", "The model is not found for API version."),
        "408": ("CANCELLED", "Request timed out."),
        "413": ("INVALID_ARGUMENT", "Too large."),
        "500": ("INTERNAL", "An internal error has occurred."),
        "502": ("", "<!DOCTYPE html><title>Error 502 (Server Error)!!1</title>"),
        "503": ("UNAVAILABLE", "The model is overloaded. Please try again later."),
        "504": ("DEADLINE_EXCEEDED", "The deadline expired before it could be processed."),
    }[code]
    return Refusal(int(code), status, message)


def _quota(kind: str) -> Refusal:
    name, _, seconds = kind.partition(":")
    message = "You exceeded your current quota, please check your plan and billing details."
    if not name:
        return Refusal(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.")
    per = "Minute" if name == "minute" else "Day"
    violation = {"quotaId": f"GenerateRequestsPer{per}PerProjectPerModel-FreeTier"}
    if name == "none":
        message += " * Quota exceeded for metric: generate_content_free_tier_requests, limit: 0"
    else:
        violation["quotaValue"] = "10"
    return Refusal(
        429,
        "RESOURCE_EXHAUSTED",
        message,
        [
            {"@type": f"{_GOOGLE}QuotaFailure", "violations": [violation]},
            {"@type": f"{_GOOGLE}RetryInfo", "retryDelay": f"{seconds or 38}s"},
        ],
    )


def _numbered(value: Any, name: str = "") -> Any:
    """Return an answer with numbers for its enums, as the older SDK asks for it."""
    if isinstance(value, dict):
        return {key: _numbered(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbered(inner) for inner in value]
    if name not in _ENUMS:
        return value
    names = _ENUMS[name].split()
    return names.index(value) if value in names else 50 + zlib.crc32(value.encode()) % 50


class _Handler(BaseHTTPRequestHandler):
    """One connection; any number of requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        self._serve("models")

    def do_POST(self) -> None:
        self._serve("")

    def _serve(self, want: str) -> None:
        gemini = self.server.gemini
        address = urlsplit(self.path)
        call = gemini.begun(address.path)  # its query may hold the key
        call.want = want
        try:
            raw = self._read()
            body, kind = gemini.answer(call, self.headers, parse_qs(address.query), raw), "json"
            call.status = 200
        except Refusal as refusal:
            call.status = refusal.code
            if refusal.wrong:
                gemini.violations.append(f"{call.path}: {refusal}")
            html = str(refusal).startswith("<")
            body = str(refusal).encode() if html else json.dumps(refusal.document).encode()
            kind = "html" if html else "json"
        except _Cut:
            self.close_connection = True
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return
        finally:
            gemini.ended(call)
        if call.fault == "garbage":
            body = b"<html>this is not JSON"
        if call.fault.endswith("drip"):
            self._drip(call.status, body)
        else:
            self._send(call.status, body, kind, packed=call.fault == "packed")

    def _read(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        if len(raw) < length:  # the client died while it asked
            raise _Cut
        return raw

    def _drip(self, status: int, body: bytes) -> None:
        with contextlib.suppress(OSError):  # the client has had enough
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                self.wfile.flush()
                if self.server.gemini.closing.wait(0.05):
                    break
        self.close_connection = True

    def _send(self, status: int, body: bytes, kind: str, *, packed: bool = False) -> None:
        body = gzip.compress(body) if packed else body
        with contextlib.suppress(OSError):  # the client has gone
            self.send_response(status)
            mime = "text/html" if kind == "html" else "application/json"
            self.send_header("Content-Type", f"{mime}; charset=UTF-8")
            if status == 302:
                self.send_header("Location", f"{self.server.gemini.root}v1/models")
            self.send_header("Content-Length", str(len(body)))
            if packed:
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    gemini: Gemini

    def shutdown_request(self, request: Any) -> None:
        """Close without the polite FIN of the base class, which would come before a RST."""
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away; a fault in here must not pass for one of theirs."""
        text = traceback.format_exc()
        if "ConnectionResetError" not in text and "BrokenPipeError" not in text:
            self.gemini.violations.append(text)


def environment(server: Gemini) -> dict[str, str]:
    """Return the settings that let workers ask it."""
    return {"GEMINI_API_KEY": server.key, "GEMINI_BASE_URL": server.root}
