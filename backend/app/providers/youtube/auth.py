"""The right to a YouTube channel: how it is asked for, kept, renewed and given back.

Google's libraries are imported inside the functions that need them: who only asks whose quota is
spent does without them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from app import disk
from app.errors import InputError, PermanentError, ReelchainError, TransientError
from app.providers.youtube import config

if TYPE_CHECKING:
    from google.oauth2.credentials import Credentials

SCOPE = "https://www.googleapis.com/auth/youtube.force-ssl"
"""The one scope that covers uploads, captions, playlists and reading back what became of a video."""
EARLY = timedelta(minutes=4)
"""A token is renewed so long before its end: a little earlier than Google's library would, which
must not do it in the middle of a chunk."""
CLIENT_GONE = frozenset(("invalid_client", "deleted_client", "unauthorized_client"))
"""What the token address says where it is the OAuth client that it does not take."""
AGAIN = "Run ./reelchain auth youtube."

_NEEDED = ("refresh_token", "client_id", "client_secret")

log = logging.getLogger(__name__)


# -- the token file


def credentials() -> Credentials:
    """Return what the token file holds, for the configured token address.

    Raises:
        InputError: `youtube_auth_missing`, `youtube_auth_unreadable`.
    """
    return built(_held(config.get().token_file))


def require() -> None:
    """Make sure there is a token, before anything is made that could not be published.

    Raises:
        InputError: As `credentials`.
    """
    _held(config.get().token_file)


def built(held: Mapping[str, Any]) -> Credentials:
    """Return credentials of the fields that a token file has; without `scopes`, of `SCOPE`."""
    from google.oauth2.credentials import Credentials

    scopes = held.get("scopes") or [SCOPE]
    if isinstance(scopes, str):
        scopes = scopes.split()
    token = held.get("token")
    # by hand: the library's readers of such files put Google's own address over the setting's
    return Credentials(
        token if isinstance(token, str) else None,
        refresh_token=held["refresh_token"],
        token_uri=config.get().google_token_uri,
        client_id=held["client_id"],
        client_secret=held["client_secret"],
        scopes=[str(scope) for scope in scopes],
        expiry=_expiry(held.get("expiry")),
    )


def keep(creds: Credentials, *, instead_of: str | None = None) -> None:
    """Write the token file: whole, and for nobody else to read. Several processes may at once.

    Args:
        creds: What to write.
        instead_of: Only while the file still holds this refresh token: what has been given up or
            replaced meanwhile must not come back.
    """
    path = config.get().token_file
    with _locked(path):
        if instead_of is not None and _refresh_token(path) != instead_of:
            return
        put(path, creds.to_json().encode())


def forget() -> bool:
    """Delete the token file.

    Returns:
        Whether there was one.
    """
    path = config.get().token_file
    there = path.exists()
    if there:
        with _locked(path):
            disk.unlink(path)
            disk.fsync(path.parent)
    return there


def client_id() -> str | None:
    """Return the OAuth client the token belongs to; None where there is no usable token."""
    try:
        return str(_held(config.get().token_file)["client_id"])
    except ReelchainError:
        return None


def key_id() -> str:
    """Return what the quota ledger calls the client: its Google project's number where it has one."""
    client = client_id()
    if client is None:
        return "none"
    if project := re.match(r"(\d+)-", client):
        return project[1]
    return hashlib.sha256(client.encode()).hexdigest()[:10]


def _held(path: Path) -> dict[str, Any]:
    """Read a token file; no error says anything of its content."""
    try:
        held = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            "youtube_auth_missing", f"There is no YouTube token: {path} does not exist.", AGAIN
        ) from None
    except OSError as error:
        raise _unreadable(path, f"can't be read: {error.strerror}") from None
    except ValueError:  # its text would quote the file
        raise _unreadable(path, "is not JSON") from None
    if not isinstance(held, dict):
        raise _unreadable(path, "is no token file")
    missing = [name for name in _NEEDED if not (isinstance(held.get(name), str) and held[name])]
    if missing:
        raise _unreadable(path, f"lacks {', '.join(missing)}")
    return held


def _unreadable(path: Path, why: str) -> InputError:
    return InputError("youtube_auth_unreadable", f"The YouTube token {path} {why}.", AGAIN)


def _refresh_token(path: Path) -> str | None:
    try:
        return str(_held(path)["refresh_token"])
    except ReelchainError:
        return None


def _expiry(text: object) -> datetime:
    """Return the end of a token in Google's form (UTC without a zone); unknown is long ago."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        moment = None
    moment = moment or datetime.fromtimestamp(0, UTC)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(tzinfo=None)


def _folder(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Be the only writer of a token file; what a killed one has left half done is removed."""
    _folder(path)
    with disk.lock(path.with_name(f".{path.name}.lock")):
        for other in list(path.parent.iterdir()):
            if other.name.startswith(disk.TEMPORARY) and other.name.endswith(f"-{path.name}"):
                disk.unlink(other)
        yield


def put(path: Path, data: bytes) -> None:
    """Replace a file by one that only its owner may read, at no instant anybody else."""
    _folder(path)
    aside = disk.temporary(path)
    try:
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        disk.place(aside, path)
    except BaseException:
        disk.unlink(aside)
        raise


