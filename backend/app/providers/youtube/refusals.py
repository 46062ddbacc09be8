"""What YouTube's refusals mean: by their reason first, then by their code.

The table follows YouTube's own lists of errors of each method, and Google's guide to resumable
uploads for what is worth another try.
"""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass
from typing import Any

import httplib2
from google.auth import exceptions as auth_errors
from googleapiclient.errors import HttpError

from app import patience
from app.errors import InputError, PermanentError, QuotaError, ReelchainError, TransientError
from app.logs import masked

LOST = (
    OSError,
    http.client.HTTPException,
    httplib2.HttpLib2Error,
    auth_errors.GoogleAuthError,
    json.JSONDecodeError,
    UnicodeDecodeError,
)
"""What the client library raises where no answer came, or none that can be read."""

DAY = 86_400.0
_REPLY_LENGTH = 300
_PER_DAY = re.compile(r"\bper day\b|PerDay", re.IGNORECASE)
"""In a quota's name or message (google.rpc.ErrorInfo: metadata.quota_limit)."""


@dataclass(frozen=True)
class Rule:
    """What is done about a refusal.

    Attributes:
        kind: The class of the error.
        code: Its code.
        hint: What to do.
        told: What happened, in our words; else YouTube's own message is given.
    """

    kind: type[ReelchainError]
    code: str
    hint: str
    told: str = ""


_BUSY = Rule(TransientError, "youtube_unavailable", "Run the project again in a while.")
_QUOTA = Rule(
    QuotaError,
    "youtube_quota",
    "The project goes on by itself when YouTube's day begins (midnight Pacific time).",
    "YouTube's quota of the day is used up.",
)
_CHANNEL_LIMIT = Rule(
    QuotaError,
    "youtube_upload_limit",
    "The project goes on by itself after a day.",
    "The channel has reached YouTube's own limit of uploads for a day.",
)
_AUTH = Rule(
    PermanentError,
    "youtube_auth_expired",
    "Give access anew: ./reelchain auth youtube. Then run the project again.",
    "YouTube does not take the token any more.",
)
_SCOPE = Rule(
    PermanentError,
    "youtube_scope",
    "Give access anew and leave every box ticked: ./reelchain auth youtube.",
    "The token does not allow what publishing needs.",
)
_NO_CHANNEL = Rule(
    PermanentError,
    "youtube_no_channel",
    "Make a channel for that account on youtube.com, or give access with another account.",
    "The Google account has no YouTube channel.",
)
_CLOSED = Rule(
    PermanentError,
    "youtube_channel_closed",
    "See what YouTube says of the account, or give access with another: ./reelchain auth youtube.",
    "The YouTube account can't publish: it is closed, suspended or not a channel's.",
)
_FORBIDDEN = Rule(
    PermanentError,
    "youtube_forbidden",
    "See in YouTube Studio what the channel may do, then run the project again: what is done is "
    "not done twice.",
)
_NO_THUMBNAIL = Rule(
    PermanentError,
    "youtube_forbidden",
    "Thumbnails of one's own need a channel with a verified phone number (youtube.com/verify); or "
    "leave them out, YOUTUBE_THUMBNAIL=false. Then run the project again: it goes on there.",
)
_NOT_ENABLED = Rule(
    PermanentError,
    "youtube_not_enabled",
    "Switch it on at console.cloud.google.com/apis/library/youtube.googleapis.com, wait a few "
    "minutes, then run the project again.",
    "The Google project of the OAuth client does not have the YouTube Data API v3 switched on.",
)
_TOO_LARGE = Rule(InputError, "youtube_too_large", "Make the video shorter, or raise X264_CRF.")
_REFUSED = Rule(
    PermanentError,
    "youtube_refused",
    "See YouTube's words; mend it and run the project again: what is done is not done twice.",
)


def _invalid(hint: str) -> Rule:
    return Rule(InputError, "youtube_invalid", hint)


