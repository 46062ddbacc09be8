"""The YouTube Data API by Google's client library: each call booked, sent once, its errors ours."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httplib2
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient import discovery_cache
from googleapiclient.discovery import build_from_document
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest

from app.errors import MediaError, PermanentError, QuotaError
from app.providers.youtube import auth, refusals
from app.providers.youtube.answers import unclear
from app.providers.youtube.config import YouTubeSettings

# its warnings tell of refusals that become errors of ours anyway
logging.getLogger("googleapiclient.http").setLevel(logging.ERROR)

T = TypeVar("T")
RESUME_INCOMPLETE = 308
OF_THE_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO))
"""Faults of our own files, which the service has no part in."""
GOOGLES = ".googleapis.com"
BLOCK = 256 * 1024
"""Bytes read and sent at once."""


class Http(httplib2.Http):  # type: ignore[misc] # the library has no types
    """httplib2 that sends each request once.

    By itself it sends a request again when the connection ends without an answer. That doubles what
    is not idempotent, costs quota unseen, and sends a used-up stream as nothing at all.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout=timeout)
        self.answer: httplib2.Response | None = None
        """The latest one."""
        self.redirect_codes -= {RESUME_INCOMPLETE}
        self._sent: set[tuple[str, str]] = set()
        self._kinds = {
            "http": self._guarded(httplib2.HTTPConnectionWithTimeout),
            "https": self._guarded(httplib2.HTTPSConnectionWithTimeout),
        }

    def _guarded(self, kind: Any) -> Any:
        """Return a kind of connection that refuses to send a request a second time."""
        sent = self._sent

        class Connection(kind):  # type: ignore[misc] # the library has no types
            def request(self, method: str, url: str, body: Any = None, headers: Any = None) -> None:
                if (method, url) in sent:
                    raise ConnectionResetError("the connection ended without an answer")
                sent.add((method, url))
                self.blocksize = BLOCK
                super().request(method, url, body, headers or {})

        return Connection

    def request(
        self, uri: str, method: str = "GET", body: Any = None, headers: Any = None, **more: Any
    ) -> tuple[httplib2.Response, bytes]:
        """As in httplib2; an answer that did not come is the caller's business."""
        self._sent.clear()
        self.answer = None
        more["connection_type"] = self._kinds["https" if uri.startswith("https:") else "http"]
        answer, content = super().request(uri, method, body=body, headers=headers, **more)
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


class Till(Protocol):
    """Where calls are booked: the part of a `Desk` that the client needs."""

    def book(self, call: str) -> None: ...

    def refused(self, call: str, seconds: float | None) -> float: ...


class Client:
    """One thread's connection to one channel.

    Args:
        desk: Where calls are booked.
        config: Addresses and time-outs.
    """

    def __init__(self, desk: Till, config: YouTubeSettings) -> None:
        self._desk = desk
        self._credentials = auth.credentials()
        self._transport = Http(config.youtube_timeout)
        self.http = AuthorizedHttp(self._credentials, http=self._transport, refresh_status_codes=())
        root = config.youtube_api_root.rstrip("/") + "/"
        self._home = urlsplit(root)
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

    def trusted(self, address: str) -> str:
        """Return an address that the service gave, if it is the service's own: it gets the token.

        Raises:
            TransientError: It is no address, or somebody else's.
        """
        with contextlib.suppress(ValueError):
            parts, home = urlsplit(address), self._home
            host = parts.hostname or ""
            googles = parts.scheme == "https" and host.endswith(GOOGLES)
            if host and (googles or (parts.scheme, host) == (home.scheme, home.hostname)):
                return address
        raise unclear("YouTube's answer names an address that is not YouTube's.")

    def call(self, name: str, build: Callable[[Any], HttpRequest]) -> dict[str, Any]:
        """Book a call, make it, and return its answer.

        Args:
            name: `resource.method`, as the tariff has it.
            build: Makes the request of the API object.

        Raises:
            ReelchainError: What YouTube's refusal means.
        """
        self.close()  # an idle connection may be gone, and no second try is made by itself

        def once() -> dict[str, Any]:
            request = _built(build, self.api)
            self._desk.book(name)
            answer = request.execute()
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
            if isinstance(fault, OSError) and fault.errno in OF_THE_DISK:
                raise
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


def _built(build: Callable[[Any], HttpRequest], api: Any) -> HttpRequest:
    """Return the request; a file that it can't read is no silence of the service."""
    try:
        return build(api)
    except OSError as fault:
        raise MediaError(
            "artifact_changed",
            f"A file that is to be published can't be read: {fault.strerror}.",
            "Run the project again.",
        ) from None
