"""Commands about the right to publish: auth youtube, status, forget."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.cli import output
from app.errors import PermanentError, QuotaError, ReelchainError, TransientError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Service = Annotated[Literal["youtube"], typer.Argument(help="Whose token.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    room = typer.Typer(help="The right to publish on your channel.", no_args_is_help=True)
    for command in (youtube, status, forget):
        room.command()(command)
    app.add_typer(room, name="auth")


# -- auth youtube ------------------------------------------------------------------------------


def youtube(
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address; open no browser.")
    ] = False,
    client_secrets: Annotated[
        Path | None,
        typer.Option(
            help="The OAuth client (type Desktop app) as downloaded from the Google Cloud console;"
            " it is copied to its place.",
            metavar="FILE",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Ask Google for the right to publish on your YouTube channel, and keep it.

    Google's page opens in your browser; its answer comes back to this machine. The token is written
    for you alone to read, and renews itself.
    """
    from app.providers.youtube import auth, config, consent

    if client_secrets is not None:
        consent.adopt(client_secrets)
    consent.authorise(open_browser=not no_browser, tell=output.note)
    channel, error = _channel()
    document = {
        "channel": channel,
        "google_project": auth.key_id(),
        "token_file": str(config.get().token_file),
        "error": _told(error),
    }
    lines = [f"The token is in {document['token_file']}."]
    if channel is not None:
        lines.insert(0, f"Videos go to the channel {channel['title']}: {channel['url']}")
    output.facts(document, as_json=json, lines=lines)
    _end(error)


def _end(error: ReelchainError | None, also: tuple[type[ReelchainError], ...] = ()) -> None:
    """Tell an error and end with its code, unless it says nothing of the token: it may pass."""
    if error is None:
        return
    code = output.failed(error, as_json=False)
    if not isinstance(error, TransientError | QuotaError) or isinstance(error, also):
        sys.exit(code)


def _channel() -> tuple[dict[str, str] | None, ReelchainError | None]:
    """Ask YouTube whose channel it is; the token stands whatever the answer is."""
    from app.providers.youtube import client, config

    try:
        with closing(client.Client(_Till(), config.get())) as api:
            answer = api.call(
                "channels.list", lambda youtube: youtube.channels().list(part="snippet", mine=True)
            )
    except ReelchainError as error:
        return None, error
    for item in answer.get("items") or ():
        title = item.get("snippet", {}).get("title", "")
        address = f"https://www.youtube.com/channel/{item['id']}"
        return {"id": item["id"], "title": title, "url": address}, None
    return None, PermanentError(
        "youtube_no_channel",
        "The Google account has no YouTube channel.",
        "Make one at https://www.youtube.com/create_channel, or run ./reelchain auth youtube again"
        " and choose another account.",
    )


class _Till:
    """What the client asks of a desk, for a call that belongs to no project."""

    def __init__(self) -> None:
        from app.providers.youtube import auth, config

        self._tariff = config.get().tariff(auth.key_id())

    def book(self, call: str) -> None:
        from app import ledger

        ledger.book(self._tariff, call)

    def refused(self, call: str, seconds: float | None) -> float:
        from app import ledger

        return ledger.refused(self._tariff, call, seconds)


def _told(error: ReelchainError | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "hint": error.hint}


# -- status, forget ----------------------------------------------------------------------------


def status(json: Json = False) -> None:
    """Tell whose channel the token is for, and whether Google still renews it."""
    from app.providers.youtube import auth, config

    facts: dict[str, Any] = {
        "token_file": str(config.get().token_file),
        "token": config.get().token_file.exists(),
        "google_project": auth.key_id(),
        "scope_enough": None,
        "works": False,
        "channel": None,
    }
    error: ReelchainError | None = None
    try:
        creds = auth.credentials()
        auth.fresh(creds, force=True)
        facts["works"] = True
        facts["scope_enough"] = auth.covers(creds)
        error = None if facts["scope_enough"] else auth.scope_missing()
    except ReelchainError as refused:
        error = refused
    if error is None:
        facts["channel"], error = _channel()
    facts["error"] = _told(error)
    output.facts({"youtube": facts}, as_json=json, lines=_lines(facts))
    _end(error, also=(TransientError,) if not facts["works"] else ())


def _lines(facts: dict[str, Any]) -> list[str]:
    if not facts["token"]:
        return ["YouTube: there is no token."]
    channel = facts["channel"]
    return [
        f"YouTube: the token {'works' if facts['works'] else 'does not work'}.",
        *([f"  Channel: {channel['title']}, {channel['url']}"] if channel else []),
        f"  Google project: {facts['google_project']}",
        f"  File: {facts['token_file']}",
    ]


def forget(
    service: Service,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Give the right back: the token is revoked at Google and deleted here."""
    from app.providers.youtube import auth, config

    path = config.get().token_file
    document: dict[str, Any] = {"service": service, "deleted": False, "revoked": False}
    if not path.exists():
        output.facts(document, as_json=json, lines=[f"There is no token: {path} does not exist."])
        return
    if not yes:
        typer.confirm(f"Revoke the access at Google and delete {path}?", abort=True, err=True)
    try:
        auth.revoke()
        document["revoked"] = True
    except ReelchainError as error:
        output.note(f"Not revoked at Google: {error}")
    document["deleted"] = auth.forget()
    output.facts(document, as_json=json, lines=[f"{path} is deleted."])
