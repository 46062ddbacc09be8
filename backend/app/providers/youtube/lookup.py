"""Whether a video came to be of which no answer came: looked for by its marker."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from app.providers import Desk
from app.providers.youtube import metadata
from app.providers.youtube.client import Client

PAUSES = (5.0, 10.0, 20.0, 40.0)
"""Seconds between two looks; the last one again and again."""
MOST_PAGES = 6
"""Pages of 50 that are looked through, the newest uploads first."""
CLOCKS_APART = 3600.0
"""Seconds by which the service's clock and ours may differ."""


def find(
    client: Client, desk: Desk, marker: str, *, size: int, since: float, patience: float
) -> dict[str, Any] | None:
    """Return the channel's video with that marker and size, or None.

    Args:
        client: The connection.
        desk: Where pauses are made.
        marker: On the last line of its description.
        size: Bytes of its file.
        since: When its upload began, seconds since the epoch.
        patience: Seconds for which it is looked for again: a new video is not listed at once.

    Raises:
        ReelchainError: What YouTube's refusal means.
    """
    deadline = time.monotonic() + patience
    for number in range(10_000):
        found = desk.retrying(lambda: _look(client, marker, size, since))
        left = deadline - time.monotonic()
        if found is not None or left <= 0:
            return found
        desk.pause(min(PAUSES[min(number, len(PAUSES) - 1)], left))
    return None


def _look(client: Client, marker: str, size: int, since: float) -> dict[str, Any] | None:
    uploads = _uploads(client)
    page: str | None = None
    for _ in range(MOST_PAGES if uploads else 0):
        answer = client.call(
            "playlistItems.list",
            lambda api, page=page: api.playlistItems().list(  # type: ignore[misc]
                part="snippet,contentDetails", playlistId=uploads, maxResults=50, pageToken=page
            ),
        )
        items = [item for item in answer.get("items") or [] if isinstance(item, dict)]
        for item in items:
            if metadata.has_marker(_of(item, "snippet", "description"), marker):
                video = _confirmed(client, str(_of(item, "contentDetails", "videoId")), size)
                if video is not None:
                    return video
        page = answer.get("nextPageToken")
        if not page or any(_older(item, since - CLOCKS_APART) for item in items):
            return None
    return None


def _uploads(client: Client) -> str | None:
    """Return the id of the playlist that holds all of the channel's uploads."""
    answer = client.call(
        "channels.list", lambda api: api.channels().list(part="contentDetails", mine=True)
    )
    for channel in answer.get("items") or []:
        found = _of(channel, "contentDetails", "relatedPlaylists")
        if isinstance(found, dict) and isinstance(found.get("uploads"), str):
            return str(found["uploads"])
    return None


def _confirmed(client: Client, video_id: str, size: int) -> dict[str, Any] | None:
    """Return the video unless it is of another size: what came of a broken upload is not ours."""
    answer = client.call(
        "videos.list",
        lambda api: api.videos().list(part="fileDetails,snippet,status", id=video_id),
    )
    for video in answer.get("items") or []:
        told = _of(video, "fileDetails", "fileSize")
        if told is None or str(told) == str(size):
            return dict(video)
    return None


def _of(item: Any, part: str, name: str) -> Any:
    inner = item.get(part) if isinstance(item, dict) else None
    return inner.get(name) if isinstance(inner, dict) else None


def _older(item: Any, than: float) -> bool:
    try:
        moment = datetime.fromisoformat(str(_of(item, "snippet", "publishedAt")))
    except ValueError:
        return False
    return moment.timestamp() < than
