"""One publication: steps, each a checkpoint of its own.

What is done is kept in the desk's session before the next step begins, so that a publication goes on
after any fault where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from googleapiclient.http import MediaFileUpload

from app import disk
from app.errors import (
    InputError,
    MediaError,
    PermanentError,
    TransientError,
    UnfinishedError,
)
from app.providers import Desk, Published, PublishRequest
from app.providers.youtube import config, metadata, session
from app.providers.youtube.answers import items, told, unclear
from app.providers.youtube.client import Client
from app.providers.youtube.config import YouTubeSettings
from app.providers.youtube.playlists import Playlists
from app.providers.youtube.upload import Film, Upload

WATCH = "https://www.youtube.com/watch?v="
LANGUAGE_NAMES = {"en": "English", "zh-TW": "中文（台灣）", "ja": "日本語"}
POLLS = (2.0, 4.0, 8.0, 15.0)
"""Seconds between two looks at the processing, while the slot is held."""
LONG_POLLS = (60.0, 120.0, 300.0, 600.0)
"""Seconds between two looks later on, with the slot given back."""
ANOTHER = "See YouTube Studio; run the project with --republish to publish a second video."
PLAYLIST_CALLS = ("playlists.list", "playlistItems.list", "playlistItems.insert")
GONE_SECONDS = 600.0
"""After an upload, for which a video that is not listed may be there all the same."""
MEBIBYTE = 1024 * 1024
UPLOAD_SHARE, STEPS_SHARE = 0.85, 0.95
"""Where in the progress of the whole the upload ends, and all but the processing."""


class Publication:
    """One call of `publish`."""

    def __init__(self, request: PublishRequest, desk: Desk) -> None:
        self._request = request
        self._desk = desk
        self._config: YouTubeSettings = config.get()
        metadata.check(request, request.marker)
        self._digest = request.identity
        self._facts = session.load(desk)
        self._client = Client(desk, self._config)

    def run(self) -> Published:
        try:
            return self._run()
        finally:
            self._client.close()

    def _run(self) -> Published:
        known = self._facts.get("video_id")
        if known:
            self._recognise(str(known))
        self._reserve()
        video_id = str(known) if known else self._bring()
        self._desk.report(UPLOAD_SHARE, "extras")
        steps = [self._captions, self._playlist]
        if not self._request.short:  # a Short takes a thumbnail once it is processed
            steps.insert(0, self._thumbnail)
        for number, step in enumerate(steps, 1):
            step(video_id)
            part = number / len(steps)
            self._desk.report(UPLOAD_SHARE + (STEPS_SHARE - UPLOAD_SHARE) * part, "extras")
        self._desk.report(STEPS_SHARE, "processing")
        self._processing(video_id)
        if self._request.short:
            self._thumbnail(video_id)
        self._desk.report(1.0)
        return self._published(video_id)

    def _recognise(self, video_id: str) -> None:
        """Record the video that an earlier call made, which may have ended before it could.

        Raises:
            InputError: `already_published`: it is of an earlier version of the project.
        """
        if self._facts.get("digest", self._digest) != self._digest:
            raise self._superseded(video_id)
        self._desk.visible(self._published(video_id))

    # -- what is kept --------------------------------------------------------------------------

    def _keep(self, **facts: Any) -> None:
        self._facts = {**session.load(self._desk), **facts}
        self._desk.save(self._facts)

    def _is(self, step: str, stage: str) -> bool:
        return (self._facts.get("steps") or {}).get(step) == stage

    def _mark(self, step: str, stage: str) -> None:
        self._keep(steps={**(self._facts.get("steps") or {}), step: stage})

    def _published(self, video_id: str) -> Published:
        facts: dict[str, Any] = {
            name: self._facts[name]
            for name in ("privacy", "processing", "playlist", "playlist_id")
            if name in self._facts
        }
        if not self._wants_thumbnail:
            facts["thumbnail"] = "left out"
        if not self._wants_captions:
            facts["captions"] = "left out"
        return Published(url=f"{WATCH}{video_id}", video_id=video_id, facts=facts)

    # -- the quota -----------------------------------------------------------------------------

    def _reserve(self) -> None:
        """Keep the quota free of all that is left to do, so that nothing stops half way."""
        calls = dict(self._config.tariff("").per_video)
        done = {
            "videos.insert": self._facts.get("video_id") or self._facts.get("upload"),
            "thumbnails.set": self._is("thumbnail", "done"),
            "captions.insert": self._is("captions", "done"),
        }
        title = self._request.playlist
        known = self._facts.get("playlist", title)
        if title is None or (self._is("playlist", "done") and known == title):
            done |= dict.fromkeys(PLAYLIST_CALLS, True)
        elif not Playlists(self._client, self._desk).knows(title):
            calls["playlists.insert"] = 1
        calls = {call: number for call, number in calls.items() if not done.get(call)}
        self._desk.reserve(calls)

    # -- the film ------------------------------------------------------------------------------

    def _bring(self) -> str:
        """Upload the film, or find out that it is there; return the video's id."""
        path = Path(self._request.files["video"])
        film = Film(path, path.stat().st_size, self._digest)
        upload = Upload(
            self._client,
            self._desk,
            self._request,
            film,
            chunk=self._config.youtube_chunk_mb * MEBIBYTE,
            patience=self._config.youtube_lookup_seconds,
            report=lambda sent: self._sent(sent, film.size),
        )
        if upload.of_other:
            self._leave(upload)
        if self._facts.get("lost"):  # what was kept of the publication, but not its marker
            found = upload.left_behind()
            if found is not None and told(found, "fileDetails", "fileSize") in (
                None,
                str(film.size),
            ):
                return self._is_there(found)
            if found is not None:
                self._keep(video_id=found["id"], digest="")
                raise self._superseded(found["id"])
            self._keep(lost=False)
        if not upload.begun and disk.sha256(path) != self._request.sha256["video"]:
            raise MediaError(
                "artifact_changed",
                f"{path.name} is not what was recorded when it was made.",
                "Run the project again from video_rendering.",
            )
        self._warn_of_lateness()
        return self._is_there(upload.finish())

    def _is_there(self, video: dict[str, Any]) -> str:
        """Keep the video's id before anything else is done."""
        # the session's address, which is secret, has served
        self._keep(
            video_id=video["id"],
            digest=self._digest,
            uploaded=time.time(),
            privacy=told(video, "status", "privacyStatus"),
            upload={},
        )
        self._desk.visible(self._published(video["id"]))
        self._compare(video)
        return str(video["id"])

    def _sent(self, sent: float, size: int) -> None:
        done = sent / max(size, 1) * UPLOAD_SHARE
        self._desk.report(done, "film", sent=round(sent / 1e6), size=round(size / 1e6))

    def _leave(self, upload: Any) -> None:
        """Give up the upload of an earlier version, unless it has become a video."""
        video = upload.outcome()
        if video is None:
            upload.forget()
            return
        self._keep(video_id=video["id"], digest=upload.digest, upload={})
        raise self._superseded(video["id"])

    def _superseded(self, video_id: str) -> InputError:
        """Record the video of an earlier version of the project."""
        earlier = self._published(video_id)
        facts = {"superseded": str(self._facts.get("digest") or "")}
        self._desk.visible(earlier.model_copy(update={"facts": facts}))
        return InputError(
            "already_published",
            f"An earlier version of this project is published already: {earlier.url}",
            f"Publish a second video on purpose: ./reelchain run {self._request.project_id} --republish.",
        )

    def _warn_of_lateness(self) -> None:
        moment = self._request.publish_at
        if moment is not None and moment.timestamp() < time.time():
            self._desk.warn(
                "The time of publish_at had passed: YouTube publishes the video at once."
            )

    def _compare(self, video: dict[str, Any]) -> None:
        got = told(video, "status", "privacyStatus")
        if got is not None and got != self._request.privacy:
            self._desk.warn(
                f"YouTube made the video {got}, not {self._request.privacy}: see YouTube Studio."
            )

    # -- what belongs to it --------------------------------------------------------------------

    @property
    def _wants_thumbnail(self) -> bool:
        return self._config.youtube_thumbnail and "thumbnail" in self._request.files

    @property
    def _wants_captions(self) -> bool:
        return self._config.youtube_captions and "captions_srt" in self._request.files

    def _once(
        self, step: str, video_id: str, act: Callable[[], None], there: Callable[[], bool]
    ) -> None:
        """Do a step unless it is done; where it may have been done before, look first."""

        def unit() -> None:
            if self._is(step, "begun"):
                self._status(video_id)  # it costs little to hear that the video is no more
                if there():
                    return
            self._mark(step, "begun")
            act()

        if not self._is(step, "done"):
            self._desk.retrying(unit)
            self._mark(step, "done")

    def _thumbnail(self, video_id: str) -> None:
        if self._wants_thumbnail:
            digest = self._request.sha256["thumbnail"]
            if self._facts.get("thumbnail", digest) != digest:
                self._mark("thumbnail", "other")  # than was set before
            # set twice it is the same thumbnail, and YouTube does not tell which one a video has
            self._once("thumbnail", video_id, lambda: self._set_thumbnail(video_id), lambda: False)
            self._keep(thumbnail=self._request.sha256["thumbnail"])

    def _set_thumbnail(self, video_id: str) -> None:
        path = self._request.files["thumbnail"]
        kind = "image/png" if path.endswith(".png") else "image/jpeg"
        self._client.call(
            "thumbnails.set",
            lambda api: api.thumbnails().set(
                videoId=video_id, media_body=MediaFileUpload(path, mimetype=kind)
            ),
        )

    def _captions(self, video_id: str) -> None:
        if self._wants_captions:
            act = partial(self._insert_captions, video_id)
            there = partial(self._has_captions, video_id)
            self._once("captions", video_id, act, there)

    def _has_captions(self, video_id: str) -> bool:
        answer = self._client.call(
            "captions.list", lambda api: api.captions().list(part="snippet", videoId=video_id)
        )
        ours = (self._request.language, LANGUAGE_NAMES[self._request.language])
        return any(
            (told(item, "snippet", "language"), told(item, "snippet", "name")) == ours
            for item in items(answer)
        )

    def _insert_captions(self, video_id: str) -> None:
        language = self._request.language
        snippet = {
            "videoId": video_id,
            "language": language,
            "name": LANGUAGE_NAMES[language],
            "isDraft": False,
        }
        media = MediaFileUpload(
            self._request.files["captions_srt"], mimetype="application/octet-stream"
        )
        self._client.call(
            "captions.insert",
            lambda api: api.captions().insert(
                part="snippet", body={"snippet": snippet}, media_body=media
            ),
        )

    def _playlist(self, video_id: str) -> None:
        title = self._request.playlist
        known = self._facts.get("playlist", title)
        if title is None or (self._is("playlist", "done") and known == title):
            return
        found = Playlists(self._client, self._desk).add(title, video_id, self._request.privacy)
        self._keep(playlist=title, playlist_id=found)
        self._mark("playlist", "done")

    # -- how YouTube's own work on it ends -----------------------------------------------------

    def _processing(self, video_id: str) -> None:
        """See the processing to its end; after a minute with the slot given back.

        Raises:
            UnfinishedError: It is still going on; the run goes on later.
            PermanentError: It failed, or YouTube rejected the video.
        """
        if self._facts.get("processing") == "processed":
            return
        held = () if self._facts.get("looked") else POLLS
        for pause in (*held, 0.0):
            status = self._desk.retrying(lambda: self._status(video_id))
            if status == "processed":
                self._keep(processing=status)
                return
            if pause:
                self._desk.pause(pause)
        self._later(video_id)

    def _status(self, video_id: str) -> str:
        answer = self._client.call(
            "videos.list",
            lambda api: api.videos().list(part="status,processingDetails", id=video_id),
        )
        rows = items(answer)
        if not rows and answer.get("items") != []:
            raise unclear("YouTube's answer about the video can't be read.")
        age = time.time() - float(self._facts.get("uploaded") or 0.0)
        if not rows and age < GONE_SECONDS:
            raise TransientError(
                "youtube_not_ready",
                "YouTube does not know the new video yet.",
                "Run the project again in a while: what is done is not done twice.",
            )
        status = str(told(rows[0], "status", "uploadStatus")) if rows else "gone"
        at = f"{WATCH}{video_id}"
        if status == "gone":
            what = f"The video {at} is not on YouTube any more."
            raise self._of_no_use(PermanentError("youtube_video_gone", what, ANOTHER), video_id)
        if status == "rejected":
            reason = told(rows[0], "status", "rejectionReason") or "no reason given"
            what = f"YouTube rejected the video {at}: {reason}."
            raise self._of_no_use(PermanentError("youtube_rejected", what, ANOTHER), video_id)
        if status in ("failed", "deleted"):
            reason = told(rows[0], "status", "failureReason") or status
            what = f"YouTube could not process the video {at}: {reason}."
            raise self._of_no_use(
                PermanentError("youtube_processing_failed", what, ANOTHER), video_id
            )
        return status

    def _of_no_use(self, error: PermanentError, video_id: str) -> PermanentError:
        """Record how the processing ended."""
        self._keep(processing=error.message[:200])
        self._desk.visible(self._published(video_id))
        return error

    def _later(self, video_id: str) -> None:
        since = float(self._facts.get("processing_since") or time.time())
        looked = int(self._facts.get("looked") or 0)
        self._keep(processing_since=since, looked=looked + 1, processing="processing")
        if time.time() - since > self._config.youtube_processing_hours * 3600:
            self._desk.warn(
                f"YouTube was still processing {WATCH}{video_id} when it was last looked at."
            )
            return
        raise UnfinishedError(
            "youtube_processing",
            "YouTube is still processing the video.",
            "The project goes on by itself; the video is on YouTube already.",
            LONG_POLLS[min(looked, len(LONG_POLLS) - 1)],
        )
