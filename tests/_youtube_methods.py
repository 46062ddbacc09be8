"""The methods of the local YouTube that are one request and one answer."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import _youtube_rules as rules
from _youtube_parts import Playlist, Video
from _youtube_rules import Refusal, wrong
from _youtube_wire import Answer, Request

if TYPE_CHECKING:
    from _youtube import YouTube

_Handler = Callable[["YouTube", Request], dict[str, Any]]


def handle(server: YouTube, request: Request) -> Answer:
    """Answer a call whose body has come, token and quota being right."""
    with server.lock:
        return Answer.json(200, _HANDLERS[request.call.name](server, request))


def time_of(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _etag(value: Any) -> str:
    return hashlib.sha1(repr(value).encode(), usedforsecurity=False).hexdigest()[:27]


def _resource(kind: str, identity: str, sections: dict[str, Any], parts: Iterable[str]) -> Any:
    shown = {name: sections[name] for name in parts if name != "id"}
    return {"kind": f"youtube#{kind}", "etag": _etag(shown), "id": identity, **shown}


def _list(kind: str, items: list[Any], query: dict[str, str]) -> dict[str, Any]:
    start, size = rules.page_of(query)
    page = items[start : start + size]
    answer = {"kind": f"youtube#{kind}ListResponse", "etag": _etag(page)}
    if start + size < len(items):
        answer["nextPageToken"] = f"CAAQ{start + size}"
    information = {"totalResults": len(items), "resultsPerPage": size}
    return answer | {"pageInfo": information, "items": page}


def _json_body(request: Request) -> Any:
    if request.content_type() != "application/json":
        raise wrong("badRequest", "The body must be application/json.")
    return parsed(request.body)


def parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise wrong("parseError", "The body is no JSON.") from None


# Videos ------------------------------------------------------------------------------------


def video_resource(server: YouTube, video: Video, parts: Iterable[str]) -> dict[str, Any]:
    """Return a video as it stands, of the parts asked for."""
    snippet, status = video.body.get("snippet", {}), dict(video.body.get("status", {}))
    upload, reason = server.processing(video)
    due = rules.instant(status["publishAt"]) if "publishAt" in status else None
    if due is not None and due <= server.clock():
        status |= {"privacyStatus": "public"}
        del status["publishAt"]
    status = {"privacyStatus": "public", "license": "youtube", "embeddable": True} | status
    status |= {"uploadStatus": upload, "madeForKids": status.get("selfDeclaredMadeForKids", False)}
    if upload in {"failed", "rejected"}:
        status["failureReason" if upload == "failed" else "rejectionReason"] = reason
    progress = {"uploaded": "processing", "processed": "succeeded", "failed": "failed"}
    processing = {"processingStatus": progress.get(upload, "terminated")}
    if upload == "failed":
        processing["processingFailureReason"] = "transcodeFailed"
    sections = {
        "snippet": _snippet(server, video, snippet),
        "status": status,
        "processingDetails": processing | {"fileDetailsAvailability": "available"},
        "fileDetails": {
            "fileName": video.file_name or "unknown",
            "fileSize": str(video.size),
            "fileType": "video",
        },
        "contentDetails": {"duration": "PT0S", "dimension": "2d", "definition": "hd"},
        "localizations": video.body.get("localizations", {}),
        "recordingDetails": video.body.get("recordingDetails", {}),
    }
    return dict(_resource("video", video.id, sections, parts))


def _snippet(server: YouTube, video: Video, sent: dict[str, Any]) -> dict[str, Any]:
    texts = {"title": sent.get("title", ""), "description": sent.get("description", "")}
    address = f"{server.root}vi/{video.id}/default.jpg"
    return {
        "publishedAt": time_of(video.at),
        "channelId": server.channel,
        "categoryId": "22",
        "liveBroadcastContent": "none",
        "thumbnails": {"default": {"url": address, "width": 120, "height": 90}},
        "localized": texts,
        **sent,
        **texts,
    }


def _videos_list(server: YouTube, request: Request) -> dict[str, Any]:
    ids = request.query["id"].split(",")
    if len(ids) > 50:
        raise wrong("invalidParameter", "At most 50 ids.")
    found = [server.videos[name] for name in dict.fromkeys(ids) if name in server.videos]
    for video in found:
        if {"status", "processingDetails"} & set(request.parts):
            video.polls += 1
    items = [video_resource(server, video, request.parts) for video in found]
    return _list("video", items, {"maxResults": "50"})


def _video(server: YouTube, request: Request, name: str) -> Video:
    """Return a video by its id; right after an upload it is not to be found for a while."""
    video = server.videos.get(name)
    if video is None:
        raise Refusal(404, "videoNotFound", "The video cannot be found.")
    request.call.video, request.call.marker = video.id, video.marker
    left = video.not_ready.get(request.call.name, server.not_ready)
    if left > 0:
        video.not_ready[request.call.name] = left - 1
        raise Refusal(404, "videoNotFound", "The video cannot be found.")
    return video


def _thumbnails_set(server: YouTube, request: Request) -> dict[str, Any]:
    rules.check_image(request.body, request.content_type())
    video = _video(server, request, request.query["videoId"])
    video.thumbnails.append(hashlib.sha256(request.body).hexdigest())
    address = f"{server.root}vi/{video.id}/default.jpg"
    items = [{"default": {"url": address, "width": 120, "height": 90}}]
    return {"kind": "youtube#thumbnailSetResponse", "etag": _etag(items), "items": items}


# Captions ----------------------------------------------------------------------------------


def multipart(request: Request) -> tuple[Any, bytes]:
    """Return the JSON and the file of a multipart/related body, byte for byte."""
    boundary = re.search(r'boundary="?([^";]+)"?', request.header("Content-Type"))
    if request.content_type() != "multipart/related" or boundary is None:
        raise wrong("badContent", "The body must be multipart/related with a boundary.")
    edge = rb"(?:^|\r?\n)--" + re.escape(boundary[1].encode()) + rb"(?:--)?[ \t]*(?:\r?\n|$)"
    halves = []
    for part in re.split(edge, request.body)[1:-1]:
        head, *content = re.split(rb"\r?\n\r?\n", part, maxsplit=1)
        halves.append((head.decode().lower(), b"".join(content)))
    if len(halves) != 2 or "application/json" not in halves[0][0]:
        raise wrong("badContent", "The body must be JSON first, then the file.")
    if "content-type:" not in halves[1][0]:
        raise wrong("badContent", "The file has no Content-Type.")
    return parsed(halves[0][1]), halves[1][1]


def _captions_insert(server: YouTube, request: Request) -> dict[str, Any]:
    if "snippet" not in request.parts:
        raise wrong("badRequest", "part must name snippet.")
    body, content = multipart(request)
    snippet = rules.check_caption(body, content)
    video = _video(server, request, snippet["videoId"])
    for track in video.captions:
        if (track["language"], track["name"]) == (snippet["language"], snippet["name"]):
            raise Refusal(409, "captionExists", "There is such a caption track.")
    track = {
        "language": snippet["language"],
        "name": snippet["name"],
        "sha256": hashlib.sha256(content).hexdigest(),
        "id": f"AUieDa{secrets.token_urlsafe(24)}",
    }
    video.captions.append(track)
    return _caption(video, track, request.parts)


def _caption(video: Video, track: dict[str, str], parts: list[str]) -> dict[str, Any]:
    snippet = {
        "videoId": video.id,
        "language": track["language"],
        "name": track["name"],
        "trackKind": "standard",
        "isDraft": False,
        "status": "serving",
    }
    return dict(_resource("caption", track["id"], {"snippet": snippet}, parts))


def _captions_list(server: YouTube, request: Request) -> dict[str, Any]:
    video = server.videos.get(request.query["videoId"])
    if video is None:
        raise Refusal(404, "videoNotFound", "The video cannot be found.")
    items = [_caption(video, track, request.parts) for track in video.captions]
    return {"kind": "youtube#captionListResponse", "etag": _etag(items), "items": items}


# Channel and playlists ---------------------------------------------------------------------


def _channels_list(server: YouTube, request: Request) -> dict[str, Any]:
    sections = {
        "snippet": {"title": "A channel", "description": ""},
        "contentDetails": {"relatedPlaylists": {"likes": "LL", "uploads": server.uploads}},
        "status": {"privacyStatus": "public", "isLinked": True, "longUploadsStatus": "allowed"},
    }
    items = [_resource("channel", server.channel, sections, request.parts)]
    return _list("channel", items if server.has_channel else [], {"maxResults": "5"})


def _uploaded(server: YouTube, request: Request) -> list[Video]:
    """Return the videos that listings show already, newest first."""
    found = [video for video in server.videos.values() if video.hidden <= 0]
    if "pageToken" not in request.query and request.call.name == "playlistItems.list":
        for video in server.videos.values():
            video.hidden -= 1
    return found[::-1]


def _item(server: YouTube, playlist: str, place: int, video: Video, parts: list[str]) -> Any:
    sent = video.body.get("snippet", {})
    address = {"kind": "youtube#video", "videoId": video.id}
    sections = {
        "snippet": {
            "publishedAt": time_of(video.at),
            "channelId": server.channel,
            "title": sent.get("title", ""),
            "description": sent.get("description", ""),
            "playlistId": playlist,
            "position": place,
            "resourceId": address,
        },
        "contentDetails": {"videoId": video.id, "videoPublishedAt": time_of(video.at)},
        "status": {"privacyStatus": video.body.get("status", {}).get("privacyStatus", "public")},
    }
    name = base64.urlsafe_b64encode(f"{playlist}.{place}.{video.id}".encode()).decode()
    return _resource("playlistItem", f"UE{name}", sections, parts)


def _items_list(server: YouTube, request: Request) -> dict[str, Any]:
    name, wanted = request.query["playlistId"], request.query.get("videoId")
    if name == server.uploads:
        videos = _uploaded(server, request)
    elif name in server.playlists:
        videos = [server.videos[item] for item in server.playlists[name].items]
    else:
        raise Refusal(404, "playlistNotFound", "The playlist cannot be found.")
    items = [
        _item(server, name, place, video, request.parts)
        for place, video in enumerate(videos)
        if wanted in {None, video.id}
    ]
    return _list("playlistItem", items, request.query)


def _items_insert(server: YouTube, request: Request) -> dict[str, Any]:
    body = _json_body(request)
    rules.check_fields(body, rules.ITEM_FIELDS, "playlistItem")
    snippet = body.get("snippet", {})
    resource = snippet.get("resourceId", {})
    if "snippet" not in request.parts or resource.get("kind") != "youtube#video":
        raise wrong("invalidResourceType", "part must name snippet, the kind be youtube#video.")
    playlist = server.playlists.get(snippet.get("playlistId", ""))
    if playlist is None:
        raise Refusal(404, "playlistNotFound", "The playlist cannot be found.")
    video = _video(server, request, resource.get("videoId", ""))
    place = snippet.get("position", len(playlist.items))
    if not 0 <= place <= len(playlist.items):
        raise wrong("invalidPlaylistItemPosition", "No such position.")
    playlist.items.insert(place, video.id)
    return dict(_item(server, playlist.id, place, video, request.parts))


def _playlist(playlist: Playlist, parts: list[str]) -> dict[str, Any]:
    sections = {
        "snippet": {"title": playlist.title, "description": ""},
        "status": {"privacyStatus": playlist.privacy},
        "contentDetails": {"itemCount": len(playlist.items)},
    }
    return dict(_resource("playlist", playlist.id, sections, parts))


def _playlists_list(server: YouTube, request: Request) -> dict[str, Any]:
    if ("id" in request.query) == (request.query.get("mine") == "true"):
        raise wrong("badRequest", "Either id or mine=true.")
    wanted = request.query.get("id", ",".join(server.playlists)).split(",")
    found = [playlist for playlist in server.playlists.values() if playlist.id in wanted]
    return _list("playlist", [_playlist(p, request.parts) for p in found], request.query)


def _playlists_insert(server: YouTube, request: Request) -> dict[str, Any]:
    body = _json_body(request)
    rules.check_fields(body, rules.PLAYLIST_FIELDS, "playlist")
    for section in body:
        if section not in request.parts:
            raise wrong("badRequest", f"The body has {section!r}, part does not name it.")
    title = body.get("snippet", {}).get("title", "")
    if not title.strip():
        raise wrong("playlistTitleRequired", "The playlist has no title.")
    if len(title) > 150 or re.search("[<>]", title):
        raise wrong("invalidPlaylistSnippet", "The title is too long, or has < or >.")
    privacy = body.get("status", {}).get("privacyStatus")
    if privacy not in {None, "public", "unlisted", "private"}:
        raise wrong("playlistForbidden", "No such privacy.", 403)
    if privacy is None:
        server.complain(request.call, "status.privacyStatus is missing: the playlist is public")
    playlist = Playlist(f"PL{secrets.token_urlsafe(24)}", title, privacy or "public")
    server.playlists[playlist.id] = playlist
    return _playlist(playlist, request.parts)


def _search_list(server: YouTube, request: Request) -> dict[str, Any]:
    if request.query["forMine"] != "true" or request.query["type"] != "video":
        raise wrong("invalidSearchFilter", "forMine=true needs type=video.")
    words = request.query.get("q", "").lower()
    found = []
    for video in _uploaded(server, request):
        snippet = _snippet(server, video, video.body.get("snippet", {}))
        if words in f"{snippet['title']} {snippet['description']}".lower():
            identity = {"kind": "youtube#video", "videoId": video.id}
            shown = {"snippet": snippet} if "snippet" in request.parts else {}
            found.append({"kind": "youtube#searchResult", "id": identity, **shown})
    return _list("search", found, request.query)


_HANDLERS: dict[str, _Handler] = {
    "videos.list": _videos_list,
    "thumbnails.set": _thumbnails_set,
    "captions.insert": _captions_insert,
    "captions.list": _captions_list,
    "channels.list": _channels_list,
    "playlistItems.list": _items_list,
    "playlistItems.insert": _items_insert,
    "playlists.list": _playlists_list,
    "playlists.insert": _playlists_insert,
    "search.list": _search_list,
}