BY_REASON: dict[str, Rule] = {
    **dict.fromkeys(
        ("rateLimitExceeded", "userRateLimitExceeded", "internalError", "backendError"), _BUSY
    ),
    **dict.fromkeys(("quotaExceeded", "dailyLimitExceeded"), _QUOTA),
    **dict.fromkeys(("uploadLimitExceeded", "uploadRateLimitExceeded"), _CHANNEL_LIMIT),
    **dict.fromkeys(("authError", "expired", "required", "unauthorized"), _AUTH),
    **dict.fromkeys(("insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), _SCOPE),
    "youtubeSignupRequired": _NO_CHANNEL,
    **dict.fromkeys(("accessNotConfigured", "SERVICE_DISABLED"), _NOT_ENABLED),
    **dict.fromkeys(
        (
            "authenticatedUserNotChannel",
            "authenticatedUserAccountClosed",
            "authenticatedUserAccountSuspended",
        ),
        _CLOSED,
    ),
    "invalidTitle": _invalid("Give a title of 1 to 100 characters without < and >."),
    "invalidDescription": _invalid("Shorten the description to 5,000 bytes, without < and >."),
    "invalidTags": _invalid("Give fewer or shorter tags: 500 characters in all."),
    "invalidCategoryId": _invalid("Choose a category that YouTube assigns, such as education."),
    "invalidPublishAt": _invalid("Give publish_at a time to come, with privacy: private."),
    "invalidVideoMetadata": _invalid("Look at title, description, tags and category."),
    "invalidFilename": _invalid("Run the project again from video_rendering."),
    "defaultLanguageNotSet": _invalid("Set the project's language."),
    "mediaBodyRequired": _invalid("Run the project again from video_rendering."),
    "invalidImage": _invalid("Make the thumbnail anew: run --from thumbnail_generation."),
    "badRequest": _invalid("See YouTube's words; mend it and run the project again."),
    "uploadTooLarge": _TOO_LARGE,
    **dict.fromkeys(
        ("forbidden", "forbiddenPrivacySetting", "forbiddenLicenseSetting"), _FORBIDDEN
    ),
}
"""YouTube's `reason` → what is done."""

BY_CODE: dict[int, Rule] = {
    **dict.fromkeys((408, 409, 429, 500, 502, 503, 504), _BUSY),
    400: _REFUSED,
    401: _AUTH,
    403: _FORBIDDEN,
    413: _TOO_LARGE,
}
"""HTTP status → what is done where the reason is not known."""

JUST_UPLOADED = frozenset(("thumbnails.set", "captions.insert", "playlistItems.insert"))
"""Calls that may not find a new video for a while."""


def explain(error: Exception, call: str) -> ReelchainError:
    """Return one of our errors for what the client library raised at `call`."""
    if isinstance(error, ReelchainError):
        return error
    if isinstance(error, auth_errors.RefreshError):
        return _of(_BUSY if error.retryable else _AUTH, "The token could not be renewed.")
    if isinstance(error, HttpError):
        return _answered(error, call)
    told = f"YouTube did not answer ({call}): {masked(str(error)) or type(error).__name__}"
    return _of(_BUSY, told)


def _answered(error: HttpError, call: str) -> ReelchainError:
    status, reason, message = read(error)
    if status == 404 and call in JUST_UPLOADED and reason in ("videoNotFound", ""):
        return TransientError(
            "youtube_not_ready",
            "YouTube does not know the new video yet.",
            "Run the project again in a while: what is done is not done twice.",
        )
    known = BY_REASON.get(reason) or BY_CODE.get(status)
    rule = known or (_BUSY if status > 599 else _REFUSED)
    if rule is _BUSY and status in (403, 429) and _PER_DAY.search(_limit(error)):
        rule = _QUOTA  # it sounds like a busy minute, and is about the whole day
    if call == "thumbnails.set" and rule is _FORBIDDEN:
        rule = _NO_THUMBNAIL
    words = " ".join(part for part in (reason, masked(message)) if part)
    told = f"YouTube refused {call} ({status}): {words or 'without a word'}"
    if rule.told:
        told = f"{rule.told[:-1]} ({call}: {status} {reason or masked(message)})."
    return _of(rule, told, _patience(rule, error))


def _of(rule: Rule, told: str, patience: float | None = None) -> ReelchainError:
    told = " ".join(told.split())
    return rule.kind(
        rule.code, told if told.endswith((".", ")")) else f"{told}.", rule.hint, patience
    )


def _patience(rule: Rule, error: HttpError) -> float | None:
    """Return the seconds to wait, where the service or the table says so."""
    if rule is _CHANNEL_LIMIT:
        return DAY
    return retry_after(error.resp) if rule is _BUSY else None


def read(error: HttpError) -> tuple[int, str, str]:
    """Return an answer's status, its reason and its message; empty where it has none."""
    try:
        fact = json.loads(error.content)["error"]
    except (ValueError, LookupError, TypeError):
        return int(error.resp.status), "", ""
    if not isinstance(fact, dict):
        return int(error.resp.status), "", ""
    reasons = [
        one["reason"]
        for name in ("errors", "details")
        for one in _list(fact.get(name))
        if isinstance(one, dict) and isinstance(one.get("reason"), str)
    ]
    message = fact.get("message")
    told = message[:_REPLY_LENGTH] if isinstance(message, str) else ""
    return int(error.resp.status), reasons[0][:80] if reasons else "", told


def _limit(error: HttpError) -> str:
    """Return the words of an answer that name the limit which was reached."""
    try:
        fact = json.loads(error.content)["error"]
        details = [detail.get("metadata", {}) for detail in _list(fact.get("details"))]
        names = [str(one.get(name)) for one in details for name in ("quota_limit", "quotaId")]
        return " ".join([str(fact.get("message")), *names])
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def retry_after(answer: httplib2.Response) -> float | None:
    """Return the seconds that an answer's Retry-After asks for, an hour at most."""
    return patience.retry_after(answer.get("retry-after"))


def is_unauthorised(error: Exception) -> bool:
    """Tell whether a token may only have to be renewed."""
    if not isinstance(error, HttpError) or int(error.resp.status) != 401:
        return False
    return BY_REASON.get(read(error)[1], _AUTH) is _AUTH