# -- renewing and giving back


def fresh(creds: Credentials, *, force: bool = False) -> None:
    """Renew the access token if it ends soon, and keep it.

    Args:
        creds: Changed in place.
        force: Renew it in any case: the service has refused it.

    Raises:
        PermanentError: `youtube_auth_expired`, `youtube_client_refused`, `youtube_scope`.
        TransientError: `youtube_unavailable`.
    """
    from google.auth.exceptions import GoogleAuthError

    soon = datetime.now(UTC).replace(tzinfo=None) + EARLY
    if not force and creds.token and creds.expiry is not None and creds.expiry > soon:
        return
    before = creds.refresh_token
    try:
        creds.refresh(_token_request)
    except GoogleAuthError as error:
        raise _refusal(error) from None
    try:
        keep(creds, instead_of=before)
    except OSError as error:  # a file mounted read-only serves as well: it is renewed each time
        log.warning("The renewed YouTube token could not be kept: %s", error.strerror)


def covers(creds: Credentials) -> bool:
    """Tell whether a token is good for all that publishing does."""
    return SCOPE in (creds.scopes or ())


def revoke() -> None:
    """Tell Google that the token is to be worth nothing from now on.

    Raises:
        InputError: There is no usable token.
        PermanentError: `youtube_revoke_failed`.
        TransientError: `youtube_unavailable`.
    """
    creds = credentials()
    address = urljoin(config.get().google_token_uri, "revoke")
    body = urlencode({"token": creds.refresh_token or ""}).encode()
    answer = _send(address, "POST", body, _FORM)
    if answer.status != 200:
        raise PermanentError(
            "youtube_revoke_failed",
            f"Google did not revoke the token (HTTP {answer.status}).",
            "Remove the app at https://myaccount.google.com/connections if it is still listed.",
        )


_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class _Answer:
    """What Google's library wants to see of an answer."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data


def _token_request(
    url: str,
    method: str = "POST",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    **_: object,
) -> _Answer:
    """Send one request to the token address, as Google's library asks for it."""
    answer = _send(url, method, body, headers)
    if not isinstance(_document(answer), dict):
        raise unavailable("something else than Google answered at its token address")
    return answer


def _document(answer: _Answer) -> Any:
    try:
        return json.loads(answer.data)
    except ValueError:
        return None


def _send(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> _Answer:
    """Send a request with the setting's time limit; what may pass is raised as transient.

    Google's library would try again by itself; the tries stay in one place, where they are seen.
    """
    import httplib2

    http = httplib2.Http(timeout=config.get().youtube_timeout)
    try:
        response, data = http.request(url, method, body=body, headers=dict(headers or {}))
    except (OSError, HTTPException, httplib2.HttpLib2Error) as error:
        raise unavailable(f"no answer ({type(error).__name__})") from None
    finally:
        http.close()
    if may_pass(response.status):
        from app.providers.youtube.refusals import retry_after

        raise unavailable(f"it answered with HTTP {response.status}", retry_after(response))
    return _Answer(response.status, dict(response), data)


def may_pass(status: int) -> bool:
    """Tell whether another try may be answered better."""
    return status in {408, 429} or status >= 500


def unavailable(why: str, wait: float | None = None) -> TransientError:
    """Return the error for a token address that does not answer as it should.

    Args:
        why: What was seen instead.
        wait: Seconds that it asked to wait.
    """
    return TransientError(
        "youtube_unavailable",
        f"Google can't be asked: {why}.",
        "It is tried again; if it goes on, look whether this machine reaches Google.",
        wait,
    )


def _refusal(error: Exception) -> ReelchainError:
    """Return what an error of Google's library means, without its text: that may quote a secret."""
    told = error.args[1] if len(error.args) > 1 and isinstance(error.args[1], dict) else {}
    reason = told.get("error")
    if getattr(error, "retryable", False) or not isinstance(reason, str):
        return unavailable("its answer can't be understood")
    return refused(reason)


def refused(reason: str) -> PermanentError:
    """Return the error for what the token address says in its field `error`."""
    if reason in CLIENT_GONE:
        return PermanentError(
            "youtube_client_refused",
            f"Google does not accept the OAuth client ({reason}): it was deleted, or its secret"
            " changed.",
            "Download it again from the Google Cloud console, then run"
            " ./reelchain auth youtube --client-secrets FILE.",
        )
    if reason == "invalid_scope":
        return scope_missing()
    shown = reason if re.fullmatch(r"[a-z_]{1,40}", reason) else "refused"
    return PermanentError(
        "youtube_auth_expired",
        f"The right to the YouTube channel has ended ({shown}): it was revoked, not used for six"
        ' months, or the consent screen of the Google project is in "Testing", where a token'
        " lives for seven days.",
        f"{AGAIN} If it ends every week, publish the app to Production first: Google Cloud console,"
        " Google Auth Platform, Audience.",
    )


def scope_missing() -> PermanentError:
    """Return the error for a token that does not cover `SCOPE`."""
    return PermanentError(
        "youtube_scope",
        "The right that was granted does not cover uploads, captions and playlists.",
        f"{AGAIN} Leave everything ticked on Google's page.",
    )
