"""How the right to a channel is asked for: Google's page in a browser, the answer on this machine."""

from __future__ import annotations

import hmac
import json
import logging
import queue
import re
import socketserver
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from app.errors import InputError, PermanentError, ReelchainError
from app.providers.youtube import auth, config

if TYPE_CHECKING:
    import requests
    from google.oauth2.credentials import Credentials

AUTH_URI = "https://accounts.google.com/o/oauth2/auth"
PATIENCE = 300.0
"""Seconds that somebody has to answer Google's page."""
HOST = "127.0.0.1"

_WORDS = re.compile(r"[a-z_]{1,40}")


def authorise(
    *, open_browser: bool, tell: Callable[[str], None], patience: float = PATIENCE
) -> Credentials:
    """Ask for the right to a channel, wait for the answer, and keep the token.

    Args:
        open_browser: Open Google's page, where this machine has a browser with a window.
        tell: Called with what the person has to know.
        patience: Seconds until it is given up.

    Raises:
        InputError: `youtube_client_missing`, `youtube_client_unusable`, `setting_invalid`.
        PermanentError: `youtube_auth_denied`, `youtube_auth_timeout`, `youtube_auth_failed`,
            `youtube_client_refused`, `youtube_scope`.
        TransientError: `youtube_unavailable`.
    """
    flow = _flow(client(config.get().client_secrets))
    with _listening() as (port, answers):
        flow.redirect_uri = f"http://{HOST}:{port}/"
        # a refresh token comes with the first consent only, unless consent is asked for again
        address, state = flow.authorization_url(access_type="offline", prompt="consent")
        tell(f"Open this address in a browser and allow the access:\n\n{address}\n")
        tell(
            f"Waiting for the answer, {patience / 60:.0f} minutes at most; Ctrl-C gives up. If the"
            " browser is on another machine, first run there:"
            f" ssh -L {port}:{HOST}:{port} THIS_MACHINE"
        )
        if open_browser:
            _show(address)
        code = _code(answers, state, patience)
    creds = _exchanged(flow, code)
    auth.keep(creds)
    return creds


# -- the OAuth client


