"""The YouTube Data API by Google's client library: each call booked, sent once, its errors ours."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import httplib2
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient import discovery_cache
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest

from app.errors import PermanentError, QuotaError
from app.providers import Desk
from app.providers.youtube import auth, refusals
from app.providers.youtube.config import YouTubeSettings

# its warnings tell of refusals that become errors of ours anyway
logging.getLogger("googleapiclient.http").setLevel(logging.ERROR)

T = TypeVar("T")
RESUME_INCOMPLETE = 308
BLOCK = 256 * 1024
"""Bytes read and sent at once."""


class _Once:
    """A request's body that is sent once.

    httplib2 sends a request again by itself when the connection ends without an answer. That
    doubles what is not idempotent, and a used-up stream would be sent as nothing at all.
    """

    def __init__(self, body: Any) -> None:
        self._body = body
        self.begun = False

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, nothing at the end."""
        self.begun = True
        data: bytes = self._body.read(size)
        return data


class _SendsOnce:
    """A connection that refuses to send a body a second time."""

    def request(self, method: str, url: str, body: Any = None, headers: Any = None) -> None:
        """Send a request.

        Raises:
            ConnectionResetError: It was sent before, and no answer came.
        """
        if isinstance(body, _Once) and body.begun:
            raise ConnectionResetError("the connection ended without an answer")
        self.blocksize = BLOCK
        super().request(method, url, body, headers or {})  # type: ignore[misc]


class _Plain(_SendsOnce, httplib2.HTTPConnectionWithTimeout):  # type: ignore[misc]
    pass


class _Secure(_SendsOnce, httplib2.HTTPSConnectionWithTimeout):  # type: ignore[misc]
    pass


class Http(httplib2.Http):  # type: ignore[misc] # the library has no types
    """httplib2 without its own second tries of what has a body."""

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self.answer: httplib2.Response | None = None
        """The latest one."""
        self.redirect_codes -= {RESUME_INCOMPLETE}

    def request(
        self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **more: Any
    ) -> tuple[httplib2.Response, bytes]:
        """As in httplib2; an answer that did not come is the caller's business."""
        headers = dict(headers or {})
        if isinstance(body, str):
            body = body.encode()
        if isinstance(body, bytes):
            if "content-length" not in {name.lower() for name in headers}:
                headers["content-length"] = str(len(body))
            body = io.BytesIO(body)
        more["connection_type"] = _Secure if uri.startswith("https:") else _Plain
        self.answer = None
        answer, content = super().request(
            uri, method, body=None if body is None else _Once(body), headers=headers, **more
        )
        self.answer = answer
        return answer, content


@cache
def _document(root: str) -> str:
    """Return the API's description as the library ships it, for another address."""
    text = discovery_cache.get_static_doc("youtube", "v3")
    if text is None:
        raise PermanentError(
            "youtube_library",
            "google-api-python-client has no description of the YouTube Data API v3.",
            "Install it anew, in the range of requirements.txt.",
        )
    return json.dumps({**json.loads(text), "rootUrl": root})


class Client:
    """One thread's connection to one channel.

    Args:
        desk: Where calls are booked.
        config: Addresses and time-outs.
    """

    def __init__(self, desk: Desk, config: YouTubeSettings) -> None:
        self._desk = desk
        self._credentials = auth.credentials()
        self._transport = Http(config.youtube_timeout)
        self.http = AuthorizedHttp(self._credentials, http=self._transport, refresh_status_codes=())
        root = config.youtube_api_root.rstrip("/") + "/"
        self.api: Any = build_from_document(_document(root), http=self.http)

    def close(self) -> None:
        """Close every connection: the next request begins on a fresh one."""
        with contextlib.suppress(OSError):
            self.http.close()

    @property
    def patience(self) -> float:
        """Return the seconds that the latest answer asked to wait, whatever else it said."""
        answer = self._transport.answer
        return (refusals.retry_after(answer) or 0.0) if answer is not None else 0.0

    def call(self, name: str, build: Callable[[Any], HttpRequest]) -> dict[str, Any]:
        """Book a call, make it, and return its answer.

        Args:
            name: `resource.method`, as the tariff has it.
            build: Makes the request of the API object.

        Raises:
            ReelchainError: What YouTube's refusal means.
        """
        if not name.endswith(".list"):
            self.close()  # an idle connection may be gone, and no second try is made of these

        def once() -> dict[str, Any]:
            self._desk.book(name)
            answer = build(self.api).execute()
            return answer if isinstance(answer, dict) else {}

        return self.authorised(name, once)

    def authorised(
        self, name: str, act: Callable[[], T], *, again: Callable[[], T] | None = None
    ) -> T:
        """Do something with a valid token: it is renewed ahead of time, and once when it is refused.

        Args:
            name: The call it is about.
            act: Does it.
            again: Does it once the token has been renewed; `act` where nothing is said.

        Raises:
            ReelchainError: What the refusal means.
        """
        try:
            auth.fresh(self._credentials)
            try:
                return act()
            except HttpError as refused:
                if not refusals.is_unauthorised(refused):
                    raise
            auth.fresh(self._credentials, force=True)
            return (again or act)()
        except (HttpError, *refusals.LOST) as fault:
            self.close()
            error = refusals.explain(fault, name)
            if isinstance(error, QuotaError):
                error = self._parked(error, name)
            # its own words may hold an address that is secret
            raise error from None

    def _parked(self, error: QuotaError, name: str) -> QuotaError:
        if error.retry_after is not None and name != "videos.insert":
            return error  # a limit on one kind of call; the others of its bucket go on
        seconds = self._desk.refused(name, error.retry_after)
        return type(error)(error.code, error.message, error.hint, seconds)
