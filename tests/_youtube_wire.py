"""HTTP as the local YouTube speaks it: requests, answers, and connections that end badly."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from _youtube_parts import Call
from _youtube_rules import Refusal, wrong

if TYPE_CHECKING:
    from _youtube import YouTube

PIECE = 256 * 1024


class Cut(Exception):  # noqa: N818 - the connection's end is wanted
    """The connection ends without an answer: with a RST, or with a FIN."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class Body:
    """A request's body, read in pieces so that nothing large is ever kept."""

    def __init__(self, stream: Any, length: int) -> None:
        self._stream, self.length, self.received, self.broken = stream, length, 0, False

    def pieces(self, limit: int | None = None) -> Iterator[bytes]:
        """Yield what comes, up to a limit, until the client has gone."""
        end = self.length if limit is None else min(limit, self.length)
        while self.received < end and not self.broken:
            try:
                piece = self._stream.read1(min(end - self.received, PIECE))
            except OSError:
                piece = b""
            self.broken = not piece
            self.received += len(piece)
            if piece:
                yield piece


@dataclass
class Answer:
    """What goes back."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, document: Any, **headers: str) -> Answer:
        kind = {"Content-Type": "application/json; charset=UTF-8"}
        body = json.dumps(document, ensure_ascii=False, indent=2).encode()
        return cls(status, body, kind | headers)


@dataclass
class Request:
    """What came: the head, the body as a stream, and its line in the list of calls."""

    call: Call
    path: str
    query: dict[str, str]
    headers: Any
    stream: Body
    body: bytes = b""
    parts: list[str] = field(default_factory=list)

    def header(self, name: str) -> str:
        return str(self.headers.get(name, ""))

    def content_type(self) -> str:
        return self.header("Content-Type").partition(";")[0].strip().lower()

    def load(self) -> None:
        """Read the whole body into memory."""
        self.body += b"".join(self.stream.pieces())
        self.drain()

    def drain(self) -> None:
        """Read what is left; a request that never came to its end was never asked."""
        for _ in self.stream.pieces():
            pass
        if self.stream.broken:
            raise Cut(reset=False)


class Handler(BaseHTTPRequestHandler):
    """One connection; any number of requests."""

    protocol_version = "HTTP/1.1"
    server_version = "UploadServer"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.opened(self.connection)

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def _serve(self) -> None:
        call = Call(self.server.youtube.clock(), "?")
        try:
            answer = self._answered(call)
        except Cut as cut:
            self._cut(reset=cut.reset)
            return
        finally:
            self.server.youtube.calls.append(call)
        self._send(call, answer)

    def _answered(self, call: Call) -> Answer:
        youtube = self.server.youtube
        try:
            request = self._request(call)
        except Refusal as refusal:
            self.close_connection = True
            return self._refused(call, refusal)
        try:
            answer = youtube.answer(request)
            request.drain()
        except Refusal as refusal:
            request.drain()
            return self._refused(call, refusal)
        except Cut:
            raise
        except Exception:  # noqa: BLE001 - a fault in here must not pass for one of the client
            youtube.complain(call, traceback.format_exc())
            request.drain()
            return Answer.json(500, Refusal(500, "internalError", "A fault.").document())
        finally:
            call.sent = request.stream.received
        return answer

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve  # noqa: N815 - names of the base class

    def _request(self, call: Call) -> Request:
        address = urlsplit(self.path)
        call.name = self.server.youtube.name_of(self.command, address.path, self.headers)
        length = self.headers.get("Content-Length", "0" if self.command == "GET" else "")
        if not length.isdigit():
            raise wrong("badRequest", "Content-Length is missing.", 411)
        call.length = int(length)
        query: dict[str, str] = {}
        for key, value in parse_qsl(address.query, keep_blank_values=True):
            if key in query and key != "part":
                raise wrong("badRequest", f"Parameter {key!r} comes twice.")
            query[key] = f"{query[key]},{value}" if key in query else value
        return Request(call, address.path, query, self.headers, Body(self.rfile, call.length))

    def _refused(self, call: Call, refusal: Refusal) -> Answer:
        call.reason = refusal.reason
        if refusal.wrong:
            self.server.youtube.complain(call, f"{refusal.reason}: {refusal.message}")
        answer = Answer.json(refusal.status, refusal.document())
        if refusal.status == 401:
            realm = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
            answer.headers["WWW-Authenticate"] = realm
        return answer

    def _send(self, call: Call, answer: Answer) -> None:
        call.status = answer.status
        try:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            self.wfile.flush()
        except OSError:
            call.status = 0
            self.close_connection = True

    def _cut(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


class Server(ThreadingHTTPServer):
    """The listening socket and its connections."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, youtube: YouTube) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.youtube = youtube
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._loop = threading.Thread(target=self._accept, daemon=True)
        self._loop.start()

    def _accept(self) -> None:
        while not self._closing:
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not self._closing

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self._open[connection] = threading.current_thread()

    def shutdown_request(self, request: Any) -> None:
        """Close without the polite FIN of the base class, which would come before a RST."""
        with self._lock:
            self._open.pop(request, None)
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away between two requests."""
        text = traceback.format_exc()
        if "ConnectionResetError" not in text and "BrokenPipeError" not in text:
            self.youtube.violations.append(text)

    def stop(self) -> None:
        """Close everything and wait for the connections' threads."""
        self._closing = True
        with contextlib.suppress(OSError):  # wakes the loop, which would wait for ever
            socket.create_connection(("127.0.0.1", self.server_port), timeout=5).close()
        self._loop.join(5)
        self.server_close()
        with self._lock:
            left = dict(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in left.values():
            thread.join(5)


def form(body: bytes) -> dict[str, str]:
    """Return the fields of a form that was sent."""
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def refusal(action: str) -> Answer | Refusal | None:
    """Return what a fault that only refuses answers, or nothing."""
    kind, _, rest = action.partition(":")
    if kind == "refuse":
        status, _, reason = rest.partition(":")
        return Refusal(int(status), reason, f"Refused: {reason}.")
    if kind == "429":
        return Refusal(429, "rateLimitExceeded", "Too many requests a minute.")
    if kind in {"500", "503"}:
        return Refusal(int(kind), "backendError", "Backend Error")
    if kind in {"502", "504"}:
        text = f"<!DOCTYPE html><title>Error {kind} (Server Error)!!1</title>"
        return Answer(int(kind), text.encode(), {"Content-Type": "text/html; charset=UTF-8"})
    if kind == "retry-after":
        answer = Refusal(503, "backendError", "Backend Error").document()
        return Answer.json(503, answer, **{"Retry-After": rest})
    return None


ALWAYS = {"500", "502", "503", "504", "429", "drop", "mid", "lost", "401", "kill", "do+kill"}
_TIMED = {"retry-after", "slow", "refuse"}
_ADDRESS = {"expire", "gone", "move"}
_MORE = {
    "videos.insert.chunk": {*_ADDRESS, "short", "mid+kill"},
    "videos.insert.last": {*_ADDRESS, "short", "mid+kill", "finish+expire"},
    "videos.insert.status": _ADDRESS,
}


def check_action(point: str, action: str) -> None:
    """A test that asks for what cannot happen at that point is told so."""
    kind = action.partition(":")[0]
    known = ALWAYS | _TIMED | _MORE.get(point, set())
    if kind not in known or (kind in _TIMED) != (":" in action):
        raise ValueError(f"the fault {action!r} does not exist at {point}")
