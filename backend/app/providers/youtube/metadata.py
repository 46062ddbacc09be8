"""What is told about a video, in YouTube's fields and within its limits.

Limits: YouTube Data API v3, resource `videos`. Nothing is cut: what does not fit is the user's to
change.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from app.errors import InputError
from app.providers import Announcement

TITLE_CHARACTERS = 100
DESCRIPTION_BYTES = 5000
TAGS_CHARACTERS = 500
PLAYLIST_CHARACTERS = 150
CATEGORIES = {
    "film": "1",
    "autos": "2",
    "music": "10",
    "pets": "15",
    "sports": "17",
    "travel": "19",
    "gaming": "20",
    "people": "22",
    "comedy": "23",
    "entertainment": "24",
    "news": "25",
    "howto": "26",
    "education": "27",
    "science": "28",
    "nonprofits": "29",
}
"""Name → number of each category that a video may be put in (videoCategories.list, US)."""


def marker_line(marker: str) -> str:
    """Return the description's last line, by which a video is found again."""
    return f"ref {marker}"


def description(announcement: Announcement, marker: str) -> str:
    """Return the description as it is sent, the marker's line at its end."""
    text = announcement.description.strip()
    return f"{text}\n\n{marker_line(marker)}" if text else marker_line(marker)


def has_marker(text: object, marker: str) -> bool:
    """Tell whether a video's description is one of ours with that marker."""
    lines = text.rstrip().splitlines() if isinstance(text, str) else []
    return bool(lines) and lines[-1].strip() == marker_line(marker)


def check(announcement: Announcement, marker: str) -> None:
    """Make sure that YouTube takes what is told.

    Raises:
        InputError: `youtube_title`, `youtube_description`, `youtube_tags`, `youtube_category`,
            `youtube_playlist`, or `publish_at_not_private`.
    """
    _check_title(announcement.title)
    _check_description(announcement, marker)
    size = tags_size(announcement.tags)
    if size > TAGS_CHARACTERS:
        raise InputError(
            "youtube_tags",
            f"The tags take {size} characters, and YouTube takes {TAGS_CHARACTERS} in all.",
            "Give fewer or shorter ones; each comma counts, and two more for a tag with a space.",
        )
    category(announcement.category)
    _check_playlist(announcement.playlist)
    if announcement.publish_at is not None and announcement.privacy != "private":
        raise InputError(
            "publish_at_not_private",
            "A video that becomes public by itself later is private until then.",
            "Set privacy: private, or leave publish_at out.",
        )


def _check_title(title: str) -> None:
    if not title.strip():
        raise InputError("youtube_title", "The video has no title.", "Give it one.")
    if len(title) > TITLE_CHARACTERS:
        raise InputError(
            "youtube_title",
            f"The title has {len(title)} characters, and YouTube takes {TITLE_CHARACTERS}.",
            "Give a shorter one: title: … in the story, or --title.",
        )
    _check_brackets("title", title)


def _check_description(announcement: Announcement, marker: str) -> None:
    size = len(description(announcement, marker).encode())
    if size > DESCRIPTION_BYTES:
        own = len(marker_line(marker)) + 2
        raise InputError(
            "youtube_description",
            f"The description takes {size} bytes, {own} of them for the line by which the video is "
            f"found again; YouTube takes {DESCRIPTION_BYTES}.",
            "Shorten it; a Chinese character takes three bytes.",
        )
    _check_brackets("description", announcement.description)


def _check_playlist(title: str | None) -> None:
    if title is None:
        return
    if not title.strip() or len(title) > PLAYLIST_CHARACTERS:
        raise InputError(
            "youtube_playlist",
            f"The playlist's title has {len(title.strip())} characters; YouTube takes 1 to "
            f"{PLAYLIST_CHARACTERS}.",
            "Give another one: playlist: … in the story, or --playlist.",
        )
    _check_brackets("playlist", title)


def _check_brackets(name: str, text: str) -> None:
    if "<" in text or ">" in text:
        raise InputError(
            f"youtube_{name}",
            f"The {name} holds < or >, which YouTube does not take.",
            "Write it without, or with the full-width ＜ and ＞.",
        )


def tags_size(tags: tuple[str, ...]) -> int:
    """Return the characters that tags take, as YouTube counts them."""
    return sum(len(tag) + (2 if " " in tag else 0) for tag in tags) + max(len(tags) - 1, 0)


def category(name: str) -> str:
    """Return a category's number.

    Raises:
        InputError: `youtube_category`, with the names there are.
    """
    wanted = name.strip().lower()
    if wanted in CATEGORIES.values():
        return wanted
    if wanted not in CATEGORIES:
        raise InputError(
            "youtube_category",
            f"YouTube has no category {name!r}.",
            f"Choose one of: {', '.join(CATEGORIES)}; or its number.",
        )
    return CATEGORIES[wanted]


def body(announcement: Announcement, marker: str) -> dict[str, Any]:
    """Return the resource that `videos.insert` gets; its parts are snippet and status."""
    status: dict[str, Any] = {
        "privacyStatus": announcement.privacy,
        "selfDeclaredMadeForKids": announcement.made_for_kids,
        "containsSyntheticMedia": announcement.synthetic_media,
    }
    if announcement.publish_at is not None:
        moment = announcement.publish_at.astimezone(UTC)
        status["publishAt"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    snippet: dict[str, Any] = {
        "title": announcement.title,
        "description": description(announcement, marker),
        "categoryId": category(announcement.category),
        "defaultLanguage": announcement.language,
    }
    if announcement.tags:
        snippet["tags"] = list(announcement.tags)
    return {"snippet": snippet, "status": status}
