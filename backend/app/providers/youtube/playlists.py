"""The channel's playlists: found or made by title, each video in it once.

Two that were made or changed at once would be doubled, or refused: one worker at a time does it.
"""

from __future__ import annotations

import json
from typing import Any

from app import disk, settings
from app.errors import PermanentError, UnfinishedError
from app.providers import Desk
from app.providers.youtube import auth
from app.providers.youtube.answers import items, told, unclear
from app.providers.youtube.client import Client

LOCK_SECONDS = 120.0
GONE = ("youtube_refused", "youtube_forbidden")
"""Codes of the refusals of a playlist that was deleted, or is another channel's."""


class Playlists:
    """The playlists of the channel that the token belongs to.

    Args:
        client: The connection.
        desk: Where retries are made.
    """

    def __init__(self, client: Client, desk: Desk) -> None:
        self._client = client
        self._desk = desk
        self._file = settings.get().data_dir / "private" / "youtube_playlists.json"

    def knows(self, title: str) -> bool:
        """Tell whether the playlist of that title was found or made before."""
        return title in self._known()

    def add(self, title: str, video_id: str, privacy: str) -> str:
        """Put a video in the playlist of that title, made where there is none; return its id.

        Args:
            title: As the user wrote it.
            video_id: The video.
            privacy: That of a playlist that has to be made.

        Raises:
            ReelchainError: What YouTube's refusal means.
        """
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with disk.lock(self._file.with_suffix(".lock"), wait=LOCK_SECONDS):
                return self._add(title, video_id, privacy)
        except disk.Locked:
            raise UnfinishedError(
                "youtube_unavailable",
                "Another worker has been changing the channel's playlists for minutes.",
                "The project goes on by itself, where it was.",
                60.0,
            ) from None

    def _add(self, title: str, video_id: str, privacy: str) -> str:
        known = self._known().get(title)
        if known is not None:
            try:
                self._insert(known, video_id)
            except PermanentError as error:
                if error.code not in GONE:
                    raise
            else:
                return known
        playlist = self._desk.retrying(lambda: self._found_or_made(title, privacy))
        self._remember({**self._known(), title: playlist})
        self._insert(playlist, video_id)
        return playlist

    def _found_or_made(self, title: str, privacy: str) -> str:
        found = self._listed(title)
        if found is not None:
            return found
        made = self._client.call(
            "playlists.insert",
            lambda api: api.playlists().insert(
                part="snippet,status",
                body={"snippet": {"title": title}, "status": {"privacyStatus": privacy}},
            ),
        )
        if not isinstance(made.get("id"), str):
            raise unclear("YouTube's answer to the new playlist can't be read.")
        return str(made["id"])

    def _listed(self, title: str) -> str | None:
        page: str | None = None
        while True:
            answer = self._client.call(
                "playlists.list",
                lambda api, page=page: api.playlists().list(  # type: ignore[misc]
                    part="snippet", mine=True, maxResults=50, pageToken=page
                ),
            )
            for item in items(answer):
                if str(told(item, "snippet", "title")).strip() == title.strip():
                    return str(item.get("id"))
            page = answer.get("nextPageToken")
            if not page:
                return None

    def _insert(self, playlist: str, video_id: str) -> None:
        self._desk.retrying(lambda: self._insert_once(playlist, video_id))

    def _insert_once(self, playlist: str, video_id: str) -> None:
        """Add the video unless it is there: what was sent before may have arrived."""
        answer = self._client.call(
            "playlistItems.list",
            lambda api: api.playlistItems().list(
                part="id", playlistId=playlist, videoId=video_id, maxResults=1
            ),
        )
        if items(answer):
            return
        resource = {"kind": "youtube#video", "videoId": video_id}
        self._client.call(
            "playlistItems.insert",
            lambda api: api.playlistItems().insert(
                part="snippet",
                body={"snippet": {"playlistId": playlist, "resourceId": resource}},
            ),
        )

    # -- what was found before, so that it is not asked for again ---------------------------

    def _known(self) -> dict[str, str]:
        return {k: v for k, v in self._all().get(auth.key_id(), {}).items() if isinstance(v, str)}

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _remember(self, titles: dict[str, str]) -> None:
        disk.write_json(self._file, {**self._all(), auth.key_id(): titles})
