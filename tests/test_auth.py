"""The right to a YouTube channel: asked for, kept, renewed, given back; and never shown."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from _processes import in_processes
from _workers import ROOT
from _youtube import FORCE_SSL, READONLY, YouTube, environment
from app import patience, records, settings
from app.cli import auth as command
from app.doctor import machine as doctor
from app.doctor.checks import asked
from app.errors import InputError, PermanentError, QuotaError, ReelchainError, TransientError
from app.providers.youtube import auth, consent


@pytest.fixture
def google() -> Iterator[YouTube]:
    with YouTube() as server:
        yield server
        assert not server.violations


@pytest.fixture
def place(google: YouTube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A token file that is good, and settings that lead to the local Google."""
    for name, value in environment(google, tmp_path / "keys").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("YOUTUBE_TIMEOUT", "5")
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    settings.get.cache_clear()
    return tmp_path / "keys" / "youtube_token.json"


@pytest.fixture
def no_secret(google: YouTube, capfd: pytest.CaptureFixture[str]) -> Callable[..., None]:
    def check(*texts: object) -> None:
        told = [*map(str, texts), *capfd.readouterr()]
        assert not [word for word in google.secrets() for text in told if word in text]

    return check


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def held(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def names(google: YouTube) -> list[str]:
    return [call.name for call in google.calls]


# -- the command line


@contextmanager
def reelchain(*arguments: str, **extra: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT / "backend"), **extra},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_the_token_is_asked_for_in_a_browser_and_kept(
    google: YouTube, place: Path, tmp_path: Path, no_secret: Callable[..., None]
) -> None:
    place.unlink()
    downloads = (tmp_path / "keys").rename(tmp_path / "downloads") / "client_secrets.json"
    arguments = ("auth", "youtube", "--no-browser", "--client-secrets", str(downloads), "--json")
    with reelchain(*arguments) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("http"):
                break
        asked_for = parse_qs(urlsplit(line).query)
        with urllib.request.urlopen(line.strip(), timeout=10) as page:
            assert b"Close this page" in page.read()
        out, rest = process.communicate(timeout=30)
    assert process.returncode == 0, rest
    assert asked_for["scope"] == [FORCE_SSL]
    assert asked_for["redirect_uri"][0].startswith("http://127.0.0.1:")
    assert records.spent(patience.quota_day(datetime.now(UTC))) == {"youtube": {"units": 1}}
    assert names(google) == ["auth", "token", "channels.list"]  # the verifier was checked at /token
    told = json.loads(out)
    assert told["channel"]["id"] == google.channel
    assert told["token_file"] == str(place)
    assert told["error"] is None
    assert mode(place) == 0o600
    assert mode(place.parent) == 0o700
    assert mode(place.parent / "client_secrets.json") == 0o600
    document = held(place)
    assert document["client_id"] == google.client_id
    assert document["scopes"] == [FORCE_SSL]
    assert {document["token"], document["refresh_token"]} <= set(google.secrets())
    left = datetime.fromisoformat(document["expiry"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < left < timedelta(hours=1)
    no_secret(out, rest, *said)


@pytest.mark.slow
def test_a_browser_opens_by_itself_and_a_denial_is_told(
    google: YouTube, place: Path, tmp_path: Path, no_secret: Callable[..., None]
) -> None:
    place.unlink()
    google.fault = lambda point, facts: "refuse:403:access_denied" if point == "auth" else None
    browser = tmp_path / "browser.py"
    browser.write_text("import sys, urllib.request\nurllib.request.urlopen(sys.argv[1])\n")
    with reelchain("auth", "youtube", BROWSER=f"{sys.executable} {browser} %s &") as process:
        out, said = process.communicate(timeout=30)
    assert process.returncode == PermanentError.exit_code
    assert "[youtube_auth_denied]: The access was not allowed (access_denied)." in said
    assert not place.exists()
    no_secret(out, said)


@pytest.mark.slow
def test_without_a_client_the_way_to_one_is_told(place: Path) -> None:
    missing = place.with_name("none.json")
    with reelchain("auth", "youtube", "--json", YOUTUBE_CLIENT_SECRETS=str(missing)) as process:
        out, _ = process.communicate(timeout=30)
    assert process.returncode == InputError.exit_code
    error = json.loads(out)["error"]
    assert error["code"] == "youtube_client_missing"
    assert all(part in error["hint"] for part in ("(1)", "(2)", "(3)", "Desktop app", str(missing)))


@pytest.mark.slow
def test_status_tells_whether_google_renews_it(
    google: YouTube, place: Path, no_secret: Callable[..., None]
) -> None:
    with reelchain("auth", "status", "--json") as process:
        out, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    told = json.loads(out)["youtube"]
    assert told["works"]
    assert told["scope_enough"]
    assert told["google_project"] == google.client_id.partition("-")[0]
    assert told["channel"]["id"] == google.channel
    assert names(google) == ["token", "channels.list"]
    no_secret(out, said)


@pytest.mark.slow
def test_status_of_a_dead_token_says_what_to_do(google: YouTube, place: Path) -> None:
    google.accounts.revoke()
    with reelchain("auth", "status", "--json") as process:
        out, said = process.communicate(timeout=30)
    assert process.returncode == PermanentError.exit_code
    told = json.loads(out)["youtube"]
    assert (told["token"], told["works"]) == (True, False)
    assert told["error"]["code"] == "youtube_auth_expired"
    assert "Error [youtube_auth_expired]" in said


@pytest.mark.slow
def test_an_account_without_a_channel_is_told_so(google: YouTube, place: Path) -> None:
    google.has_channel = False
    channel, error = command._channel()
    assert channel is None
    assert isinstance(error, PermanentError)
    assert error.code == "youtube_no_channel"
    google.fault = lambda point, facts: "refuse:403:quotaExceeded"
    assert isinstance(command._channel()[1], QuotaError)


@pytest.mark.slow
def test_forget_revokes_and_deletes(
    google: YouTube, place: Path, no_secret: Callable[..., None]
) -> None:
    with reelchain("auth", "forget", "youtube", "--yes", "--json") as process:
        out, said = process.communicate(timeout=30)
    assert json.loads(out) == {"service": "youtube", "deleted": True, "revoked": True}, said
    assert names(google) == ["revoke"]
    assert not place.exists()
    no_secret(out, said)


# -- the page's answer


def open_page(address: str) -> None:
    urllib.request.urlopen(address, timeout=10).close()


def authorise(visit: Callable[[str], None] = open_page, patience: float = 10) -> None:
    """Ask for a token, and let somebody do something with the address."""
    visitors = []

    def tell(text: str) -> None:
        for line in text.splitlines():
            if line.startswith("http"):
                visitors.append(threading.Thread(target=visit, args=(line,)))
                visitors[-1].start()

    try:
        consent.authorise(open_browser=False, tell=tell, patience=patience)
    finally:
        for visitor in visitors:
            visitor.join(10)


def test_only_the_answer_to_our_own_question_counts(google: YouTube, place: Path) -> None:
    place.unlink()
    silent = []

    def visit(address: str) -> None:
        back = parse_qs(urlsplit(address).query)["redirect_uri"][0]
        at = urlsplit(back)
        silent.append(socket.create_connection((at.hostname, at.port)))  # as browsers do, ahead
        for stray in ("favicon.ico", "?code=x", "favicon.ico?state=x&code=y"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                open_page(back + stray)
        open_page(f"{back}?state=somebody-elses&code=theirs")
        open_page(f"{back}?state=somebody-elses&error=access_denied")
        open_page(address)

    began = time.monotonic()
    authorise(visit)
    assert time.monotonic() - began < 10  # the silent one was not waited for
    for connection in silent:
        connection.close()
    assert held(place)["refresh_token"] in google.secrets()


def test_who_has_agreed_before_gets_a_token_again(google: YouTube, place: Path) -> None:
    given = []
    for _ in range(2):
        authorise()
        given.append(held(place)["refresh_token"])
    assert given[0] != given[1]


def test_it_is_given_up_when_nobody_answers(place: Path) -> None:
    before = place.read_bytes()
    with pytest.raises(PermanentError) as told:
        authorise(lambda _: None, patience=0.1)
    assert told.value.code == "youtube_auth_timeout"
    assert place.read_bytes() == before


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("503", "youtube_unavailable"),
        ("drop", "youtube_unavailable"),
        ("refuse:401:invalid_client", "youtube_client_refused"),
        ("refuse:400:invalid_grant", "youtube_auth_failed"),
    ],
)
def test_a_code_that_brings_no_token(
    google: YouTube, place: Path, no_secret: Callable[..., None], fault: str, code: str
) -> None:
    before = place.read_bytes()
    google.fault = lambda point, facts: fault if point == "token" else None
    with pytest.raises(ReelchainError) as told:
        authorise()
    assert told.value.code == code
    assert place.read_bytes() == before
    no_secret(told.value)


def test_a_smaller_right_than_asked_for_is_not_kept(
    google: YouTube, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.unlink()
    answer = google.accounts._answer
    monkeypatch.setattr(google.accounts, "_answer", lambda _: answer(frozenset((READONLY,))))
    with pytest.raises(PermanentError) as told:
        authorise()
    assert told.value.code == "youtube_scope"
    assert not place.exists()


def test_an_http_address_for_tokens_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT")
    with pytest.raises(InputError, match="GOOGLE_TOKEN_URI"):
        authorise()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"web": {"client_id": "1-a", "client_secret": "s3cret"}}', "Web application"),
        ('{"type": "service_account", "private_key": "s3cret"}', "service account"),
        ('{"refresh_token": "s3cret", "client_id": "1-a"}', "is a token"),
        ('{"installed": {"client_id": "1-a"}}', "lacks client_secret"),
        ('{"s3cret": 1}', "no OAuth client"),
        ("s3cret", "is not JSON"),
        ("[]", "no OAuth client"),
    ],
)
def test_another_kind_of_client_file_gets_its_own_sentence(
    place: Path, tmp_path: Path, content: str, why: str
) -> None:
    given = tmp_path / "given.json"
    given.write_text(content)
    configured = place.with_name("client_secrets.json").read_bytes()
    with pytest.raises(InputError) as told:
        consent.adopt(given)
    assert told.value.code == "youtube_client_unusable"
    assert why in told.value.message
    assert "s3cret" not in str(told.value)
    assert place.with_name("client_secrets.json").read_bytes() == configured


