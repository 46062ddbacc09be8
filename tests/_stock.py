"""Pexels and Pixabay of our own, with the host of their pictures: their protocols, over real HTTP.

    with StockHouse() as stock:
        environment |= stock.environment
        stock.fault = lambda call: "429" if call.kind == "search" else None

What no correct client sends is answered as the services do, and stands in `violations`: a key in
the wrong place, an unknown parameter, a value out of range, a key sent to the host of pictures, the
same search of Pixabay twice.

`fault(call)` is asked once a request and may want: a status (`429`, `429:7` with seconds to wait,
`503`, `400`), `drop` (no answer), `hang` (none until the end), and, of a picture, `html`, `empty`,
`broken` (cut within, and told to be whole), `short` (the connection ends in the middle), `huge`, `drip`
(a byte at a time), `moved:ADDRESS`, `tiny`; of a search, `none` (nothing found), `junk` (no JSON), `shape` (JSON
of another shape), `hostile` (names and addresses that mean harm).
"""

from __future__ import annotations

import colorsys
import functools
import io
import json
import socket
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from PIL import Image, ImageDraw

from _serving import Serving

PEXELS_KEY = "pexels-key-0123456789abcdefghijklmnopqrstuvwxyz"
PIXABAY_KEY = "12345678-0123456789abcdef0123456789"
HOSTILE = "Eve <script>\n../../etc\x00 key=1" + "x" * 500
PER_PAGE = {"pexels": (1, 80), "pixabay": (3, 200)}
_PEXELS = {"query", "orientation", "size", "color", "locale", "page", "per_page"}
_PIXABAY = {
    "key", "q", "lang", "id", "image_type", "orientation", "category", "min_width", "min_height",
    "colors", "editors_choice", "safesearch", "order", "page", "per_page", "callback", "pretty",
}  # fmt: skip
_SHAPES = {
    "landscape": (1200, 800),
    "horizontal": (1200, 800),
    "portrait": (800, 1200),
    "vertical": (800, 1200),
    "square": (1080, 1080),
}

Fault = Callable[["Asked"], str | None]


@dataclass
class Asked:
    """A request: `search` of a service, or `picture`."""

    kind: str
    service: str
    query: dict[str, str] = field(default_factory=dict)
    path: str = ""
    n: int = 1
    """How often the same was asked, this time included."""


