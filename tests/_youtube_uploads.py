"""Resumable uploads: session start, chunks, status queries."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import _youtube_rules as rules
from _youtube_methods import parsed, video_resource
from _youtube_parts import Session, Superseded, Video
from _youtube_rules import Range, Refusal, wrong
from _youtube_wire import Answer, Cut, Request

if TYPE_CHECKING:
    from _youtube import YouTube

_PATH = "upload/youtube/v3/videos"


def start(server: YouTube, request: Request) -> Answer:
    """Answer videos.insert: an address, and no video yet."""
    size = request.header("X-Upload-Content-Length")
    kind = request.header("X-Upload-Content-Type")
    if request.content_type() != "application/json":
        raise wrong("badRequest", "The metadata must be application/json.")
    if not size.isdigit() or int(size) == 0:
        raise wrong("badRequest", "X-Upload-Content-Length is missing.")
    if not (kind.startswith("video/") or kind == "application/octet-stream"):
        raise wrong("badRequest", f"X-Upload-Content-Type {kind!r} is no video.")
    if int(size) > rules.LARGEST_VIDEO:
        raise wrong("uploadTooLarge", "The video is over 256 GB.", 413)
    body = parsed(request.body)
    for complaint in rules.check_video(body, request.parts):
        server.complain(request.call, complaint)
    with server.lock:
        session = Session(
            id=f"session-{len(server.sessions) + 1}",
            size=int(size),
            kind=kind,
            body=body,
            parts=request.parts,
            marker=rules.marker_of(body),
            file_name=request.header("Slug"),
        )
        server.sessions[session.id] = session
    request.call.session = session.id
    return Answer(200, headers=new_address(server, session))


def new_address(server: YouTube, session: Session) -> dict[str, str]:
    """Give the session an address; an older one is not known any more."""
    upload_id = f"ABPnzm{secrets.token_urlsafe(90)}"
    query = f"uploadType=resumable&part={'%2C'.join(session.parts)}&upload_id={upload_id}"
    with server.lock:
        for old in session.upload_ids:
            server.addresses[old] = None
        server.addresses[upload_id] = session
        session.upload_ids.append(upload_id)
        session.uris.append(f"{server.root}{_PATH}?{query}")
    return {"Location": session.uris[-1], "X-GUploader-UploadID": upload_id}


class Put:
    """One PUT to a session: a chunk or a status query."""

    def __init__(self, server: YouTube, request: Request) -> None:
        self._server, self._request, self._call = server, request, request.call
        self._id = request.query.get("upload_id", "")
        self._session = server.addresses.get(self._id)
        if self._session is not None:
            self._call.session = self._session.id
            self._call.marker, self._call.video = self._session.marker, self._session.video

    def point(self) -> str:
        """Return the name of the fault point."""
        if self._call.name == "videos.insert.status":
            return self._call.name
        text = self._request.header("Content-Range")
        try:
            last = not text or Range.read(text).ends()
        except Refusal:
            last = False
        return "videos.insert.last" if last else "videos.insert.chunk"

    def facts(self) -> dict[str, int]:
        """Return what the test wants to know of it: where it begins, of how much."""
        try:
            first = Range.read(self._request.header("Content-Range")).first
        except Refusal:
            first = 0
        self._call.offset = first or 0
        return {
            "offset": self._call.offset,
            "size": self._session.size if self._session else 0,
            "length": self._call.length,
        }

    def answer(self, action: str) -> Answer:
        session = self._alive(action)
        self._server.accounts.scopes_of(self._request.header("Authorization"))
        spoken = self._spoken(session)
        if spoken.first is None:
            return self._state(session, action)
        return self._data(session, spoken, action)

    def _alive(self, action: str) -> Session:
        session = self._session
        if session is not None and action in {"expire", "gone"}:
            with session.lock:
                session.state = "gone" if action == "gone" else "expired"
        if session is None or session.state in {"expired", "gone"}:
            if self._id not in self._server.addresses:
                raise wrong("notFound", "There was never such a session.", 404)
            if session is not None and session.state == "gone":
                raise Refusal(410, "uploadGone", "The session is gone.")
            raise Refusal(404, "notFound", "The session cannot be found.")
        return session

    def _spoken(self, session: Session) -> Range:
        """Return the checked Content-Range; without one the whole file comes at once."""
        length = self._call.length
        text = self._request.header("Content-Range") or f"bytes 0-{length - 1}/{length}"
        spoken = Range.read(text)
        spoken.check(session.size, length)
        return spoken

    def _state(self, session: Session, action: str) -> Answer:
        with session.lock:
            session.take_over(None)
            if session.state == "finished":
                return self._final(session)
            moved = new_address(self._server, session) if action == "move" else {}
            return Answer(308, headers=session.range() | moved)

    def _final(self, session: Session) -> Answer:
        self._call.video = session.video
        kind = {"Content-Type": "application/json; charset=UTF-8"}
        return Answer(201, session.answer, kind)

    def _data(self, session: Session, spoken: Range, action: str) -> Answer:
        with session.lock:
            if session.state == "open":
                if spoken.first != session.kept:
                    message = f"The chunk begins at {spoken.first}, expected was {session.kept}."
                    raise wrong("badRequest", message)
                session.take_over(self)
        try:
            self._store(session, action, last=spoken.ends())
        except Superseded:
            raise Cut(reset=True) from None
        with session.lock:
            if session.state == "finished":
                return self._final(session)
            moved = new_address(self._server, session) if action == "move" else {}
            return Answer(308, headers=session.range() | moved)

    def _store(self, session: Session, action: str, *, last: bool) -> None:
        """Read the body and keep what is to be kept of it."""
        stream, length, chance = self._request.stream, self._call.length, self._server.chance
        reach = room = length
        if action.startswith("mid"):
            reach = chance(length)
            room = chance(reach // rules.GRAIN + 1) * rules.GRAIN
        elif action == "short":
            room = chance(rules.grains(length)) * rules.GRAIN
        elif action == "move" and last:
            room = 0
        if session.state == "finished":
            room = 0
        for piece in stream.pieces(reach):
            part = piece[: room - self._call.kept]
            if part:
                self._keep(session, part)
        if action.startswith("mid") or stream.broken:
            raise Cut(reset=action.startswith("mid"))
        if action == "finish+expire":
            session.state = "expired"
            raise Cut(reset=self._server.chance(2) == 1)

    def _keep(self, session: Session, part: bytes) -> None:
        """Store a piece; with the last one the video comes to be, whoever listens."""
        with session.lock:
            session.keep(self, part)
            self._call.kept += len(part)
            if session.kept == session.size:
                self._finish(session)

    def _finish(self, session: Session) -> None:
        server = self._server
        with server.lock:
            video = Video(
                id=secrets.token_urlsafe(8),
                body=session.body,
                size=session.size,
                sha256=session.digest.hexdigest(),
                marker=session.marker,
                sessions=session.id,
                at=server.clock(),
                file_name=session.file_name,
                hidden=server.lag_lookups,
            )
            document = video_resource(server, video, session.parts)
            server.videos[video.id] = video
        session.state, session.video = "finished", video.id
        session.answer = Answer.json(201, document).body