# -- the token file


def test_a_token_is_renewed_ahead_of_its_end_and_kept(google: YouTube, place: Path) -> None:
    before = held(place)
    creds = auth.credentials()
    auth.fresh(creds)
    assert names(google) == []
    google.token_file(place, expires_in=200)
    place.chmod(0o644)
    creds = auth.credentials()
    auth.fresh(creds)
    auth.fresh(creds)
    assert names(google) == ["token"]
    after = held(place)
    assert after["token"] == creds.token != before["token"]
    assert after["refresh_token"] == before["refresh_token"]
    assert datetime.fromisoformat(after["expiry"]) > datetime.now(UTC) + timedelta(minutes=50)
    assert mode(place) == 0o600
    assert auth.credentials().expiry == creds.expiry


def test_a_token_for_less_is_known(google: YouTube, place: Path) -> None:
    for scopes, enough in (((FORCE_SSL,), True), ((READONLY,), False)):
        google.token_file(place, scopes=scopes)
        assert auth.covers(auth.credentials()) is enough


def test_an_unknown_end_is_long_ago(google: YouTube, place: Path) -> None:
    document = held(place)
    for expiry in (None, "soon", 5):
        place.write_text(json.dumps(document | {"expiry": expiry}))
        auth.fresh(auth.credentials())
    assert names(google) == ["token"] * 3


