"""What the local YouTube refuses, and what each call costs: tables and pure checks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_SCOPE = "https://www.googleapis.com/auth/youtube"
YOUTUBE, FORCE_SSL = _SCOPE, f"{_SCOPE}.force-ssl"
UPLOAD, READONLY = f"{_SCOPE}.upload", f"{_SCOPE}.readonly"
WRITE = frozenset({YOUTUBE, FORCE_SSL})
READ = WRITE | {READONLY}
SEND = WRITE | {UPLOAD}

GRAIN = 262_144
"""Chunks but the last are a multiple of this, and so is what a fault lets the server keep."""
LARGEST_VIDEO = 256 * 1024**3
LARGEST_IMAGE = 50 * 1024**2
LARGEST_CAPTIONS = 100 * 1024**2
CATEGORIES = frozenset(map(str, (1, 2, 10, 15, 17, *range(19, 21), *range(22, 30))))

_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_DOMAINS = {
    "quotaExceeded": "youtube.quota",
    "dailyLimitExceeded": "usageLimits",
    "rateLimitExceeded": "usageLimits",
    "userRateLimitExceeded": "usageLimits",
    "authError": "global",
    "insufficientPermissions": "global",
}


class Refusal(Exception):  # noqa: N818 - an answer like any other, not a fault of the server
    """A request is answered with Google's error document.

    Attributes:
        wrong: A correct client would never have asked this; it becomes a line of `violations`.
    """

    def __init__(self, status: int, reason: str, message: str, *, wrong: bool = False) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.wrong = status, reason, message, wrong

    def document(self) -> dict[str, Any]:
        domain = _DOMAINS.get(self.reason, "youtube.api")
        error: dict[str, Any] = {"message": self.message, "domain": domain, "reason": self.reason}
        if self.status == 401:
            error |= {"locationType": "header", "location": "Authorization"}
        body: dict[str, Any] = {"code": self.status, "message": self.message, "errors": [error]}
        if self.status in _STATUS_NAMES:
            body["status"] = _STATUS_NAMES[self.status]
        return {"error": body}


def wrong(reason: str, message: str, status: int = 400) -> Refusal:
    """Return a refusal that no correct client ever gets."""
    return Refusal(status, reason, message, wrong=True)


@dataclass(frozen=True)
class Method:
    """One method of the service: its address, its cost, who may call it, what it knows."""

    http: str
    path: str
    scopes: frozenset[str]
    units: int
    parts: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    upload: tuple[str, ...] = ()
    bucket: str = "units"


def _method(http: str, path: str, scopes: frozenset[str], units: int, **rest: Any) -> Method:
    names = {"parts", "required", "optional"}
    given: dict[str, Any] = {k: frozenset(v.split()) if k in names else v for k, v in rest.items()}
    return Method(http, path, scopes, units, **given)


_VIDEO_PARTS = (
    "id snippet status contentDetails processingDetails fileDetails localizations recordingDetails"
)
_PAGED = "maxResults pageToken"
METHODS = {
    "videos.insert": _method(
        "POST", "/upload/youtube/v3/videos", SEND, 1, bucket="videos.insert", parts=_VIDEO_PARTS,
        required="part", optional="notifySubscribers", upload=("resumable",),
    ),
    "videos.list": _method(
        "GET", "/youtube/v3/videos", READ, 1, parts=_VIDEO_PARTS, required="part id",
        optional="maxResults",
    ),
    "thumbnails.set": _method(
        "POST", "/upload/youtube/v3/thumbnails/set", SEND, 50, required="videoId", upload=("media",),
    ),
    "captions.insert": _method(
        "POST", "/upload/youtube/v3/captions", frozenset({FORCE_SSL}), 400, parts="id snippet",
        required="part", upload=("multipart",),
    ),
    "captions.list": _method(
        "GET", "/youtube/v3/captions", frozenset({FORCE_SSL}), 50, parts="id snippet",
        required="part videoId", optional="id",
    ),
    "channels.list": _method(
        "GET", "/youtube/v3/channels", READ, 1, parts="id snippet contentDetails status",
        required="part mine", optional="maxResults",
    ),
    "playlistItems.list": _method(
        "GET", "/youtube/v3/playlistItems", READ, 1, parts="id snippet contentDetails status",
        required="part playlistId", optional=f"videoId {_PAGED}",
    ),
    "playlistItems.insert": _method(
        "POST", "/youtube/v3/playlistItems", WRITE, 50, parts="id snippet contentDetails status",
        required="part",
    ),
    "playlists.list": _method(
        "GET", "/youtube/v3/playlists", READ, 1, parts="id snippet status contentDetails",
        required="part", optional=f"mine id {_PAGED}",
    ),
    "playlists.insert": _method(
        "POST", "/youtube/v3/playlists", WRITE, 50, parts="id snippet status contentDetails",
        required="part",
    ),
    "search.list": _method(
        "GET", "/youtube/v3/search", READ, 1, bucket="search.list", parts="snippet id",
        required="part forMine type", optional=f"q order publishedAfter {_PAGED}",
    ),
}  # fmt: skip
ROUTES = {(method.http, method.path): name for name, method in METHODS.items()}
_EVERYWHERE = frozenset({"alt", "prettyPrint", "quotaUser"})


def check_query(name: str, query: Mapping[str, str]) -> list[str]:
    """Check a request's parameters; return the parts it names."""
    method = METHODS[name]
    known = method.required | method.optional | _EVERYWHERE
    if method.upload:
        known |= {"uploadType"}
        if query.get("uploadType") not in method.upload:
            raise wrong("badRequest", f"uploadType must be one of {method.upload}.")
    for key in query:
        if key not in known:
            raise wrong("unexpectedParameter", f"Unknown parameter {key!r}.")
    for key in sorted(method.required):
        if not query.get(key):
            raise wrong("missingRequiredParameter", f"Parameter {key!r} is missing.")
    if query.get("alt", "json") != "json":
        raise wrong("badRequest", "alt must be json.")
    return _check_parts(method, query.get("part", ""))


