"""A YouTube of our own: the protocol in all its strictness, over real HTTP, with faults on demand.

    with YouTube() as youtube:
        worker_environment |= environment(youtube, folder)
        youtube.fault = lambda point, facts: "lost" if point == "videos.insert.last" else None

`videos`, `playlists`, `sessions`, `calls` tell what came to be; `violations` what a correct client
would never have asked. Bytes are hashed as they arrive and not kept.

`fault(point, facts)` is asked once a request. The point is the call's name, or `videos.insert.last`
for the chunk that ends the file; the facts are marker, video, offset, size (of the file; else of the
body), point and n (1 for the first time this point is asked for this marker). What it may want:

- `500` `502` `503` `504` `429` `retry-after:S` `refuse:STATUS:REASON`: answered, nothing stored;
- `401`: the same, and all access tokens are dead; `slow:S`: S seconds late;
- `drop`: no answer, nothing stored; `mid`: the connection is reset half-way, some of it is stored;
  `lost`: all is done, and no answer given;
- `kill`: `on_kill(facts)`, then as `drop`; `do+kill`: as `lost`; chunks also `mid+kill`;
- chunks and status queries: `expire` (404 from now on), `gone` (410), `move` (308, a new address);
- chunks: `short` (308, less was kept than sent); the last one: `finish+expire` (the video comes to
  be, the session dies, no answer).
"""

from __future__ import annotations

import base64
import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

import _youtube_methods as methods
import _youtube_rules as rules
import _youtube_uploads as uploads
from _youtube_oauth import Accounts, OAuthRefusal
from _youtube_parts import Call, Playlist, Session, Video
from _youtube_rules import FORCE_SSL, READONLY, UPLOAD, Refusal, wrong
from _youtube_rules import YOUTUBE as FULL
from _youtube_wire import Answer, Cut, Request, Server, check_action, form, refusal

__all__ = [
    "FORCE_SSL",
    "FULL",
    "READONLY",
    "UPLOAD",
    "Call",
    "Playlist",
    "Session",
    "Video",
    "YouTube",
    "environment",
    "video_bytes",
]

Fault = Callable[[str, dict[str, Any]], str | None]
_OAUTH = {("GET", "/auth"): "auth", ("POST", "/token"): "token", ("POST", "/revoke"): "revoke"}


