"""The video's bytes: one resumable session, gone on with after any fault, begun anew only when lost.

A session's address is kept before the first byte is sent. After a fault the service is asked what
it has; only its answer counts. Where a session is dead, the video is looked for by its marker
before another one is begun, for the last answer may have been lost with it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httplib2
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseUpload

from app.errors import ReelchainError, TransientError, UnfinishedError
from app.providers import Desk, PublishRequest, Report
from app.providers.youtube import lookup, metadata, session
from app.providers.youtube.answers import unclear
from app.providers.youtube.client import RESUME_INCOMPLETE, Client

T = TypeVar("T")

CALL = "videos.insert"
VIDEO = "video/mp4"
OF_THE_TOKEN = ("youtube_auth_expired", "youtube_scope", "youtube_client_refused")
"""Codes of refusals that a session gets over: all others it answers again and again."""
LONGEST_PAUSE = 15.0
"""Seconds that are waited for with the session at hand; more are waited for elsewhere."""
LOST_SECONDS = 900.0
MOST_LOST = 3
"""Sessions that may die in one go; each new one counts against the day's uploads."""
DEAD = (404, 410)
"""Answers of a session that is no more (resumable uploads: 404; 410 on the same server)."""


class SessionLost(Exception):  # noqa: N818 - a fact, not a fault
    """The session is dead."""


@dataclass(frozen=True)
class Film:
    """The file to send. `digest` names it and what is told about it."""

    path: Path
    size: int
    digest: str