class StockHouse(Serving):
    """The server; a context manager.

    Attributes:
        found: How many pictures a search finds.
        fault: Asked what is to go wrong.
        calls: What was asked, in order.
        violations: What no correct client sends.
        most_at_once: Most requests that were answered at the same time.
        seconds: How long each answer takes.
    """

    def __init__(self, *, found: int = 12, seconds: float = 0.0) -> None:
        super().__init__()
        self.found, self.seconds = found, seconds
        self.fault: Fault | None = None
        self.calls: list[Asked] = []
        self.violations: list[str] = []
        self.most_at_once = 0
        self._now = 0
        self._seen: Counter[str] = Counter()
        self.serve(_Server(self))
        self.root = self.address

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PEXELS_API_KEY": PEXELS_KEY,
            "PIXABAY_API_KEY": PIXABAY_KEY,
            "PEXELS_BASE_URL": f"{self.root}/pexels/",
            "PIXABAY_BASE_URL": f"{self.root}/pixabay/",
        }

    def of(self, kind: str) -> list[Asked]:
        return [call for call in self.calls if call.kind == kind]

    def begun(self, call: Asked) -> str | None:
        """Note a request; return its fault."""
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            told = f"{call.service} {call.path} {sorted(call.query.items())}"
            self._seen[told] += 1
            call.n = self._seen[told]
            self.calls.append(call)
        return self.fault(call) if self.fault else None

    def ended(self) -> None:
        with self._lock:
            self._now -= 1

    def complain(self, what: str) -> None:
        with self._lock:
            self.violations.append(what)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, house: StockHouse) -> None:
        self.house = house
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        at = urlsplit(self.path)
        query = dict(parse_qsl(at.query, keep_blank_values=True))
        _, service, *_rest = at.path.split("/")
        kind = "picture" if "/photos/" in at.path else "search"
        call = Asked(kind, service, query, at.path)
        fault = self.server.house.begun(call) or ""
        try:
            self.server.house.closing.wait(self.server.house.seconds)
            if fault in ("drop", "hang"):
                self.server.house.closing.wait(0 if fault == "drop" else 30)
                self.close_connection = True
            elif fault[:3].isdigit():
                self._refuse(service, fault)
            elif kind == "picture":
                self._picture(call, fault)
            else:
                self._search(call, fault)
        finally:
            self.server.house.ended()

    # -- searches -----------------------------------------------------------------------------

    def _search(self, call: Asked, fault: str) -> None:
        wrong = self._wrong(call)
        if wrong:
            status, text = wrong
            self.server.house.complain(f"{call.service}: {text}")
            self._answer(status, text.encode(), "text/plain; charset=utf-8")
        elif fault == "junk":
            self._answer(200, b"<html>Attention required</html>", "text/html")
        elif fault == "shape":
            self._json({"photos": {"0": 1}, "hits": [{"id": "x"}]})
        else:
            found = 0 if fault == "none" else self.server.house.found
            answer = _pexels if call.service == "pexels" else _pixabay
            self._json(
                answer(self.server.house.root, call.query, found, hostile=fault == "hostile")
            )

    def _wrong(self, call: Asked) -> tuple[int, str] | None:
        """Return the service's refusal of what a correct client does not send."""
        pexels = call.service == "pexels"
        key = self.headers.get("Authorization", "") if pexels else call.query.get("key", "")
        if key != (PEXELS_KEY if pexels else PIXABAY_KEY):
            return (401, "no key") if pexels else (400, "[ERROR 400] Invalid or missing API key")
        if not pexels and call.n > 1 and self.server.house.fault is None:
            self.server.house.complain("pixabay: the same search twice")
        query = call.query
        low, high = PER_PAGE[call.service]
        shapes = (
            ("landscape", "portrait", "square") if pexels else ("all", "horizontal", "vertical")
        )
        rules = {
            "its address": call.path == ("/pexels/v1/search" if pexels else "/pixabay/api/"),
            "unknown parameters": set(query) <= (_PEXELS if pexels else _PIXABAY),
            "a key in a header": pexels or "Authorization" not in self.headers,
            "nothing to search for": bool(query.get("query" if pexels else "q")),
            "too long": pexels or len(query["q"]) <= 100,
            "per_page": low <= int(query.get("per_page", low)) <= high,
            "orientation": query.get("orientation", shapes[0]) in shapes,
            "size": query.get("size", "small") in ("small", "medium", "large"),
            "lang": query.get("lang", "en") in ("en", "zh"),
            "locale": query.get("locale", "zh-TW") in ("en-US", "zh-TW", "ja-JP"),
        }
        broken = [name for name, kept in rules.items() if not kept]
        return (400, f"wrong: {broken[0]}") if broken else None

    def _refuse(self, service: str, fault: str) -> None:
        status, _, seconds = fault.partition(":")
        headers = {}
        if seconds:
            headers["X-RateLimit-Reset" if service == "pixabay" else "Retry-After"] = seconds
        self._answer(int(status), f"[ERROR {status}]".encode(), "text/plain", **headers)

    # -- pictures -----------------------------------------------------------------------------

    def _picture(self, call: Asked, fault: str) -> None:
        if "Authorization" in self.headers or "key" in call.query:
            self.server.house.complain(f"a key was sent to the host of pictures: {call.path}")
        if fault.startswith("moved:"):
            self._answer(302, b"", "text/plain", Location=fault.removeprefix("moved:"))
            return
        if fault == "html":
            self._answer(200, b"<html>Sign in</html>", "text/html")
            return
        if fault in ("empty", "disguise"):
            self._answer(200, b"<html></html>" if fault == "disguise" else b"", "image/jpeg")
            return
        name = call.path.rpartition("/")[2]
        size = (
            (100, 60)
            if fault == "tiny"
            else tuple(map(int, name.split(".")[0].split("-")[1].split("x")))
        )
        data = photo(call.path, size)  # type: ignore[arg-type] # two of them
        if fault == "broken":
            data = data[: len(data) // 3]
        if fault == "huge":
            data += b"\0" * 3_000_000
        kind = "image/png" if name.endswith(".png") else "image/jpeg"
        if fault in ("short", "drip"):
            self._slowly(data, kind, fault)
        else:
            self._answer(200, data, kind)

    def _slowly(self, data: bytes, kind: str, fault: str) -> None:
        self._head(200, len(data), kind)
        self.close_connection = True
        if fault == "short":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        for place in range(len(data)):
            if self.server.house.closing.wait(0.05):
                return
            self.wfile.write(data[place : place + 1])
            self.wfile.flush()

    # -- answers ------------------------------------------------------------------------------

    def _json(self, document: Any) -> None:
        self._answer(200, json.dumps(document).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self._head(status, len(body), kind, **headers)
        self.wfile.write(body)

    def _head(self, status: int, length: int, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _names(words: str, shape: str, number: int, hostile: bool) -> tuple[str, str, tuple[int, int]]:
    """Return a picture's number, its author's name and its size."""
    author = HOSTILE if hostile else f"Author {number % 3}"
    wide, high = _SHAPES.get(shape, (1200, 800) if number % 2 else (800, 1200))
    return str(zlib.crc32(f"{words} {number}".encode())), author, (wide, high)


def _pexels(root: str, query: dict[str, str], found: int, *, hostile: bool) -> dict[str, Any]:
    photos = []
    for n in range(min(found, int(query.get("per_page", "15")))):
        number, author, (wide, high) = _names(
            query["query"], query.get("orientation", ""), n, hostile
        )
        at = f"{root}/images/photos/{number}/photo-{wide}x{high}.jpg"
        photos.append(
            {
                "id": int(number),
                "width": wide,
                "height": high,
                "url": "javascript:alert(1)"
                if hostile
                else f"https://www.pexels.com/photo/{number}/",
                "photographer": author,
                "photographer_url": f"https://www.pexels.com/@{n}",
                "photographer_id": n,
                "avg_color": "#978E82",
                "src": dict.fromkeys(
                    (
                        "original",
                        "large2x",
                        "large",
                        "medium",
                        "small",
                        "portrait",
                        "landscape",
                        "tiny",
                    ),
                    "http://169.254.169.254/latest/meta-data/" if hostile else at,
                ),
                "liked": False,
                "alt": "A photograph",
            }
        )
    return {"total_results": found, "page": 1, "per_page": len(photos), "photos": photos}


def _pixabay(root: str, query: dict[str, str], found: int, *, hostile: bool) -> dict[str, Any]:
    hits = []
    for n in range(min(found, int(query.get("per_page", "20")))):
        number, author, (wide, high) = _names(query["q"], query.get("orientation", ""), n, hostile)
        scale = 1280 / max(wide, high)
        size = f"{round(wide * scale)}x{round(high * scale)}"
        large = f"{root}/images/photos/{number}/photo-{size}.png"
        hits.append(
            {
                "id": int(number),
                "pageURL": f"https://evil.example/{n}"
                if hostile
                else f"https://pixabay.com/photos/id-{number}/",
                "type": "photo",
                "tags": "one, two",
                "previewURL": f"{root}/images/photos/{number}/photo-150x100.jpg",
                "webformatURL": f"{root}/images/photos/{number}/photo-640x426.jpg",
                "largeImageURL": "file:///etc/passwd" if hostile else large,
                "imageWidth": wide,
                "imageHeight": high,
                "imageSize": 1_000_000,
                "user_id": n,
                "user": author,
                "userImageURL": "",
            }
        )
    return {"total": found, "totalHits": found, "hits": hits}


@functools.cache
def photo(name: str, size: tuple[int, int]) -> bytes:
    """Return a picture that looks like no other one: a horizon, a sun, hills of its own colour."""
    hue = zlib.crc32(name.encode()) / 2**32
    sky, ground = (
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue + turn, 0.5, light))
        for turn, light in ((0.0, 0.9), (0.35, 0.5))
    )
    wide, high = size
    image = Image.new("RGB", size, sky)
    pen = ImageDraw.Draw(image)
    pen.ellipse((wide * 0.6, high * 0.15, wide * 0.6 + high * 0.2, high * 0.35), fill="white")
    pen.polygon(
        [(0, high), (0, high * 0.6), (wide * 0.4, high * 0.5), (wide, high * 0.7), (wide, high)],
        fill=ground,
    )
    file = io.BytesIO()
    image.save(file, "PNG" if name.endswith(".png") else "JPEG", quality=85, compress_level=1)
    return file.getvalue()