def _check_parts(method: Method, text: str) -> list[str]:
    parts = [part for part in text.split(",") if part]
    for part in parts:
        if part not in method.parts:
            raise wrong("unknownPart", f"Unknown part {part!r}.")
    return parts


def check_fields(given: Any, known: Mapping[str, Any], at: str) -> None:
    """Check an object's fields against `name: type`; a dict as type is looked into."""
    if not isinstance(given, dict):
        raise wrong("badRequest", f"{at} must be an object.")
    for key, value in given.items():
        if key not in known:
            raise wrong("badRequest", f"Unknown field {at}.{key}.")
        kind = known[key]
        if isinstance(kind, dict):
            check_fields(value, kind, f"{at}.{key}")
        elif type(value) is not kind:
            raise wrong("badRequest", f"{at}.{key} must be {kind.__name__}.")


_VIDEO_FIELDS: dict[str, Any] = {
    "snippet": {
        "title": str,
        "description": str,
        "tags": list,
        "categoryId": str,
        "defaultLanguage": str,
        "defaultAudioLanguage": str,
    },
    "status": {
        "privacyStatus": str,
        "publishAt": str,
        "license": str,
        "embeddable": bool,
        "publicStatsViewable": bool,
        "selfDeclaredMadeForKids": bool,
        "containsSyntheticMedia": bool,
    },
    "recordingDetails": {"recordingDate": str},
    "localizations": dict,
}


def check_video(body: Any, parts: Iterable[str]) -> list[str]:
    """Check the body of videos.insert by the rules of the service.

    Returns:
        Complaints about what the service takes and a careful client does not send.
    """
    check_fields(body, _VIDEO_FIELDS, "video")
    for section in body:
        if section not in parts:
            raise wrong("badRequest", f"The body has {section!r}, part does not name it.")
    snippet, status = body.get("snippet", {}), body.get("status", {})
    _check_snippet(snippet)
    if "localizations" in body:
        _check_localizations(body["localizations"], snippet)
    return _check_status(status)


def _check_snippet(snippet: Mapping[str, Any]) -> None:
    title, description = snippet.get("title", ""), snippet.get("description", "")
    if not title.strip() or len(title) > 100 or re.search("[<>]", title):
        raise wrong("invalidTitle", "The title is empty, too long, or has < or >.")
    if len(description.encode()) > 5000 or re.search("[<>]", description):
        raise wrong("invalidDescription", "The description is over 5000 bytes, or has < or >.")
    tags = snippet.get("tags", [])
    if any(not isinstance(tag, str) or not tag or re.search("[<>]", tag) for tag in tags):
        raise wrong("invalidTags", "A tag is empty, not a text, or has < or >.")
    if tags_length(tags) > 500:
        raise wrong("invalidTags", "The tags have more than 500 characters in all.")
    if snippet.get("categoryId", "22") not in CATEGORIES:
        raise wrong("invalidCategoryId", "The category cannot be assigned.")


def tags_length(tags: list[str]) -> int:
    """Return the tags' length as counted: commas between, quotation marks around spaces."""
    return sum(len(tag) + 2 * (" " in tag) for tag in tags) + max(len(tags) - 1, 0)


def _check_localizations(texts: Any, snippet: Mapping[str, Any]) -> None:
    if "defaultLanguage" not in snippet:
        raise wrong("defaultLanguageNotSet", "localizations need snippet.defaultLanguage.")
    for language, text in texts.items():
        check_fields(text, {"title": str, "description": str}, f"video.localizations.{language}")


def _check_status(status: Mapping[str, Any]) -> list[str]:
    if status.get("license", "youtube") not in {"youtube", "creativeCommon"}:
        raise wrong("forbiddenLicenseSetting", "No such licence.", 403)
    privacy = status.get("privacyStatus")
    if privacy not in {None, "public", "unlisted", "private"}:
        raise wrong("forbiddenPrivacySetting", "No such privacy.", 403)
    if "publishAt" in status and (privacy != "private" or instant(status["publishAt"]) is None):
        raise wrong("invalidPublishAt", "publishAt needs privacy private and an ISO time.")
    return [] if privacy else ["status.privacyStatus is missing: the video is public"]