def client(path: Path) -> dict[str, Any]:
    """Return the OAuth client of a file as the Google Cloud console gives it.

    Raises:
        InputError: `youtube_client_missing`, `youtube_client_unusable`.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(
            "youtube_client_missing",
            f"There is no OAuth client: {path} does not exist.",
            _steps(),
        ) from None
    except OSError as error:
        raise _unusable(path, f"can't be read: {error.strerror}") from None
    except ValueError:  # its text would quote the file
        raise _unusable(path, "is not JSON") from None
    told = document if isinstance(document, dict) else {}
    found = told.get("installed")
    if not isinstance(found, dict):
        raise _unusable(path, _kind(told))
    missing = [
        name for name in ("client_id", "client_secret") if not isinstance(found.get(name), str)
    ]
    if missing:
        raise _unusable(path, f"lacks {', '.join(missing)}")
    return found


def adopt(path: Path) -> None:
    """Copy an OAuth client to its configured place, readable by its owner only.

    Raises:
        InputError: As `client`; nothing was copied.
    """
    client(path)
    auth.put(config.get().client_secrets, path.read_bytes())


def _kind(document: dict[str, Any]) -> str:
    """Return what else than a desktop client a file is."""
    if "web" in document:
        return (
            'is a client of type "Web application", which can\'t be used from a terminal: make one'
            ' of type "Desktop app" in the same project'
        )
    if document.get("type") == "service_account":
        return "is the key of a service account, and those have no YouTube channel"
    if "refresh_token" in document:
        return "is a token, not the OAuth client it was made with"
    return "is no OAuth client"


def _unusable(path: Path, why: str) -> InputError:
    return InputError("youtube_client_unusable", f"{path} {why}.", _steps())


def _steps() -> str:
    return (
        "In three steps, at https://console.cloud.google.com: (1) make a project and switch on"
        ' "YouTube Data API v3" in its library; (2) under Google Auth Platform, Clients, create an'
        ' OAuth client of type "Desktop app"; (3) download its JSON to'
        f" {config.get().client_secrets}, or name it with --client-secrets FILE."
    )


# -- the answer


@contextmanager
def _listening() -> Iterator[tuple[int, queue.Queue[dict[str, str]]]]:
    """Listen on a free port of this machine alone, for what Google's page sends the browser to."""
    answers: queue.Queue[dict[str, str]] = queue.Queue()

    class Handler(_Redirect):
        arrived = answers

    with _Server((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server.server_address[1], answers
        finally:
            server.shutdown()


class _Server(socketserver.ThreadingTCPServer):
    """Browsers open connections ahead and say nothing on them: those must not be waited for."""

    daemon_threads = True
    block_on_close = False


class _Redirect(BaseHTTPRequestHandler):
    """The page one lands on. What comes with its address goes into the queue, never into a log."""

    arrived: queue.Queue[dict[str, str]]
    timeout = 30

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        given = {name: values[0] for name, values in parse_qs(target.query).items()}
        if target.path != "/" or "state" not in given or not given.keys() & {"code", "error"}:
            self._say(404, "There is nothing here.")
            return
        self._say(200, "Thank you. Close this page and see the terminal.")
        self.arrived.put(given)

    def _say(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing: the address holds the code."""


def _code(answers: queue.Queue[dict[str, str]], state: str, patience: float) -> str:
    """Wait for the answer to our own question; any other is ignored."""
    deadline = time.monotonic() + patience
    while True:
        try:
            given = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise PermanentError(
                "youtube_auth_timeout",
                f"Nobody answered Google's page within {patience / 60:.0f} minutes.",
                auth.AGAIN,
            ) from None
        if not hmac.compare_digest(given["state"].encode(), state.encode()):
            continue
        if "error" in given:
            raise _denied(given["error"])
        return given["code"]


def _denied(reason: str) -> PermanentError:
    shown = reason if _WORDS.fullmatch(reason) else "refused"
    return PermanentError(
        "youtube_auth_denied",
        f"The access was not allowed ({shown}).",
        f'{auth.AGAIN} On Google\'s page choose "Allow"; if it lets nobody in but test users, add'
        " your account to them: Google Cloud console, Google Auth Platform, Audience.",
    )


def _show(address: str) -> None:
    """Open the browser if it has a window; one in the terminal would take this one over."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return
    in_terminal = isinstance(browser, webbrowser.GenericBrowser) and not isinstance(
        browser, webbrowser.BackgroundBrowser
    )
    if not in_terminal:
        browser.open(address)


# -- the token for it


def _flow(found: dict[str, Any]) -> Any:
    """Return Google's flow for a client, with the configured token address and PKCE."""
    from google_auth_oauthlib.flow import InstalledAppFlow
    from oauthlib.oauth2 import is_secure_transport

    for name in ("requests_oauthlib", "oauthlib"):  # at DEBUG they write the tokens
        logging.getLogger(name).setLevel(logging.INFO)
    known = {
        "auth_uri": found.get("auth_uri") or AUTH_URI,
        "token_uri": config.get().google_token_uri,
        "client_id": found["client_id"],
        "client_secret": found["client_secret"],
    }
    for name, source in (("token_uri", "GOOGLE_TOKEN_URI"), ("auth_uri", "the client's auth_uri")):
        if not is_secure_transport(known[name]):
            raise InputError(
                "setting_invalid",
                f"A setting can't be used: {source} has to begin with https://.",
                "Correct it in the environment, in .env or in the client's file.",
            )
    return InstalledAppFlow.from_client_config({"installed": known}, [auth.SCOPE])


def _exchanged(flow: Any, code: str) -> Credentials:
    """Exchange the code for a token; no error has the libraries' text, which may quote a secret."""
    import requests
    from oauthlib.oauth2 import OAuth2Error

    flow.oauth2session.register_compliance_hook("access_token_response", _answered)
    try:
        token = flow.fetch_token(
            code=code, timeout=config.get().youtube_timeout, include_client_id=True
        )
    except OAuth2Error as error:
        raise _no_token(str(error.error)) from None
    except requests.RequestException as error:
        raise auth.unavailable(f"no answer ({type(error).__name__})") from None
    except Warning:  # how oauthlib tells that another scope was granted
        raise auth.scope_missing() from None
    except ValueError:
        raise _no_token("refused") from None
    if not token.get("refresh_token"):
        raise _no_token("no refresh token")
    ends = token.get("expires_at") or 0
    return auth.built(
        {
            **flow.client_config,
            "token": token["access_token"],
            "refresh_token": token["refresh_token"],
            "expiry": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends)),
        }
    )


def _answered(answer: requests.Response) -> requests.Response:
    """Stop at an answer that is worth another try before its text is taken for a token."""
    if auth.may_pass(answer.status_code):
        raise auth.unavailable(f"it answered with HTTP {answer.status_code}")
    return answer


def _no_token(reason: str) -> ReelchainError:
    if reason in auth.CLIENT_GONE:
        return auth.refused(reason)
    shown = reason if _WORDS.fullmatch(reason.replace(" ", "_")) else "refused"
    return PermanentError(
        "youtube_auth_failed", f"Google gave no token for the answer ({shown}).", auth.AGAIN
    )
