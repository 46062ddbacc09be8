"""Whether a video came to be of which no answer came: looked for by its marker."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

from app.providers import Desk
from app.providers.youtube import metadata
from app.providers.youtube.answers import items, told
from app.providers.youtube.client import Client

PAUSES = (5.0, 10.0, 20.0, 40.0)
"""Seconds between two looks; the last one again and again."""
MOST_PAGES = 200
"""Pages of 50 that are looked through, the newest uploads first, back to when the upload began."""
CLOCKS_APART = 3600.0
"""Seconds by which the service's clock and ours may differ."""


def find(
    client: Client, desk: Desk, marker: str, *, size: int | None, since: float, patience: float
) -> dict[str, Any] | None:
    """Return the channel's video with that marker and size, or None.

    Args:
        client: The connection.
        desk: Where pauses are made.
        marker: On the last line of its description.
        size: Bytes of its file; None takes any.
        since: When its upload began, seconds since the epoch.
        patience: Seconds for which it is looked for again: a new video is not listed at once.

    Raises:
        ReelchainError: What YouTube's refusal means.
    """
    waited = 0.0  # pauses only: a slow look is no patience
    pauses = itertools.chain(PAUSES, itertools.repeat(PAUSES[-1]))
    while True:
        found = desk.retrying(lambda: _look(client, marker, size, since))
        if found is not None or waited >= patience:
            return found
        pause = min(next(pauses), patience - waited)
        desk.pause(pause)
        waited += pause


def _look(client: Client, marker: str, size: int | None, since: float) -> dict[str, Any] | None:
    uploads = _uploads(client)
    page: str | None = None
    for _ in range(MOST_PAGES if uploads else 0):
        answer = client.call(
            "playlistItems.list",
            lambda api, page=page: api.playlistItems().list(  # type: ignore[misc]
                part="snippet,contentDetails", playlistId=uploads, maxResults=50, pageToken=page
            ),
        )
        rows = items(answer)
        for row in rows:
            if metadata.has_marker(told(row, "snippet", "description"), marker):
                video = _confirmed(client, str(told(row, "contentDetails", "videoId")), size)
                if video is not None:
                    return video
        page = answer.get("nextPageToken")
        if not page or any(_older(row, since - CLOCKS_APART) for row in rows):
            return None
    return None


def _uploads(client: Client) -> str | None:
    """Return the id of the playlist that holds all of the channel's uploads."""
    answer = client.call(
        "channels.list", lambda api: api.channels().list(part="contentDetails", mine=True)
    )
    found = [told(row, "contentDetails", "relatedPlaylists", "uploads") for row in items(answer)]
    return next((name for name in found if isinstance(name, str)), None)


def _confirmed(client: Client, video_id: str, size: int | None) -> dict[str, Any] | None:
    """Return the video unless it is of another size: what came of a broken upload is not ours."""
    answer = client.call(
        "videos.list",
        lambda api: api.videos().list(part="fileDetails,snippet,status", id=video_id),
    )
    for video in items(answer):
        found = told(video, "fileDetails", "fileSize")
        if size is None or found is None or str(found) == str(size):
            return video
    return None


def _older(row: dict[str, Any], than: float) -> bool:
    try:
        moment = datetime.fromisoformat(str(told(row, "snippet", "publishedAt")))
    except ValueError:
        return False
    return moment.timestamp() < than
