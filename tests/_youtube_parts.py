"""What the local YouTube remembers: videos, playlists, sessions, calls."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Video:
    """A video that came to be.

    Attributes:
        body: The metadata as they were sent.
        marker: The `ref rc-…` the description ends with.
        sessions: The id of the session that brought it.
        thumbnails: The sha256 of each image that was set.
        polls: How often videos.list told its status.
    """

    id: str
    body: dict[str, Any]
    size: int
    sha256: str
    marker: str
    sessions: str
    at: float = 0.0
    file_name: str = ""
    hidden: int = 0
    not_ready: dict[str, int] = field(default_factory=dict)
    thumbnails: list[str] = field(default_factory=list)
    captions: list[dict[str, str]] = field(default_factory=list)
    polls: int = 0


@dataclass
class Playlist:
    """A playlist; `items` are video ids in their order."""

    id: str
    title: str
    privacy: str
    items: list[str] = field(default_factory=list)


@dataclass
class Call:
    """A request as it went.

    Attributes:
        status: What was answered; 0 if nothing was.
        sent: Bytes of its body that arrived, of `length` announced ones.
        offset: Where a chunk began.
        kept: Bytes of it that were stored.
        fault: What the test asked for.
    """

    at: float
    name: str
    status: int = 0
    reason: str = ""
    marker: str = ""
    video: str = ""
    session: str = ""
    sent: int = 0
    length: int = 0
    offset: int = 0
    kept: int = 0
    fault: str = ""


class Superseded(Exception):  # noqa: N818 - the later request is right, this one is history
    """A later request of the same session has taken over."""


@dataclass
class Session:
    """An upload session; the bytes are hashed as they come, and not kept.

    Attributes:
        state: open, finished, expired (404) or gone (410).
        uris: Every address it ever had, the last one is valid.
        answer: The final answer, given again to each later question.
        video: The id of the video it ended in.
    """

    id: str
    size: int
    kind: str
    body: dict[str, Any]
    parts: list[str]
    marker: str
    file_name: str = ""
    state: str = "open"
    uris: list[str] = field(default_factory=list)
    upload_ids: list[str] = field(default_factory=list)
    kept: int = 0
    video: str = ""
    answer: bytes = b""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    digest: Any = field(default_factory=hashlib.sha256, repr=False)
    writer: object = None

    def take_over(self, writer: object) -> None:
        """Whoever wrote until now has no say any more: its client has gone."""
        with self.lock:
            self.writer = writer

    def keep(self, writer: object, piece: bytes) -> None:
        with self.lock:
            if self.writer is not writer or self.state != "open":
                raise Superseded
            self.digest.update(piece)
            self.kept += len(piece)

    def range(self) -> dict[str, str]:
        """Return the header that tells what was kept: none if nothing was."""
        return {"Range": f"bytes=0-{self.kept - 1}"} if self.kept else {}