class YouTube:
    """The server; a context manager.

    Attributes:
        fault: Asked what is to go wrong, without a lock, from many threads.
        random: Decides what a fault leaves to chance.
        processing_end: What processing ends in, by marker; "" is for all others.
        has_channel: Whether the account has a channel at all.
        violations: One line for each request that no correct client sends.
    """

    def __init__(
        self,
        *,
        limits: Mapping[str, int] | None = None,
        on_kill: Callable[[dict[str, Any]], None] | None = None,
        clock: Callable[[], float] = time.time,
        processing_polls: int = 2,
        lag_lookups: int = 0,
        not_ready: int = 0,
    ) -> None:
        self.on_kill, self.clock = on_kill, clock
        self.processing_polls, self.lag_lookups = processing_polls, lag_lookups
        self.not_ready = not_ready
        self.processing_end: dict[str, tuple[str, str]] = {}
        self.has_channel = True
        self.fault: Fault | None = None
        self.random = random.Random(0)  # noqa: S311 - faults are to come again, not to be secret
        self.videos: dict[str, Video] = {}
        self.playlists: dict[str, Playlist] = {}
        self.sessions: dict[str, Session] = {}
        self.addresses: dict[str, Session | None] = {}
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.lock = threading.RLock()
        self.accounts = Accounts((FORCE_SSL,))
        self.channel = "UC" + f"{random.Random(1).getrandbits(88):022x}"  # noqa: S311 - a name
        self.uploads = "UU" + self.channel[2:]
        self._shop = rules.Shop(limits or {})
        self._asked: Counter[tuple[str, str]] = Counter()
        self._closing = threading.Event()
        self._server = Server(self)
        self.root = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self.token_uri, self.auth_uri = f"{self.root}token", f"{self.root}auth"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, end every connection."""
        self._closing.set()
        self._server.stop()

    # Accounts ------------------------------------------------------------------------------

    @property
    def client_id(self) -> str:
        return self.accounts.client_id

    @property
    def client_secret(self) -> str:
        return self.accounts.client_secret

    @property
    def refresh_token(self) -> str:
        return self.accounts.refresh_token

    def secrets(self) -> list[str]:
        """Return everything that may stand nowhere: secrets, tokens, codes, session addresses."""
        with self.lock:
            sessions = list(self.sessions.values())
        found = [word for s in sessions for word in (*s.uris, *s.upload_ids)]
        return [*self.accounts.secrets(), *found]

    def secrets_file(self, path: Path) -> Path:
        """Write the client's file as the console hands it out."""
        client = {
            "client_id": self.client_id,
            "project_id": "a-project-of-tests",
            "auth_uri": self.auth_uri,
            "token_uri": self.token_uri,
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "client_secret": self.client_secret,
            "redirect_uris": ["http://localhost"],
        }
        path.write_text(json.dumps({"installed": client}))
        return path

    def token_file(
        self, path: Path, *, scopes: Iterable[str] = (FORCE_SSL,), expires_in: float = 3600
    ) -> Path:
        """Write a person's file as `Credentials.to_json()` does; its access token is good."""
        scopes = list(scopes)
        expiry = datetime.fromtimestamp(time.time() + expires_in, UTC).replace(tzinfo=None)
        document = {
            "token": self.accounts.access_token(scopes, expires_in),
            "refresh_token": self.accounts.grant_for(scopes),
            "token_uri": self.token_uri,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scopes": scopes,
            "universe_domain": "googleapis.com",
            "account": "",
            "expiry": expiry.isoformat() + "Z",
        }
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(json.dumps(document))
        return path

    # Quota ---------------------------------------------------------------------------------

    @property
    def spent(self) -> dict[str, int]:
        return self._shop.spent

    def reset_quota(self) -> None:
        """A new day has begun."""
        with self.lock:
            self._shop.reset()

    # What the other modules ask ------------------------------------------------------------

    def complain(self, call: Call, text: str) -> None:
        who = f" ({call.marker})" if call.marker else ""
        self.violations.append(f"{call.name}{who}: {text}")

    def chance(self, below: int) -> int:
        """Return a random number from 0 on."""
        with self.lock:
            return self.random.randrange(max(below, 1))

    def processing(self, video: Video) -> tuple[str, str]:
        """Return the uploadStatus and, if it ended badly, the reason."""
        if video.polls <= self.processing_polls:
            return "uploaded", ""
        end = self.processing_end
        return end.get(video.marker, end.get("", ("processed", "")))

    def name_of(self, http: str, path: str, headers: Any) -> str:
        """Return a call's name by its request line."""
        if http == "PUT" and path == rules.METHODS["videos.insert"].path:
            query = str(headers.get("Content-Range", "")).strip().startswith("bytes */")
            return "videos.insert.status" if query else "videos.insert.chunk"
        return rules.ROUTES.get((http, path)) or _OAUTH.get((http, path)) or f"{http} {path}"

    def answer(self, request: Request) -> Answer:
        """Answer a request, the test's faults included."""
        name = request.call.name
        if name.startswith("videos.insert."):
            return self._put(request)
        if name in rules.METHODS:
            return self._method(request)
        if name in _OAUTH.values():
            return self._oauth(request)
        raise wrong("notFound", "There is no such address.", 404)

    # One request ---------------------------------------------------------------------------

    def _put(self, request: Request) -> Answer:
        put = uploads.Put(self, request)
        point, facts = put.point(), put.facts()
        action = self._ask(point, request, facts)
        self._before(action, request, facts)
        if action == "mid" and point == "videos.insert.status":
            raise Cut(reset=True)
        answer = self._instead(action, request)
        if answer is None:
            try:
                answer = put.answer(action)
            except Cut:
                if action == "mid+kill":
                    self._kill(request, facts)
                raise
        return self._after(action, request, facts, answer)

    def _method(self, request: Request) -> Answer:
        name, call = request.call.name, request.call
        if name != "thumbnails.set":
            request.load()
        self._recognise(request)
        facts = {"offset": 0, "size": call.length}
        action = self._ask(name, request, facts)
        self._before(action, request, facts)
        request.load()
        if action == "mid":
            raise Cut(reset=True)
        answer = self._instead(action, request)
        if answer is None:
            self._admit(request)
            request.parts = rules.check_query(name, request.query)
            insert = name == "videos.insert"
            answer = uploads.start(self, request) if insert else methods.handle(self, request)
        return self._after(action, request, facts, answer)

    def _oauth(self, request: Request) -> Answer:
        request.load()
        facts: dict[str, Any] = {"offset": 0, "size": request.call.length}
        action = self._ask(request.call.name, request, facts)
        self._before(action, request, facts)
        if action == "mid":
            raise Cut(reset=True)
        try:
            answer = self._granted(request, action)
        except OAuthRefusal as error:
            request.call.reason = error.reason
            if error.wrong:
                self.complain(request.call, f"{error.reason}: {error}")
            if request.call.name == "auth" and not error.wrong:
                back = self.accounts.back(request.query, error=error.reason)
                answer = Answer(302, headers={"Location": back})
            else:
                answer = Answer.json(error.status, error.document())
        return self._after(action, request, facts, answer)

    def _granted(self, request: Request, action: str) -> Answer:
        kind, _, rest = action.partition(":")
        if kind in {"refuse", "401"}:
            status, _, error = (rest or "401:invalid_client").partition(":")
            raise OAuthRefusal(int(status), error, "Refused.", wrong=False)
        if fault := self._instead(action, request):
            return fault
        if request.call.name == "auth":
            return Answer(302, headers={"Location": self.accounts.consent(request.query)})
        if request.call.name == "revoke":
            self.accounts.revoke()
            return Answer.json(200, {})
        if request.content_type() != "application/x-www-form-urlencoded":
            raise OAuthRefusal(400, "invalid_request", "The body must be a form.")
        fields = form(request.body)
        kind, _, pair = request.header("Authorization").partition(" ")
        if kind == "Basic":  # as the consent flow of the library names the client
            names = ("client_id", "client_secret")
            fields |= zip(names, base64.b64decode(pair).decode().split(":"), strict=True)
        return Answer.json(200, self.accounts.token(fields))

    def _recognise(self, request: Request) -> None:
        """Find the video or the marker a call is about, so that faults can be aimed."""
        call, video = request.call, request.query.get("videoId") or request.query.get("id", "")
        body: Any = {}
        try:
            if call.name == "captions.insert":
                body = methods.multipart(request)[0]
            elif request.body:
                body = methods.parsed(request.body)
            snippet = body.get("snippet", {})
            video = video or snippet.get("videoId") or snippet["resourceId"]["videoId"]
        except (Refusal, AttributeError, KeyError, TypeError):
            pass  # it is refused later on, with the reason
        if call.name == "videos.insert" and isinstance(body, dict):
            call.marker = rules.marker_of(body)
        known = self.videos.get(str(video))
        if known is not None:
            call.video, call.marker = known.id, known.marker

    def _admit(self, request: Request) -> None:
        """Check the token, charge the call, check the scope: in this order."""
        scopes = self.accounts.scopes_of(request.header("Authorization"))
        with self.lock:
            self._shop.charge(request.call.name)
        if not scopes & rules.METHODS[request.call.name].scopes:
            raise wrong("insufficientPermissions", "The token's scope is too narrow.", 403)

    # Faults --------------------------------------------------------------------------------

    def _ask(self, point: str, request: Request, facts: dict[str, Any]) -> str:
        call = request.call
        with self.lock:
            self._asked[point, call.marker] += 1
            count = self._asked[point, call.marker]
        facts |= {"marker": call.marker, "video": call.video, "n": count, "point": point}
        call.fault = (self.fault(point, dict(facts)) if self.fault else None) or ""
        if call.fault:
            check_action(point, call.fault)
        return call.fault

    def _kill(self, request: Request, facts: dict[str, Any]) -> None:
        if self.on_kill is None:
            raise ValueError("a fault wants to kill, and nobody is there to do it")
        self.on_kill(dict(facts))

    def _before(self, action: str, request: Request, facts: dict[str, Any]) -> None:
        kind, _, number = action.partition(":")
        if kind == "slow":
            self._closing.wait(float(number))
        if kind == "kill":
            self._kill(request, facts)
        if kind in {"kill", "drop"}:
            reset = self.chance(2) == 1
            if not reset:  # only a body that was read makes a FIN of the close
                request.drain()
            raise Cut(reset=reset)

    def _instead(self, action: str, request: Request) -> Answer | None:
        """Return the answer of a fault that refuses; the call is charged."""
        if action == "401":
            self.accounts.expire()
            raise Refusal(401, "authError", "Invalid Credentials")
        answer = refusal(action)
        if answer is None:
            return None
        if request.call.name in rules.METHODS:
            self._admit(request)
        if isinstance(answer, Refusal):
            raise answer
        return answer

    def _after(
        self, action: str, request: Request, facts: dict[str, Any], answer: Answer
    ) -> Answer:
        if action == "do+kill":
            self._kill(request, facts)
        if action in {"lost", "do+kill"}:
            raise Cut(reset=self.chance(2) == 1)
        return answer


@cache
def video_bytes(seed: int, size: int) -> bytes:
    """Return bytes that come again with the same seed."""
    return random.Random(seed).randbytes(size)  # noqa: S311 - content, no secret


def environment(server: YouTube, folder: Path) -> dict[str, str]:
    """Return the settings that let workers publish there, both files written."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "PUBLISHER": "youtube",
        "YOUTUBE_API_ROOT": server.root,
        "GOOGLE_TOKEN_URI": server.token_uri,
        "YOUTUBE_CLIENT_SECRETS": os.fspath(server.secrets_file(folder / "client_secrets.json")),
        "YOUTUBE_TOKEN_FILE": os.fspath(server.token_file(folder / "youtube_token.json")),
    }