@pytest.mark.parametrize("fault", ["503", "504", "429", "drop", "lost", "retry-after:7"])
def test_what_may_pass_is_transient_and_tried_once(
    google: YouTube, place: Path, no_secret: Callable[..., None], fault: str
) -> None:
    google.fault = lambda point, facts: fault
    with pytest.raises(TransientError) as told:
        auth.fresh(auth.credentials(), force=True)
    assert told.value.code == "youtube_unavailable"
    assert told.value.retry_after == (7 if ":" in fault else None)
    if fault not in {"drop", "lost"}:  # httplib2 sends again what got no answer
        assert names(google) == ["token"]
    no_secret(told.value)


def test_a_silent_google_is_given_up(
    google: YouTube, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOUTUBE_TIMEOUT", "0.2")
    google.fault = lambda point, facts: "slow:30"
    with pytest.raises(TransientError):
        auth.fresh(auth.credentials(), force=True)


def test_a_dead_token_is_told_in_plain_words(
    google: YouTube, place: Path, no_secret: Callable[..., None]
) -> None:
    creds = auth.credentials()
    google.accounts.revoke()
    with pytest.raises(PermanentError) as told:
        auth.fresh(creds, force=True)
    assert told.value.code == "youtube_auth_expired"
    for word in ("revoked", "six months", "Testing", "seven days"):
        assert word in told.value.message
    assert "Production" in told.value.hint
    assert "./reelchain auth youtube" in told.value.hint
    no_secret(told.value)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("invalid_client", "youtube_client_refused"),
        ("deleted_client", "youtube_client_refused"),
        ("invalid_scope", "youtube_scope"),
        ("admin_policy_enforced", "youtube_auth_expired"),
    ],
)
def test_other_ends_of_a_token(google: YouTube, place: Path, reason: str, code: str) -> None:
    google.fault = lambda point, facts: f"refuse:400:{reason}"
    with pytest.raises(PermanentError) as told:
        auth.fresh(auth.credentials(), force=True)
    assert told.value.code == code


