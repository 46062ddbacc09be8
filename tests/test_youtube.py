"""The YouTube publisher against a strict server over real HTTP."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from _desk import TRIES, MemoryDesk
from _youtube import YouTube, environment, video_bytes
from _youtube_wire import Answer
from app import providers
from app.errors import (
    InputError,
    PermanentError,
    QuotaError,
    ReelchainError,
    TransientError,
    UnfinishedError,
)
from app.providers import Published, PublishRequest
from app.providers.youtube import metadata

ROOT = Path(__file__).resolve().parents[1]
MARKER = "rc-7-0123456789ab"
MEBIBYTE = 1024 * 1024
SIZE = 3 * MEBIBYTE + 1234


class House:
    """A server, a film, a desk."""

    def __init__(self, server: YouTube, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.desk = MemoryDesk()
        film = folder / "video.mp4"
        film.write_bytes(video_bytes(1, SIZE))
        captions = folder / "captions.srt"
        captions.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n", encoding="utf-8")
        thumbnail = ROOT / "docs" / "demo.jpg"
        paths = {"video": film, "thumbnail": thumbnail, "captions_srt": captions}
        self.files = {role: str(path) for role, path in paths.items()}

    def request(self, **changes: Any) -> PublishRequest:
        digests = {
            role: hashlib.sha256(Path(path).read_bytes()).hexdigest()
            for role, path in self.files.items()
        }
        fields: dict[str, Any] = {
            "title": "The Blue Door",
            "description": "A door.",
            "tags": ("door", "blue wall"),
            "language": "en",
            "playlist": "Doors",
            "project_id": 7,
            "marker": MARKER,
            "files": self.files,
            "sha256": digests,
        }
        return PublishRequest(**{**fields, **changes})

    def publish(self, **changes: Any) -> Published:
        return providers.publisher("youtube").publish(self.request(**changes), self.desk)

    def fails(self, **changes: Any) -> ReelchainError:
        with pytest.raises(ReelchainError) as caught:
            self.publish(**changes)
        return caught.value

    def break_at(self, point: str, *actions: str) -> None:
        """Let the first calls at a point go wrong, one action each."""
        todo = list(actions)
        self.server.fault = lambda at, _facts: todo.pop(0) if at == point and todo else None

    def calls(self, name: str) -> int:
        return sum(call.name == name for call in self.server.calls)

    def sent(self) -> int:
        return sum(c.sent for c in self.server.calls if c.name == "videos.insert.chunk")

    def check(self) -> None:
        """Make sure the one video is there, to the byte, with all that belongs to it."""
        assert self.server.violations == []
        (video,) = self.server.videos.values()
        digests = self.request().sha256
        (playlist,) = self.server.playlists.values()
        assert video.sha256 == digests["video"]
        assert set(video.thumbnails) == {digests["thumbnail"]}
        assert [track["sha256"] for track in video.captions] == [digests["captions_srt"]]
        assert playlist.items == [video.id]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with YouTube(processing_polls=1, on_kill=lambda _facts: None) as server:
        settings = environment(server, tmp_path) | {
            "YOUTUBE_CHUNK_MB": "1",
            "YOUTUBE_TIMEOUT": "3",
            "YOUTUBE_LOOKUP_SECONDS": "0.2",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield House(server, tmp_path)


def test_a_publication_has_everything_and_sends_each_byte_once(house: House) -> None:
    published = house.publish(
        description="Ünïcode 門。", privacy="unlisted", category="education", made_for_kids=True
    )

    (video,) = house.server.videos.values()
    assert published.url == f"https://www.youtube.com/watch?v={video.id}"
    house.check()
    assert house.sent() == SIZE
    assert video.body == {
        "snippet": {
            "title": "The Blue Door",
            "description": f"Ünïcode 門。\n\nref {MARKER}",
            "tags": ["door", "blue wall"],
            "categoryId": "27",
            "defaultLanguage": "en",
        },
        "status": {
            "privacyStatus": "unlisted",
            "selfDeclaredMadeForKids": True,
            "containsSyntheticMedia": True,
        },
    }
    assert published.facts["privacy"] == "unlisted"
    assert published.facts["processing"] == "processed"
    assert [seen.video_id for seen in house.desk.seen] == [video.id]
    assert house.desk.reports == sorted(house.desk.reports)
    assert house.desk.reports[-1] == 1.0


def test_every_call_is_booked_and_the_whole_was_reserved_before(house: House) -> None:
    house.publish()
    counted = Counter(
        call.name
        for call in house.server.calls
        if call.name in house.desk.booked
        or call.name.startswith(("play", "cap", "thumb", "videos.l"))
    )
    assert Counter(house.desk.booked) == counted
    (reserved,) = house.desk.reserved
    assert all(reserved[call] >= times for call, times in counted.items())


def test_the_second_publication_uses_the_playlist_that_is_known(house: House) -> None:
    house.publish()
    house.desk = MemoryDesk()
    house.publish(marker="rc-8-0123456789ab", project_id=8)
    (playlist,) = house.server.playlists.values()
    assert len(playlist.items) == 2
    assert house.calls("playlists.list") == 1


def test_a_playlist_that_was_deleted_is_made_again(house: House) -> None:
    house.publish()
    house.server.playlists.clear()
    house.desk = MemoryDesk()
    house.publish(marker="rc-8-0123456789ab", project_id=8)
    (playlist,) = house.server.playlists.values()
    assert len(playlist.items) == 1


def test_a_short_gets_its_thumbnail_once_it_is_processed(house: House) -> None:
    house.publish(short=True)
    names = [call.name for call in house.server.calls]
    assert names.index("thumbnails.set") > names.index("videos.list")
    house.check()


def test_publish_at_is_sent_in_utc(house: House) -> None:
    moment = datetime.fromisoformat("2099-05-01T20:00:00+08:00")
    house.publish(publish_at=moment)
    (video,) = house.server.videos.values()
    assert video.body["status"]["publishAt"] == "2099-05-01T12:00:00Z"


# -- faults -------------------------------------------------------------------------------------


CHUNK = "videos.insert.chunk"
IN_MID_UPLOAD = ("500", "502", "503", "504", "429", "drop", "mid", "short", "lost", "401")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "action"),
    [(p, a) for p in (CHUNK, "videos.insert.last") for a in IN_MID_UPLOAD] + [(CHUNK, "move")],
)
def test_a_fault_in_mid_upload_costs_a_chunk_at_most(house: House, point: str, action: str) -> None:
    house.break_at(point, action)
    house.publish()
    house.check()
    assert house.sent() <= SIZE + MEBIBYTE
    assert house.calls("videos.insert") == 1


@pytest.mark.parametrize("action", ["expire", "gone"])
def test_a_dead_session_is_begun_anew_after_a_look(house: House, action: str) -> None:
    house.break_at("videos.insert.chunk", "", action)
    house.publish()
    house.check()
    names = [call.name for call in house.server.calls]
    second = [at for at, name in enumerate(names) if name == "videos.insert"][1]
    assert "playlistItems.list" in names[:second]


def test_a_session_that_died_after_the_last_byte_leaves_one_video(house: House) -> None:
    house.server.lag_lookups = 1  # not listed at once
    house.break_at("videos.insert.last", "finish+expire")
    house.publish()
    house.check()
    assert house.calls("videos.insert") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", ["thumbnails.set", "captions.insert", "playlists.insert", "playlistItems.insert"]
)
@pytest.mark.parametrize("action", ["503", "drop", "lost", "401"])
def test_what_belongs_to_a_video_is_there_once_whatever_answer_is_lost(
    house: House, point: str, action: str
) -> None:
    house.break_at(point, action)
    house.publish()
    house.check()


def test_a_new_video_that_is_not_known_yet_is_tried_again(house: House) -> None:
    house.server.not_ready = 2
    house.publish()
    house.check()
    assert {error.code for error in house.desk.retries} == {"youtube_not_ready"}


class Killed(BaseException):
    """The process ended here."""


STEPS = (
    "videos.insert",
    "videos.insert.chunk",
    "videos.insert.last",
    "thumbnails.set",
    "captions.insert",
    "playlists.insert",
    "playlistItems.insert",
    "videos.list",
)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["kill", "do+kill"])
@pytest.mark.parametrize("point", STEPS)
def test_it_goes_on_where_its_process_was_killed(
    house: House, monkeypatch: pytest.MonkeyPatch, point: str, action: str
) -> None:
    def retrying(unit: Callable[[], Any]) -> Any:
        try:
            return unit()
        except TransientError:
            raise Killed from None

    monkeypatch.setattr(house.desk, "retrying", retrying)
    house.break_at(point, action)
    with pytest.raises(Killed):
        house.publish()
    sent = house.sent()

    kept = house.desk.kept
    house.desk = MemoryDesk()
    house.desk.kept = kept
    house.publish()
    house.check()
    assert house.sent() <= max(sent, SIZE) + MEBIBYTE
    whole = point == "videos.insert"  # no address was heard: no byte of a film went there
    assert house.calls("videos.insert") == (2 if whole else 1)


def test_without_what_was_kept_a_video_is_found_by_its_marker(house: House) -> None:
    house.publish()
    house.desk = MemoryDesk()
    house.desk.save({"marker": MARKER, "lost": True})
    house.publish()
    house.check()
    assert house.calls("videos.insert") == 1


def test_an_upload_of_an_earlier_version_is_left_where_it_is_not_whole(house: House) -> None:
    house.break_at("videos.insert.chunk", "", *["refuse:403:forbidden"])
    assert house.fails().code == "youtube_forbidden"
    house.server.fault = None
    house.publish(title="Another title")
    (video,) = house.server.videos.values()
    assert video.body["snippet"]["title"] == "Another title"


def test_an_upload_of_an_earlier_version_that_became_a_video_counts(house: House) -> None:
    house.break_at("videos.insert.last", *["lost"] * TRIES)
    todo = ["lost"] + ["503"] * TRIES
    house.server.fault = lambda at, _facts: (
        todo.pop(0) if at in ("videos.insert.last", "videos.insert.status") and todo else None
    )
    assert house.fails().code == "youtube_unavailable"
    house.server.fault = None

    error = house.fails(title="Another title")
    assert error.code == "already_published"
    (video,) = house.server.videos.values()
    assert video.id in error.message
    (seen,) = house.desk.seen
    assert set(seen.facts) == {"superseded"}


def test_a_film_that_is_not_what_was_recorded_is_not_sent(house: House) -> None:
    request = house.request()
    Path(house.files["video"]).write_bytes(b"something else")
    with pytest.raises(ReelchainError) as caught:
        providers.publisher("youtube").publish(request, house.desk)
    assert caught.value.code == "artifact_changed"
    assert not house.server.calls


def test_a_video_that_nobody_could_record_any_more_is_recorded_first(house: House) -> None:
    def killed(_published: Published) -> None:
        raise Killed

    seen, house.desk.visible = house.desk.visible, killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        house.publish()
    house.desk.visible = seen  # type: ignore[method-assign]

    error = house.fails(title="Another title")  # the project was edited meanwhile
    assert error.code == "already_published"
    (published,) = house.desk.seen
    assert set(published.facts) == {"superseded"}
    (video,) = house.server.videos.values()
    assert (video.id, video.thumbnails) == (published.video_id, [])


def test_sessions_that_die_one_after_another_do_not_eat_the_days_uploads(house: House) -> None:
    house.server.fault = lambda at, _facts: "expire" if at == CHUNK else None
    error = house.fails()
    assert (type(error), error.retry_after) == (TransientError, 900)
    assert house.calls("videos.insert") == 3
    house.server.fault = None
    house.publish()
    house.check()


def test_without_what_was_kept_a_video_of_an_earlier_version_is_not_taken_for_this(
    house: House,
) -> None:
    house.publish()
    house.desk = MemoryDesk()
    house.desk.save({"marker": MARKER, "lost": True})
    Path(house.files["video"]).write_bytes(video_bytes(2, SIZE + 1))
    assert house.fails().code == "already_published"
    assert len(house.server.videos) == 1


def test_a_thumbnail_that_was_changed_half_way_is_set(house: House) -> None:
    house.break_at("captions.insert", "refuse:403:forbidden")
    assert house.fails().code == "youtube_forbidden"
    other = house.folder / "other.jpg"
    other.write_bytes((ROOT / "docs" / "demo.jpg").read_bytes() + b"other")
    house.files["thumbnail"] = str(other)
    house.publish()
    (video,) = house.server.videos.values()
    assert video.thumbnails[-1] == house.request().sha256["thumbnail"]
    assert len(video.captions) == 1


def test_a_playlist_that_was_refused_may_be_changed(house: House) -> None:
    house.break_at("playlists.insert", "refuse:400:invalidPlaylistSnippet")
    assert house.fails().code == "youtube_refused"
    house.publish(playlist="Other doors")
    house.check()


# -- answers that make no sense -------------------------------------------------------------------


def odd(house: House, name: str, answer: Answer, *, times: int = 1) -> None:
    """Let the server answer the first calls of a name with something of our own."""
    real, left = house.server.answer, [times]

    def answered(request: Any) -> Any:
        if request.call.name != name or not left[0]:
            return real(request)
        left[0] -= 1
        request.load()
        return answer

    house.server.answer = answered  # type: ignore[method-assign]


NONSENSE = [
    (CHUNK, Answer(308, headers={"Range": "nonsense"})),
    (CHUNK, Answer(308, headers={"Range": "bytes=0-x"})),
    (CHUNK, Answer(308, headers={"Range": "bytes=0-99999999999"})),
    (CHUNK, Answer(200, b"<html>hello</html>", {"Content-Type": "text/html"})),
    ("playlists.list", Answer.json(200, {"items": [{}, None, 3]})),
    ("playlists.insert", Answer.json(200, {})),
    ("playlistItems.list", Answer.json(200, [])),
    ("videos.list", Answer.json(200, {"items": "abc"})),
    ("videos.list", Answer.json(200, {"items": []})),
    ("videos.list", Answer(200, b"{", {"Content-Type": "application/json"})),
]


@pytest.mark.parametrize(("name", "answer"), NONSENSE)
def test_an_answer_without_sense_is_asked_for_again(
    house: House, name: str, answer: Answer
) -> None:
    odd(house, name, answer)
    house.publish()
    house.server.violations.clear()  # a title that was not heard is made again
    (video,) = house.server.videos.values()
    assert video.sha256 == house.request().sha256["video"]
    assert {error.code for error in house.desk.retries} <= {
        "youtube_unavailable", "youtube_not_ready",
    }  # fmt: skip


@pytest.mark.parametrize(
    "address", ["http://elsewhere.example/u?upload_id=x", "http://[::1/u", "/u?upload_id=x", "?"]
)
def test_the_token_goes_to_youtubes_own_addresses_only(house: House, address: str) -> None:
    odd(house, "videos.insert", Answer(200, headers={"Location": address}), times=9)
    error = house.fails()
    assert error.code == "youtube_unavailable"
    assert "upload_id" not in f"{error} {house.desk.kept}"
    assert house.sent() == 0


def test_a_list_too_is_asked_for_once_where_no_answer_comes(house: House) -> None:
    house.break_at("playlists.list", "drop")
    house.publish()
    assert house.desk.booked.count("playlists.list") == house.calls("playlists.list") == 2


def test_a_video_that_was_deleted_is_told_of(house: House) -> None:
    house.break_at("captions.insert", "refuse:403:forbidden")
    house.fails()
    house.server.videos.clear()
    facts = house.desk.load()
    house.desk.save({**facts, "uploaded": facts["uploaded"] - 3600})
    error = house.fails()
    assert (type(error), error.code) == (PermanentError, "youtube_video_gone")
    assert house.calls("captions.insert") == 1


# -- refusals -----------------------------------------------------------------------------------

AGAIN = [
    ("videos.insert", "refuse:408:"),
    ("videos.insert", "refuse:409:"),
    ("videos.insert", "refuse:429:rateLimitExceeded"),
    ("videos.insert", "refuse:403:rateLimitExceeded"),
    ("videos.insert", "refuse:403:userRateLimitExceeded"),
    ("videos.insert", "refuse:500:internalError"),
    ("videos.insert", "refuse:500:backendError"),
    ("videos.insert", "refuse:502:"),
    ("videos.insert", "refuse:503:backendError"),
    ("videos.insert", "refuse:504:"),
    ("videos.insert", "drop"),
    ("thumbnails.set", "refuse:404:videoNotFound"),
    ("captions.insert", "refuse:404:videoNotFound"),
    ("playlistItems.insert", "refuse:404:videoNotFound"),
]
PARKED = [
    ("videos.insert", "refuse:403:quotaExceeded", "youtube_quota", None),
    ("captions.insert", "refuse:403:dailyLimitExceeded", "youtube_quota", None),
    ("thumbnails.set", "refuse:429:PerDayLimit", "youtube_quota", None),
    ("videos.insert", "refuse:400:uploadLimitExceeded", "youtube_upload_limit", 86_400),
    ("thumbnails.set", "refuse:429:uploadRateLimitExceeded", "youtube_upload_limit", 86_400),
]
PERSON = [
    (401, "authError", "youtube_auth_expired"),
    (401, "expired", "youtube_auth_expired"),
    (401, "youtubeSignupRequired", "youtube_no_channel"),
    (403, "insufficientPermissions", "youtube_scope"),
    (403, "accessNotConfigured", "youtube_not_enabled"),
    (403, "authenticatedUserNotChannel", "youtube_channel_closed"),
    (403, "authenticatedUserAccountClosed", "youtube_channel_closed"),
    (403, "authenticatedUserAccountSuspended", "youtube_channel_closed"),
    (403, "forbidden", "youtube_forbidden"),
    (403, "forbiddenPrivacySetting", "youtube_forbidden"),
    (403, "forbiddenLicenseSetting", "youtube_forbidden"),
    (404, "", "youtube_refused"),
]
INPUT = [
    (400, "invalidTitle", "youtube_invalid"),
    (400, "invalidDescription", "youtube_invalid"),
    (400, "invalidTags", "youtube_invalid"),
    (400, "invalidCategoryId", "youtube_invalid"),
    (400, "invalidPublishAt", "youtube_invalid"),
    (400, "invalidVideoMetadata", "youtube_invalid"),
    (400, "invalidFilename", "youtube_invalid"),
    (400, "defaultLanguageNotSet", "youtube_invalid"),
    (400, "mediaBodyRequired", "youtube_invalid"),
    (400, "badRequest", "youtube_invalid"),
    (413, "uploadTooLarge", "youtube_too_large"),
]


@pytest.mark.parametrize(("point", "action"), AGAIN)
def test_what_may_pass_is_tried_again(house: House, point: str, action: str) -> None:
    house.break_at(point, action)
    house.publish()
    house.check()
    assert len(house.desk.retries) == 1


@pytest.mark.parametrize(("point", "action", "code", "seconds"), PARKED)
def test_a_quota_of_the_day_parks_the_project(
    house: House, point: str, action: str, code: str, seconds: float | None
) -> None:
    house.break_at(point, action)
    error = house.fails()
    assert (type(error), error.code) == (QuotaError, code)
    # a limit of thumbnails closes nothing for other videos
    assert house.desk.refusals == ([] if "thumb" in point and seconds else [(point, seconds)])
    assert error.retry_after == (seconds or 1000)
    assert house.calls(point) == 1

    house.server.fault = None
    house.publish()  # its time has come
    house.check()


@pytest.mark.parametrize(("status", "reason", "code"), [*PERSON, *INPUT])
def test_a_refusal_is_not_tried_again(house: House, status: int, reason: str, code: str) -> None:
    house.server.fault = lambda at, _facts: (
        f"refuse:{status}:{reason}" if at == "videos.insert" else None
    )
    error = house.fails()
    kind = InputError if (status, reason, code) in INPUT else PermanentError
    assert (type(error), error.code) == (kind, code)
    assert error.hint
    assert not reason or reason in error.message
    renewed = code == "youtube_auth_expired"
    assert house.calls("videos.insert") == (2 if renewed else 1)
    assert house.calls("token") == (1 if renewed else 0)
    assert not house.desk.retries
    assert not house.desk.pauses


def test_a_token_that_died_asks_a_person(house: House) -> None:
    actions = {"videos.insert": "401", "token": "refuse:400:invalid_grant"}
    house.server.fault = lambda at, _facts: actions.get(at)
    error = house.fails()
    assert (type(error), error.code) == (PermanentError, "youtube_auth_expired")
    assert "./reelchain auth youtube" in error.hint
    assert house.calls("videos.insert") == 1


def test_retry_after_is_kept(house: House) -> None:
    house.break_at("videos.insert", "retry-after:40")
    house.publish()
    (error,) = house.desk.retries
    assert error.retry_after == 40


@pytest.mark.parametrize(
    "refusal", ["400:badRequest", "403:forbiddenPrivacySetting", "400:uploadLimitExceeded"]
)
def test_a_session_that_was_refused_for_good_is_not_gone_on_with(
    house: House, refusal: str
) -> None:
    house.break_at("videos.insert.chunk", "", f"refuse:{refusal}")
    house.fails()
    house.publish()
    house.check()
    assert house.calls("videos.insert") == 2


def test_answers_that_are_no_json_are_errors_of_ours(house: House) -> None:
    from googleapiclient.errors import HttpError
    from httplib2 import Response

    from app.providers.youtube import refusals

    for content in (b"", b"<html>", b"[]", b'{"error": 3}', b'{"error": {"errors": "x"}}', b"\xff"):
        error = HttpError(Response({"status": 418}), content)
        assert refusals.explain(error, "videos.list").code == "youtube_refused"


# -- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"title": "x" * 101}, "youtube_title"),
        ({"title": " "}, "youtube_title"),
        ({"title": "a < b"}, "youtube_title"),
        ({"description": "門" * 1660}, "youtube_description"),
        ({"description": "a > b"}, "youtube_description"),
        ({"tags": tuple(f"tag {n:03}" for n in range(51))}, "youtube_tags"),
        ({"category": "knitting"}, "youtube_category"),
        (
            {"privacy": "public", "publish_at": datetime(2099, 1, 1, tzinfo=UTC)},
            "publish_at_not_private",
        ),
    ],
)
def test_what_is_too_long_is_said_before_anything_is_sent(
    house: House, changes: dict[str, Any], code: str
) -> None:
    assert house.fails(**changes).code == code
    with pytest.raises(InputError):
        providers.publisher("youtube").check(house.request(**changes))
    assert not house.server.calls


def test_what_just_fits_is_taken(house: House) -> None:
    own = len(f"\n\nref {MARKER}")
    tags = ("x y", *["t" * 9 for _ in range(49)])
    assert metadata.tags_size(tags) == 5 + 49 * 10
    house.publish(title="題" * 100, description="門" * ((5000 - own) // 3), tags=(*tags, "1234"))
    assert not house.server.violations


# -- processing ---------------------------------------------------------------------------------


def test_long_processing_gives_the_slot_back_and_goes_on(house: House) -> None:
    house.server.processing_polls = 8
    waits = []
    for _ in range(10):
        try:
            house.publish()
            break
        except UnfinishedError as error:
            waits.append(error.retry_after)
    assert waits == [60, 120, 300, 600][: len(waits)]
    assert waits
    house.check()


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        ("rejected", "duplicate", "youtube_rejected"),
        ("failed", "codec", "youtube_processing_failed"),
    ],
)
def test_how_processing_ended_badly_is_told(
    house: House, status: str, reason: str, code: str
) -> None:
    house.server.processing_end[""] = (status, reason)
    error = house.fails()
    assert (error.code, type(error)) == (code, PermanentError)
    assert reason in error.message
    assert reason in house.desk.seen[-1].facts["processing"]


def test_nothing_secret_is_in_an_error_or_a_publication(house: House) -> None:
    house.server.fault = lambda at, _facts: "503" if at == "videos.insert.last" else None
    error = house.fails()
    house.server.fault = None
    published = house.publish()
    told = f"{error!r} {error.args} {error.__cause__} {json.dumps(published.model_dump())}"
    assert not [secret for secret in house.server.secrets() if secret in told]