def instant(text: str) -> float | None:
    """Return the seconds since 1970 of an ISO 8601 time with its zone, or nothing."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed.timestamp() if parsed.tzinfo and "T" in text else None


def check_image(body: bytes, content_type: str) -> None:
    """Check the body of thumbnails.set."""
    kinds = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n"}
    if content_type not in {*kinds, "application/octet-stream"}:
        raise wrong("badRequest", f"No image has the type {content_type!r}.")
    if not body:
        raise wrong("mediaBodyRequired", "The request has no image.")
    if len(body) > LARGEST_IMAGE:
        raise wrong("uploadTooLarge", "The image is over 50 MB.", 413)
    allowed = [kinds[content_type]] if content_type in kinds else list(kinds.values())
    if not body.startswith(tuple(allowed)):
        raise wrong("invalidImage", "The bytes are no image of that type.")


_CAPTION = {"snippet": {"videoId": str, "language": str, "name": str, "isDraft": bool}}


def check_caption(body: Any, content: bytes) -> dict[str, Any]:
    """Check both halves of captions.insert; return the snippet."""
    check_fields(body, _CAPTION, "caption")
    snippet: dict[str, Any] = body.get("snippet", {})
    for key in ("videoId", "language", "name"):
        if key not in snippet:
            raise wrong("invalidMetadata", f"caption.snippet.{key} is missing.")
    if len(snippet["name"]) > 150 or not re.fullmatch(r"[A-Za-z]{2,3}(-\w+)*", snippet["language"]):
        raise wrong("invalidMetadata", "The name is over 150 characters, or no such language.")
    if b"-->" not in content:
        raise wrong("contentRequired", "The captions are empty or have no timings.")
    if len(content) > LARGEST_CAPTIONS:
        raise wrong("uploadTooLarge", "The captions are over 100 MB.", 413)
    return snippet


PLAYLIST_FIELDS = {
    "snippet": {"title": str, "description": str, "defaultLanguage": str},
    "status": {"privacyStatus": str},
}
ITEM_FIELDS = {
    "snippet": {
        "playlistId": str,
        "position": int,
        "resourceId": {"kind": str, "videoId": str},
    }
}


def page_of(query: Mapping[str, str]) -> tuple[int, int]:
    """Return where a page starts and how long it is."""
    token, size = query.get("pageToken", ""), query.get("maxResults", "5")
    if not size.isdigit() or int(size) > 50:
        raise wrong("invalidParameter", "maxResults is 0 to 50.")
    if token and not re.fullmatch(r"CAAQ\d+", token):
        raise wrong("invalidPageToken", "No such page.")
    return int(token.removeprefix("CAAQ") or 0), int(size)


@dataclass(frozen=True)
class Range:
    """What a Content-Range says; a status query has neither first nor last."""

    first: int | None
    last: int | None
    total: int | None

    @classmethod
    def read(cls, text: str) -> Range:
        found = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", text.strip())
        if found is None:
            raise wrong("badRequest", f"Content-Range {text!r} cannot be read.")
        first, last, total = found.groups()
        return cls(
            int(first) if first else None,
            int(last) if last else None,
            None if total == "*" else int(total),
        )

    def ends(self) -> bool:
        return self.last is not None and self.total == self.last + 1

    def check(self, size: int, length: int) -> None:
        """Check it against the file's size and the Content-Length."""
        if self.total not in {None, size}:
            raise wrong("badRequest", f"The session is for {size} bytes, not {self.total}.")
        if self.first is None or self.last is None:
            if length:
                raise wrong("badRequest", "A status query has no body.")
            return
        if self.total is None:
            raise wrong("badRequest", "The total is missing.")
        if self.last - self.first + 1 != length or self.last >= size:
            raise wrong("badRequest", f"The range {self} does not fit Content-Length {length}.")
        if not self.ends() and length % GRAIN:
            raise wrong("badRequest", f"{length} bytes are no multiple of {GRAIN}.")


def marker_of(body: Mapping[str, Any]) -> str:
    """Return the `ref rc-…` that the description's last line consists of, or nothing."""
    snippet = body.get("snippet")
    text = snippet.get("description", "") if isinstance(snippet, dict) else ""
    lines = str(text).strip().splitlines()
    found = re.fullmatch(r"ref rc-\S+", lines[-1].strip()) if lines else None
    return found[0] if found else ""


def grains(length: int) -> int:
    """Return how many multiples of the grain are shorter than a length, zero among them."""
    return math.ceil(length / GRAIN)


@dataclass
class Shop:
    """The quota counters of one project."""

    limits: Mapping[str, int]
    spent: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        for bucket in ("videos.insert", "search.list", "units"):
            self.spent[bucket] = 0

    def charge(self, name: str) -> None:
        method = METHODS[name]
        limit = self.limits.get(method.bucket)
        if limit is not None and self.spent[method.bucket] + method.units > limit:
            raise Refusal(403, "quotaExceeded", "You have exceeded your quota.")
        self.spent[method.bucket] += method.units