def test_processes_that_renew_at_once_leave_a_good_file(google: YouTube, place: Path) -> None:
    seen = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.append(auth.credentials().token)

    place.with_name(f".tmp-killed-{place.name}").write_text("half a")

    def renew(_: int) -> list[str]:
        tokens = []
        for _turn in range(5):
            creds = auth.credentials()
            auth.fresh(creds, force=True)
            tokens.append(str(creds.token))
        return tokens

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        made = [token for tokens in in_processes(4, renew) for token in tokens]
    finally:
        done.set()
        watcher.join(10)
    assert len(set(made)) == 20
    assert auth.credentials().token in made
    assert len(set(seen)) > 1
    assert mode(place) == 0o600
    assert sorted(path.name for path in place.parent.iterdir()) == [
        ".youtube_token.json.lock", "client_secrets.json", "youtube_token.json",
    ]  # fmt: skip


def test_what_was_given_up_or_replaced_does_not_come_back(google: YouTube, place: Path) -> None:
    creds = auth.credentials()
    other = google.accounts.grant((FORCE_SSL,))
    place.write_text(json.dumps(held(place) | {"refresh_token": other}))
    auth.fresh(creds, force=True)
    assert held(place)["refresh_token"] == other
    assert auth.forget()
    auth.fresh(creds, force=True)
    assert not place.exists()
    assert not auth.forget()


def test_a_file_that_cannot_be_written_serves_as_well(google: YouTube, place: Path) -> None:
    place.with_name(f".{place.name}.lock").mkdir()
    creds, before = auth.credentials(), place.read_bytes()
    auth.fresh(creds, force=True)
    assert google.accounts.scopes_of(f"Bearer {creds.token}") == {FORCE_SSL}
    assert place.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("s3cret", "is not JSON"),
        ('["s3cret"]', "is no token file"),
        ('{"refresh_token": "s3cret", "client_id": ""}', "lacks client_id, client_secret"),
        (None, "can't be read"),
    ],
)
def test_an_unusable_file_is_named_and_not_quoted(
    place: Path, content: str | None, why: str
) -> None:
    place.unlink()
    if content is None:
        place.mkdir()
    else:
        place.write_text(content)
    with pytest.raises(InputError) as told:
        auth.credentials()
    assert told.value.code == "youtube_auth_unreadable"
    assert why in told.value.message
    assert str(place) in told.value.message
    assert "s3cret" not in str(told.value)
    assert auth.key_id() == "none"


def test_the_ledger_names_the_clients_project(google: YouTube, place: Path) -> None:
    assert auth.key_id() == google.client_id.partition("-")[0]
    place.write_text(json.dumps(held(place) | {"client_id": "somebody.example"}))
    assert auth.key_id() not in {"none", "somebody.example"}
    assert len(auth.key_id()) == 10
    place.unlink()
    assert auth.key_id() == "none"
    with pytest.raises(InputError) as told:
        auth.credentials()
    assert told.value.code == "youtube_auth_missing"


@pytest.mark.slow
def test_who_asks_for_the_ledgers_name_loads_nothing_of_googles() -> None:
    code = (
        "import sys; from app.providers.youtube import auth; auth.key_id(); "
        "sys.exit(any(name.startswith(('google', 'httplib2', 'requests')) for name in sys.modules))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT / "backend")}
    ) as process:
        assert process.wait(30) == 0


def test_a_google_that_does_not_revoke_is_told(google: YouTube, place: Path) -> None:
    google.fault = lambda point, facts: "refuse:400:invalid_token"
    with pytest.raises(PermanentError) as told:
        auth.revoke()
    assert told.value.code == "youtube_revoke_failed"


def test_the_doctor_looks_at_the_token(
    google: YouTube, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> tuple[str, str]:
        settings.get.cache_clear()
        (check,) = asked("YouTube", doctor.PROBES["YouTube"])
        return check.status, check.what + check.hint

    assert look()[0] == "ok"
    place.chmod(0o640)
    assert look()[0] == "warn"
    place.unlink()
    status, told = look()
    assert status == "fail"
    assert "./reelchain auth youtube" in told
    monkeypatch.setenv("PUBLISHER", "folder")
    assert look()[0] == "ok"
    assert names(google) == []