class Upload:
    """Brings one film into being on YouTube, once.

    Args:
        client: The connection.
        desk: Where the session is kept.
        request: What is published.
        film: Its file.
        chunk: Bytes sent before the service is heard again; a multiple of 262,144.
        patience: Seconds for which a video is looked for whose last answer was lost.
        report: Gets the number of bytes that the service has.
    """

    def __init__(
        self,
        client: Client,
        desk: Desk,
        request: PublishRequest,
        film: Film,
        *,
        chunk: int,
        patience: float,
        report: Report,
    ) -> None:
        self._client = client
        self._desk = desk
        self._request = request
        self._film = film
        self._chunk = chunk
        self._patience = patience
        self._report = report
        self._kept: dict[str, Any] = dict(session.load(desk).get("upload") or {})
        self._library: Any = None
        """The library's request while it knows what the service has: no fault since it was said."""

    @property
    def begun(self) -> bool:
        """Whether there is a session to go on with."""
        return bool(self._kept)

    @property
    def digest(self) -> str | None:
        """What names the film of the session that was begun, and the words about it."""
        return self._kept.get("digest")

    @property
    def of_other(self) -> bool:
        """Whether a session was begun for another film, or other words about it."""
        return bool(self._kept) and self._kept.get("digest") != self._film.digest

    def finish(self) -> dict[str, Any]:
        """Return the video's resource, sending whatever the service does not have yet.

        Raises:
            ReelchainError: What YouTube's refusal means.
        """
        with self._film.path.open("rb") as file:
            media = MediaIoBaseUpload(file, mimetype=VIDEO, chunksize=self._chunk, resumable=True)
            for _ in range(MOST_LOST):
                try:
                    return self._through(media)
                except SessionLost:
                    found = self._found()
                    if found is not None:
                        return found
                    self._keep({})
        raise TransientError(
            "youtube_unavailable",
            "YouTube has lost one upload after another.",
            "Run the project again in a while.",
            LOST_SECONDS,
        )

    def outcome(self) -> dict[str, Any] | None:
        """Return the video of the session that was begun, if it came to be; nothing is sent."""
        if not self._kept:
            return None
        try:
            return self._desk.retrying(lambda: self._ask(self._request_of(None)))
        except SessionLost:
            return self._found()

    def left_behind(self) -> dict[str, Any] | None:
        """Return the video of a session of which nothing is known any more."""
        return lookup.find(
            self._client,
            self._desk,
            self._request.marker,
            size=None,
            since=0.0,
            patience=self._patience,
        )

    def forget(self) -> None:
        """Leave the session that was begun; a film that is not whole never becomes a video."""
        self._keep({})

    def _found(self) -> dict[str, Any] | None:
        """Return the video that a dead session may have left behind."""
        return lookup.find(
            self._client,
            self._desk,
            self._request.marker,
            size=int(self._kept["size"]),
            since=float(self._kept["began"]),
            patience=self._patience if self._kept.get("last") else 0.0,
        )

    def _through(self, media: MediaIoBaseUpload) -> dict[str, Any]:
        """Send chunk after chunk; each step may be tried again, and asks first what is there."""
        video: dict[str, Any] | None = None
        while video is None:
            video = self._desk.retrying(lambda: self._step(media))
            if self._library is not None:
                self._report(self._library.resumable_progress)
        return video

    def _step(self, media: MediaIoBaseUpload) -> dict[str, Any] | None:
        if self._library is not None:
            return self._send(self._library)
        # the library remembers a fault in a way of its own; after one, we begin with another request
        request = self._request_of(media)
        if not self._kept:
            self._begin(request)
        else:
            video = self._ask(request)
            if video is not None:
                return video
        self._library = request
        return self._send(request)

    def _request_of(self, media: MediaIoBaseUpload | None) -> Any:
        return self._client.api.videos().insert(
            part="snippet,status",
            notifySubscribers=self._request.notify,
            body=metadata.body(self._request, self._request.marker),
            media_body=media,
        )

    def _begin(self, request: Any) -> None:
        """Open a session and keep its address before the first byte is sent."""
        self._client.close()
        size = self._film.size
        headers = {
            **request.headers,
            "X-Upload-Content-Type": VIDEO,
            "X-Upload-Content-Length": str(size),
        }

        def post() -> str:
            self._desk.book(CALL)
            answer, content = self._client.http.request(
                request.uri, method=request.method, body=request.body, headers=headers
            )
            if answer.status != 200:
                raise HttpError(answer, content)
            return self._client.trusted(str(answer.get("location", "")))

        address = self._client.authorised(CALL, post)
        began = {"uri": address, "digest": self._film.digest, "size": size, "began": time.time()}
        self._keep(began)
        request.resumable_uri, request.resumable_progress = address, 0

    def _ask(self, request: Any) -> dict[str, Any] | None:
        """Ask what the session has; the video's resource if it is finished.

        Raises:
            SessionLost: It is dead.
        """
        if self._kept.get("refused"):
            raise SessionLost
        size = int(self._kept["size"])
        headers = {"Content-Range": f"bytes */{size}", "content-length": "0"}

        def query() -> tuple[httplib2.Response, Any]:
            answer, content = self._client.http.request(self._kept["uri"], "PUT", headers=headers)
            if answer.status not in (200, 201, RESUME_INCOMPLETE):
                raise HttpError(answer, content)
            return answer, None if answer.status == RESUME_INCOMPLETE else json.loads(content)

        with self._judged():
            answer, video = self._client.authorised(CALL, _alive(query))
        if answer.status != RESUME_INCOMPLETE:
            return _video(video)
        request.resumable_progress = _next_byte(answer, size)
        self._moved(answer.get("location") or self._kept["uri"])
        request.resumable_uri = self._kept["uri"]
        return None

    def _send(self, request: Any) -> dict[str, Any] | None:
        """Send the next chunk; the video's resource if it was the last."""
        at = request.resumable_progress
        if at + self._chunk >= self._film.size and not self._kept.get("last"):
            self._keep({**self._kept, "last": True})
        self._library = None
        with self._judged():
            _, video = self._client.authorised(CALL, _alive(request.next_chunk), again=_chunk_spent)
        if video is not None:
            return _video(video)
        self._moved(request.resumable_uri)
        if not at < request.resumable_progress < self._film.size:
            raise unclear("YouTube keeps nothing of what it is sent.")
        self._library = request
        if self._client.patience > LONGEST_PAUSE:
            raise UnfinishedError(
                "youtube_unavailable",
                "YouTube asks to wait in the middle of the film.",
                "The project goes on by itself, where it was.",
                self._client.patience,
            )
        if self._client.patience:
            self._desk.pause(self._client.patience)
        return None

    @contextlib.contextmanager
    def _judged(self) -> Iterator[None]:
        """A refusal that is none of the token's ends the session: the next run begins another."""
        try:
            yield
        except ReelchainError as error:
            if not error.retryable and error.code not in OF_THE_TOKEN:
                self._keep({**self._kept, "refused": True})
            raise

    def _moved(self, address: str) -> None:
        if address != self._kept["uri"]:
            self._keep({**self._kept, "uri": self._client.trusted(address)})

    def _keep(self, upload: Mapping[str, Any]) -> None:
        self._kept = dict(upload)
        self._library = None
        self._desk.save({**session.load(self._desk), "upload": self._kept})


def _alive(act: Callable[[], T]) -> Callable[[], T]:
    """Return `act` so that the end of its session, and an answer without sense, are told from others."""

    def run() -> T:
        try:
            return act()
        except HttpError as refused:
            if int(refused.resp.status) in DEAD:
                raise SessionLost from None
            raise
        except (ValueError, LookupError):  # the library reads JSON and Range without a doubt
            raise unclear("YouTube's answer to the film can't be read.") from None

    return run


def _chunk_spent() -> Any:
    raise unclear("The token was refused in the middle of the film; it has been renewed.")


def _video(answer: object) -> dict[str, Any]:
    if isinstance(answer, dict) and isinstance(answer.get("id"), str) and answer["id"]:
        return answer
    raise unclear("YouTube's answer to the film can't be read.")


def _next_byte(answer: httplib2.Response, size: int) -> int:
    """Return the first byte that the service does not have (Range: bytes=0-K → K + 1)."""
    if "range" not in answer:
        return 0
    head, _, last = str(answer["range"]).partition("-")
    if head.removeprefix("bytes=") != "0" or not last.isdigit() or int(last) + 1 >= size:
        raise unclear("YouTube's word of what it has can't be right.")
    return int(last) + 1
