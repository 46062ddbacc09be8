"""The local YouTube is as strict as the protocol: asked by the real client, and by hand."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import io
import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httplib2
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseUpload

from _redis import until
from _youtube import FORCE_SSL, UPLOAD, YouTube, environment, video_bytes

GRAIN = 262_144
JPEG = b"\xff\xd8\xff\xe0 a picture"
SRT = b"1\r\n00:00:00,000 --> 00:00:01,000\r\nA line\r\n\r\n"
_DOCUMENT = json.loads(get_static_doc("youtube", "v3"))


@pytest.fixture
def youtube() -> Iterator[YouTube]:
    with YouTube() as server:
        yield server


@pytest.fixture
def client(youtube: YouTube) -> Iterator[Any]:
    with service(youtube, FORCE_SSL) as real:
        yield real


def service(youtube: YouTube, *scopes: str) -> Any:
    """Return the real client, pointed at the local server."""
    credentials = Credentials(
        None,
        refresh_token=youtube.accounts.grant_for(scopes),
        token_uri=youtube.token_uri,
        client_id=youtube.client_id,
        client_secret=youtube.client_secret,
    )
    return build_from_document(_DOCUMENT | {"rootUrl": youtube.root}, credentials=credentials)


def resource(**changes: Any) -> dict[str, Any]:
    snippet = {"title": "A title", "description": "Words\n\nref rc-1a2b", "categoryId": "27"}
    status = {"privacyStatus": "private", "selfDeclaredMadeForKids": False}
    for key, value in changes.items():
        (status if key in {"privacyStatus", "publishAt"} else snippet)[key] = value
    return {"snippet": snippet, "status": status}


def insert(client: Any, content: bytes, *, chunk: int = GRAIN, **changes: Any) -> Any:
    media = MediaIoBaseUpload(io.BytesIO(content), "video/mp4", chunksize=chunk, resumable=True)
    return client.videos().insert(part="snippet,status", body=resource(**changes), media_body=media)


def reason(error: HttpError) -> str:
    return str(json.loads(error.content)["error"]["errors"][0]["reason"])


class Raw:
    """A client by hand: one session of its own, one connection a request."""

    def __init__(self, youtube: YouTube, size: int, body: dict[str, Any] | None = None) -> None:
        self.youtube, self.size = youtube, size
        self.token = youtube.accounts.access_token((FORCE_SSL,))
        answer = self.ask(
            "POST",
            f"{youtube.root}upload/youtube/v3/videos?uploadType=resumable&part=snippet,status",
            json.dumps(body or resource()).encode(),
            {
                "Content-Type": "application/json; charset=UTF-8",
                "X-Upload-Content-Length": str(size),
                "X-Upload-Content-Type": "video/mp4",
            },
        )
        assert answer[0] == 200, answer
        self.uri = answer[1]["Location"]

    def ask(
        self, method: str, uri: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], Any]:
        address = urlsplit(uri)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=5)
        try:
            headers = {"Authorization": f"Bearer {self.token}"} | (headers or {})
            connection.request(method, f"{address.path}?{address.query}", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            document = json.loads(text) if text.startswith(b"{") else None
            return answer.status, dict(answer.getheaders()), document
        finally:
            connection.close()

    def put(self, content: bytes, offset: int, total: int | None = None) -> Any:
        span = f"bytes {offset}-{offset + len(content) - 1}/{total or self.size}"
        return self.ask("PUT", self.uri, content, {"Content-Range": span})

    def state(self) -> tuple[int, str]:
        answer = self.ask("PUT", self.uri, headers={"Content-Range": f"bytes */{self.size}"})
        return answer[0], answer[1].get("Range", "")


def test_a_whole_publish_with_the_real_client(youtube: YouTube, client: Any) -> None:
    content = video_bytes(1, 3 * GRAIN + 17)
    answer, request = None, insert(client, content)
    while answer is None:
        _, answer = request.next_chunk()
    name = answer["id"]
    image = MediaIoBaseUpload(io.BytesIO(JPEG), "image/jpeg")
    client.thumbnails().set(videoId=name, media_body=image).execute()
    track = {"snippet": {"videoId": name, "language": "zh-TW", "name": "", "isDraft": False}}
    text = MediaIoBaseUpload(io.BytesIO(SRT), "application/octet-stream")
    client.captions().insert(part="snippet", body=track, media_body=text).execute()
    with pytest.raises(HttpError) as exists:
        client.captions().insert(part="snippet", body=track, media_body=text).execute()
    assert (exists.value.status_code, reason(exists.value)) == (409, "captionExists")
    body = {"snippet": {"title": "A list"}, "status": {"privacyStatus": "private"}}
    playlist = client.playlists().insert(part="snippet,status", body=body).execute()["id"]
    target = {"playlistId": playlist, "resourceId": {"kind": "youtube#video", "videoId": name}}
    client.playlistItems().insert(part="snippet", body={"snippet": target}).execute()

    video = youtube.videos[name]
    assert (video.size, video.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert video.marker == "ref rc-1a2b"
    assert video.thumbnails == [hashlib.sha256(JPEG).hexdigest()]
    assert [c["sha256"] for c in video.captions] == [hashlib.sha256(SRT).hexdigest()]
    assert youtube.playlists[playlist].items == [name]
    assert youtube.spent == {"videos.insert": 1, "search.list": 0, "units": 50 + 800 + 50 + 50}
    assert youtube.violations == []
    chunks = [call for call in youtube.calls if call.name == "videos.insert.chunk"]
    assert [(c.offset, c.kept, c.status) for c in chunks][-1] == (3 * GRAIN, 17, 201)


def test_look_ups_and_processing_with_the_real_client(youtube: YouTube, client: Any) -> None:
    youtube.lag_lookups, youtube.processing_end = 1, {"": ("rejected", "length")}
    names = [insert(client, video_bytes(n, 99)).execute()["id"] for n in range(3)]
    channel = client.channels().list(part="contentDetails", mine=True).execute()["items"][0]
    uploads = channel["contentDetails"]["relatedPlaylists"]["uploads"]
    items = client.playlistItems()
    first = items.list(part="snippet,contentDetails", playlistId=uploads, maxResults=2)
    assert first.execute()["items"] == []
    page = first.execute()
    rest = items.list_next(first, page).execute()
    found = [i["contentDetails"]["videoId"] for i in page["items"] + rest["items"]]
    assert found == names[::-1]
    assert page["items"][0]["snippet"]["description"].endswith("ref rc-1a2b")
    search = client.search().list(part="snippet", forMine=True, type="video", q="rc-1a2b")
    assert len(search.execute()["items"]) == 3
    answers = [
        client.videos().list(part="status,fileDetails", id=names[0]).execute()["items"][0]
        for _ in range(3)
    ]
    assert set(answers[0]) == {"kind", "etag", "id", "status", "fileDetails"}
    assert answers[0]["fileDetails"]["fileSize"] == "99"
    status = [answer["status"]["uploadStatus"] for answer in answers]
    assert status == ["uploaded", "uploaded", "rejected"]
    assert answers[2]["status"]["rejectionReason"] == "length"
    assert youtube.violations == []


def test_the_real_client_finds_its_way_back(youtube: YouTube, client: Any) -> None:
    actions = iter(["short", "move", "503", None, "503"])
    youtube.fault = lambda point, facts: (
        next(actions, None) if point in {"videos.insert.chunk", "videos.insert.last"} else None
    )
    content = video_bytes(7, 6 * GRAIN + 1)
    answer, request, refused = None, insert(client, content, chunk=2 * GRAIN), []
    while answer is None:
        try:
            _, answer = request.next_chunk()
        except HttpError as error:
            refused.append((error.status_code, reason(error)))
    assert refused == [(503, "backendError")] * 2
    (session,) = youtube.sessions.values()
    assert len(session.uris) == 2
    assert youtube.videos[answer["id"]].sha256 == hashlib.sha256(content).hexdigest()
    assert youtube.violations == []


def test_the_resumable_protocol_by_hand(youtube: YouTube) -> None:
    content = video_bytes(2, 2 * GRAIN + 5)
    raw = Raw(youtube, len(content))
    assert raw.state() == (308, "")
    assert raw.put(content[:1000], 0)[0] == 400
    assert raw.put(content[:GRAIN], 0, total=5 * GRAIN)[0] == 400
    assert raw.put(content[GRAIN:], GRAIN)[0] == 400
    assert raw.state() == (308, "")
    assert youtube.videos == {}
    assert len(youtube.violations) == 3

    assert raw.put(content[:GRAIN], 0)[1]["Range"] == f"bytes=0-{GRAIN - 1}"
    assert raw.put(content[:GRAIN], 0)[0] == 400
    status, _, video = raw.put(content[GRAIN:], GRAIN)
    assert (status, video["status"]["uploadStatus"]) == (201, "uploaded")
    assert raw.state() == (201, "")
    assert raw.put(content[GRAIN:], GRAIN)[2] == video
    assert list(youtube.videos) == [video["id"]]
    assert youtube.videos[video["id"]].sha256 == hashlib.sha256(content).hexdigest()
    assert set(video) == {"kind", "etag", "id", "snippet", "status"}


def begin(raw: Raw, content: bytes, offset: int) -> socket.socket:
    """Send the head of a PUT of all the rest, and nothing of its body."""
    address, length = urlsplit(raw.uri), len(content) - offset
    connection = socket.create_connection((str(address.hostname), address.port or 0), timeout=5)
    head = f"PUT {address.path}?{address.query} HTTP/1.1\r\nHost: x\r\n"
    head += f"Authorization: Bearer {raw.token}\r\nContent-Length: {length}\r\n"
    head += f"Content-Range: bytes {offset}-{len(content) - 1}/{len(content)}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def broken_off(raw: Raw, content: bytes, offset: int, sent: int) -> None:
    with begin(raw, content, offset) as connection:
        connection.sendall(content[offset : offset + sent])
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_of_a_body_that_ends_early_the_server_keeps_what_came(youtube: YouTube) -> None:
    content = video_bytes(3, 2 * GRAIN)
    raw = Raw(youtube, len(content))
    broken_off(raw, content, 0, 100_000)
    assert raw.state() == (308, "bytes=0-99999")
    assert youtube.calls[-2].sent == youtube.calls[-2].kept == 100_000
    broken_off(raw, content, 0, 0)  # a used-up body sent again is no second try of the client's
    assert raw.put(content[100_000:], 100_000)[0] == 201
    (video,) = youtube.videos.values()
    assert video.sha256 == hashlib.sha256(content).hexdigest()
    assert youtube.violations == []


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "invalidTitle"),
    ({"title": "x" * 101}, "invalidTitle"),
    ({"title": "a < b"}, "invalidTitle"),
    ({"description": "字" * 1667}, "invalidDescription"),
    ({"tags": ["two words"] * 42}, "invalidTags"),
    ({"categoryId": "18"}, "invalidCategoryId"),
    ({"publishAt": "2030-01-01T00:00:00"}, "invalidPublishAt"),
    ({"publishAt": "2030-01-01T00:00:00Z", "privacyStatus": "public"}, "invalidPublishAt"),
    ({"privacyStatus": "hidden"}, "forbiddenPrivacySetting"),
    ({"colour": "red"}, "badRequest"),
]


@pytest.mark.parametrize(("changes", "expected"), REFUSED)
def test_metadata_against_the_rules_start_no_session(
    youtube: YouTube, client: Any, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(HttpError) as refused:
        insert(client, b"x", **changes).execute()
    assert reason(refused.value) == expected
    assert youtube.sessions == {}
    assert len(youtube.violations) == 1


def test_metadata_just_within_the_rules_are_taken(youtube: YouTube, client: Any) -> None:
    most = {
        "title": "字" * 100,
        "description": "x" * 4989 + "\nref rc-00",
        "tags": ["two words"] * 41 + ["x"],
        "publishAt": "2030-01-01T00:00:00+08:00",
    }
    insert(client, b"x", **most).execute()
    assert youtube.violations == []
    assert [video.marker for video in youtube.videos.values()] == ["ref rc-00"]


START = "upload/youtube/v3/videos?uploadType=resumable&part=snippet,status"
UPLOADS = {"X-Upload-Content-Length": "9", "X-Upload-Content-Type": "video/mp4"}
WRONG: list[tuple[str, dict[str, str], Any, str]] = [
    (START.replace("resumable", "multipart"), UPLOADS, resource(), "badRequest"),
    (START, {}, resource(), "badRequest"),
    (START + ",statistic", UPLOADS, resource(), "unknownPart"),
    (START + "&notify=true", UPLOADS, resource(), "unexpectedParameter"),
    (START.replace(",status", ""), UPLOADS, resource(), "badRequest"),
    ("youtube/v3/videos?part=snippet", {}, None, "missingRequiredParameter"),
    ("youtube/v3/playlists?part=id&mine=true&maxResults=51", {}, None, "invalidParameter"),
    ("upload/youtube/v3/thumbnails/set?videoId=x&uploadType=media", {"Content-Type": "image/png"}, JPEG, "invalidImage"),
    ("youtube/v3/nothing", {}, None, "notFound"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "headers", "body", "expected"), WRONG)
def test_what_no_correct_client_asks_is_refused_and_noted(
    youtube: YouTube, path: str, headers: dict[str, str], body: Any, expected: str
) -> None:
    raw = Raw(youtube, 9)
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | headers
    _, _, answer = raw.ask(
        "POST" if body else "GET", youtube.root + path, sent if body else b"", headers
    )
    assert answer["error"]["errors"][0]["reason"] == expected
    assert len(youtube.violations) == 1
    assert len(youtube.sessions) == 1


def test_scopes_tokens_and_quota(youtube: YouTube) -> None:
    with service(youtube, UPLOAD) as narrow:
        insert(narrow, b"x").execute()
        with pytest.raises(HttpError) as refused:
            narrow.videos().list(part="status", id="x").execute()
    assert reason(refused.value) == "insufficientPermissions"
    assert youtube.violations.pop().startswith("videos.list: insufficientPermissions")
    raw = Raw(youtube, 9)
    youtube.accounts.expire()
    assert raw.state()[0] == 401
    raw.token = youtube.accounts.access_token((FORCE_SSL,), life=-1)
    assert raw.put(b"123456789", 0)[2]["error"]["errors"][0]["reason"] == "authError"
    assert youtube.violations == []
    assert youtube.spent == {"videos.insert": 2, "search.list": 0, "units": 1}


def test_quota_is_refused_before_it_is_passed() -> None:
    with (
        YouTube(limits={"videos.insert": 1, "units": 2}) as youtube,
        service(youtube, FORCE_SSL) as client,
    ):
        insert(client, b"x").execute()
        for _ in range(2):
            client.channels().list(part="id", mine=True).execute()
        for call in (insert(client, b"x"), client.channels().list(part="id", mine=True)):
            with pytest.raises(HttpError) as refused:
                call.execute()
            assert (refused.value.status_code, reason(refused.value)) == (403, "quotaExceeded")
        assert youtube.spent == {"videos.insert": 1, "search.list": 0, "units": 2}
        youtube.reset_quota()
        insert(client, b"x").execute()


def test_a_video_is_not_to_be_found_just_after_it_came() -> None:
    with YouTube(not_ready=1) as youtube, service(youtube, FORCE_SSL) as client:
        name = insert(client, b"x").execute()["id"]
        image = MediaIoBaseUpload(io.BytesIO(JPEG), "image/jpeg")
        call = client.thumbnails().set(videoId=name, media_body=image)
        with pytest.raises(HttpError) as refused:
            call.execute()
        assert (refused.value.status_code, reason(refused.value)) == (404, "videoNotFound")
        call.execute()
        assert youtube.violations == []
        assert len(youtube.videos[name].thumbnails) == 1


# What a fault at a chunk of two grains leaves: the answer (0 for none), what is kept of it,
# the answer to the next status query.
FAULTS = [
    ("500", 500, {0}, 308),
    ("502", 502, {0}, 308),
    ("429", 429, {0}, 308),
    ("retry-after:3", 503, {0}, 308),
    ("refuse:400:uploadLimitExceeded", 400, {0}, 308),
    ("drop", 0, {0}, 308),
    ("mid", 0, {0, GRAIN}, 308),
    ("short", 308, {0, GRAIN}, 308),
    ("lost", 0, {2 * GRAIN}, 308),
    ("move", 308, {2 * GRAIN}, 404),
    ("expire", 404, {0}, 404),
    ("gone", 410, {0}, 410),
    ("401", 401, {0}, 401),
    ("kill", 0, {0}, 308),
    ("do+kill", 0, {2 * GRAIN}, 308),
    ("slow:0.01", 308, {2 * GRAIN}, 308),
]


@pytest.mark.parametrize(("action", "status", "kept", "after"), FAULTS)
def test_each_fault_does_what_it_says(
    youtube: YouTube, action: str, status: int, kept: set[int], after: int
) -> None:
    asked: list[dict[str, Any]] = []
    killed: list[dict[str, Any]] = []
    youtube.on_kill = killed.append
    raw = Raw(youtube, 3 * GRAIN)

    def fault(point: str, facts: dict[str, Any]) -> str | None:
        asked.append({"point": point} | facts)
        return action if point == "videos.insert.chunk" else None

    youtube.fault = fault
    content = video_bytes(4, 2 * GRAIN)
    if status:
        answer = raw.put(content, 0)
        assert answer[0] == status
        assert answer[1].get("Retry-After") == ("3" if "after" in action else None)
    else:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            raw.put(content, 0)
    assert (asked[0]["marker"], asked[0]["n"], asked[0]["offset"]) == ("ref rc-1a2b", 1, 0)
    (session,) = youtube.sessions.values()
    assert session.kept in kept
    assert session.digest.digest() == hashlib.sha256(content[: session.kept]).digest()
    assert len(killed) == ("kill" in action)
    assert raw.state()[0] == after
    raw.uri = session.uris[-1]
    assert (raw.state()[0] == 308) == (after == 308 or action == "move")
    assert youtube.violations == []


def test_a_fault_that_cannot_happen_there_is_told(youtube: YouTube) -> None:
    raw = Raw(youtube, 9)
    youtube.fault = lambda point, facts: "short"
    assert raw.state()[0] == 500
    assert "'short' does not exist at videos.insert.status" in youtube.violations[0]


@pytest.mark.parametrize("action", ["lost", "finish+expire", "short", "mid"])
def test_faults_at_the_last_chunk(youtube: YouTube, action: str) -> None:
    youtube.fault = lambda point, facts: (
        action if point == "videos.insert.last" and facts["n"] == 1 else None
    )
    content = video_bytes(5, GRAIN + 3)
    raw = Raw(youtube, len(content))
    if action == "short":
        assert raw.put(content, 0)[0] == 308
    else:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            raw.put(content, 0)
    status, span = raw.state()
    assert status == {"lost": 201, "finish+expire": 404}.get(action, 308)
    assert len(youtube.videos) == (action in {"lost", "finish+expire"})
    if status == 308:
        offset = int(span.partition("-")[2] or -1) + 1
        assert raw.put(content[offset:], offset)[0] == 201
    (video,) = youtube.videos.values()
    assert video.sha256 == hashlib.sha256(content).hexdigest()


def test_consent_with_a_code_that_is_good_once(
    youtube: YouTube, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google_auth_oauthlib.flow import InstalledAppFlow
    from oauthlib.oauth2.rfc6749.errors import InvalidGrantError

    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    secrets = youtube.secrets_file(tmp_path / "client.json")
    flow = InstalledAppFlow.from_client_secrets_file(
        secrets, [FORCE_SSL], redirect_uri="http://127.0.0.1:1/", autogenerate_code_verifier=True
    )
    with flow.oauth2session:
        uri, state = flow.authorization_url(access_type="offline")
        browser = httplib2.Http()
        browser.follow_redirects = False
        back = dict(parse_qsl(urlsplit(browser.request(uri)[0]["location"]).query))
        browser.close()
        assert back["state"] == state
        flow.fetch_token(code=back["code"])
        assert flow.credentials.refresh_token in youtube.secrets()
        with pytest.raises(InvalidGrantError):
            flow.fetch_token(code=back["code"])
    assert len(youtube.violations) == 1
    youtube.accounts.revoke()
    with pytest.raises(RefreshError, match="invalid_grant"):
        client.channels().list(part="id", mine=True).execute()


def test_the_verifier_the_address_and_the_client_must_fit(youtube: YouTube) -> None:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": youtube.client_id,
        "redirect_uri": "http://localhost:1/",
        "scope": FORCE_SSL,
        "state": "s",
        "access_type": "offline",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    raw = Raw(youtube, 9)
    for lacking in ("state", "code_challenge", "access_type"):
        short = urlencode({key: value for key, value in query.items() if key != lacking})
        assert raw.ask("GET", f"{youtube.auth_uri}?{short}")[2]["error"] == "invalid_request"
    for change in ({"code_verifier": "w" * 43}, {"redirect_uri": "http://localhost:2/"}, {}):
        location = raw.ask("GET", f"{youtube.auth_uri}?{urlencode(query)}")[1]["Location"]
        form = {
            "grant_type": "authorization_code",
            "client_id": youtube.client_id,
            "client_secret": youtube.client_secret,
            "redirect_uri": query["redirect_uri"],
            "code": dict(parse_qsl(urlsplit(location).query))["code"],
            "code_verifier": "v" * 43,
        }
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = raw.ask("POST", youtube.token_uri, urlencode(form | change).encode(), kind)
        assert answer[0] == (400 if change else 200)
    assert "refresh_token" not in answer[2]  # consent was given before, and not asked anew
    assert len(youtube.violations) == 5


def test_both_files_are_what_the_library_writes(youtube: YouTube, tmp_path: Path) -> None:
    given = environment(youtube, tmp_path / "private")
    path = Path(given["YOUTUBE_TOKEN_FILE"])
    assert path.stat().st_mode & 0o777 == 0o600
    document = json.loads(path.read_text())
    read = Credentials.from_authorized_user_info(document)
    assert json.loads(read.to_json()).keys() == document.keys()
    assert read.valid
    assert read.refresh_token == youtube.refresh_token
    raw = Raw(youtube, 9)
    raw.token = document["token"]
    assert raw.state() == (308, "")
    (session,) = youtube.sessions.values()
    everything = {document["token"], youtube.refresh_token, youtube.client_secret}
    assert everything | set(session.uris) <= set(youtube.secrets())


def test_a_later_request_wins_over_one_left_hanging(youtube: YouTube) -> None:
    content = video_bytes(6, 2 * GRAIN)
    raw = Raw(youtube, len(content))
    with begin(raw, content, 0) as hanging:
        hanging.sendall(content[:GRAIN])
        (session,) = youtube.sessions.values()
        until(lambda: session.kept > 0, 5, "something kept")
        offset = int(raw.state()[1].partition("-")[2]) + 1
        with contextlib.suppress(ConnectionError):
            hanging.sendall(content[GRAIN:])
            assert hanging.recv(1) == b""
        assert raw.put(content[offset:], offset)[0] == 201
    (video,) = youtube.videos.values()
    assert video.sha256 == hashlib.sha256(content).hexdigest()


MIX = [None, "500", "drop", "mid", "lost", "move", "slow:0.001"]


def test_mixed_faults_and_many_uploads_at_once_leave_each_video_whole(youtube: YouTube) -> None:
    """An uploader that keeps to the protocol gets everything through, whatever happens."""
    youtube.fault = lambda point, facts: (
        None if point == "videos.insert" else MIX[youtube.chance(len(MIX))]
    )

    def upload(number: int) -> str:
        content = video_bytes(number, 3 * GRAIN + number)
        raw = Raw(youtube, len(content), resource(description=f"ref rc-{number}"))
        (session,) = (s for s in youtube.sessions.values() if s.marker == f"ref rc-{number}")
        while True:
            raw.uri = session.uris[-1]
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                status, span = raw.state()
                if status == 201:
                    return hashlib.sha256(content).hexdigest()
                if status == 308:
                    offset = int(span.partition("-")[2] or -1) + 1
                    raw.put(content[offset : offset + 2 * GRAIN], offset)

    with ThreadPoolExecutor(8) as pool:
        expected = sorted(pool.map(upload, range(8)))
    assert sorted(video.sha256 for video in youtube.videos.values()) == expected
    assert youtube.violations == []
