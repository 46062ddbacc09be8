"""The local Google accounts: consent, codes, tokens."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from _youtube_rules import Refusal


class OAuthRefusal(Exception):  # noqa: N818 - an answer like any other, not a fault of the server
    """The error document of the token endpoint."""

    def __init__(self, status: int, error: str, description: str, *, wrong: bool = True) -> None:
        super().__init__(description)
        self.status, self.reason, self.wrong = status, error, wrong

    def document(self) -> dict[str, Any]:
        return {"error": self.reason, "error_description": str(self)}


@dataclass
class _Code:
    scopes: frozenset[str]
    redirect: str
    challenge: str
    refresh: bool
    used: bool = False


class Accounts:
    """One client, one person, any number of grants.

    Tokens live by the machine's clock, since the client library reads no other.
    """

    def __init__(self, scopes: Iterable[str]) -> None:
        self.client_id = f"{secrets.randbelow(10**12):012d}-{secrets.token_hex(16)}"
        self.client_id += ".apps.googleusercontent.com"
        self.client_secret = f"GOCSPX-{secrets.token_urlsafe(21)}"
        self.token_life = 3600.0
        self._grants: dict[str, frozenset[str]] = {}
        self._tokens: dict[str, tuple[float, frozenset[str]]] = {}
        self._codes: dict[str, _Code] = {}
        self._consented: set[frozenset[str]] = set()
        self._dead: list[str] = []
        self._lock = threading.RLock()
        self.refresh_token = self.grant(scopes)

    def grant(self, scopes: Iterable[str]) -> str:
        """Return a new refresh token."""
        token = f"1//0{secrets.token_urlsafe(72)}"
        with self._lock:
            self._grants[token] = frozenset(scopes)
        return token

    def grant_for(self, scopes: Iterable[str]) -> str:
        """Return the refresh token of these scopes, a new one if there is none."""
        with self._lock:
            if self._grants.get(self.refresh_token) == frozenset(scopes):
                return self.refresh_token
            return self.grant(scopes)

    def access_token(self, scopes: Iterable[str], life: float | None = None) -> str:
        token = f"ya29.{secrets.token_urlsafe(160)}"
        until = time.time() + (self.token_life if life is None else life)
        with self._lock:
            self._tokens[token] = (until, frozenset(scopes))
        return token

    def expire(self) -> None:
        """Make all access tokens invalid; refresh tokens stay good."""
        with self._lock:
            self._dead += self._tokens
            self._tokens.clear()

    def revoke(self) -> None:
        """Let everything die, as when a person withdraws consent."""
        with self._lock:
            self.expire()
            self._dead += self._grants
            self._grants.clear()
            self._consented.clear()

    def secrets(self) -> list[str]:
        with self._lock:
            return [self.client_secret, *self._grants, *self._tokens, *self._codes, *self._dead]

    def scopes_of(self, authorization: str) -> frozenset[str]:
        """Return what the bearer may do; refuse one unknown or too old."""
        kind, _, token = authorization.partition(" ")
        with self._lock:
            until, scopes = self._tokens.get(token, (0.0, frozenset[str]()))
        if kind != "Bearer" or time.time() >= until:
            raise Refusal(401, "authError", "Invalid Credentials")
        return scopes

    def consent(self, query: Mapping[str, str]) -> str:
        """Answer /auth: the person always agrees. Return where to send them."""
        needs = {
            "response_type": "code",
            "client_id": self.client_id,
            "code_challenge_method": "S256",
            "access_type": "offline",
        }
        for key, value in needs.items():
            if query.get(key) != value:
                raise OAuthRefusal(400, "invalid_request", f"{key} must be {value}.")
        for key in ("code_challenge", "state", "scope", "redirect_uri"):
            if not query.get(key):
                raise OAuthRefusal(400, "invalid_request", f"{key} is missing.")
        redirect = query["redirect_uri"]
        address = urlsplit(redirect)
        if address.scheme != "http" or address.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise OAuthRefusal(400, "redirect_uri_mismatch", "A desktop client gets loopback only.")
        scopes = frozenset(query["scope"].split())
        code = f"4/0A{secrets.token_urlsafe(52)}"
        with self._lock:
            refresh = scopes not in self._consented or "consent" in query.get("prompt", "")
            self._consented.add(scopes)
            self._codes[code] = _Code(scopes, redirect, query["code_challenge"], refresh)
        return self.back(query, code=code, scope=" ".join(sorted(scopes)))

    @staticmethod
    def back(query: Mapping[str, str], **answer: str) -> str:
        """Return the address the browser is sent back to."""
        answer = {"state": query.get("state", ""), **answer}
        return f"{query.get('redirect_uri', '')}?{urlencode(answer)}"

    def token(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer /token."""
        if form.get("client_id") != self.client_id:
            raise OAuthRefusal(401, "invalid_client", "The OAuth client was not found.")
        if form.get("client_secret") != self.client_secret:
            raise OAuthRefusal(401, "invalid_client", "The provided client secret is invalid.")
        kind = form.get("grant_type")
        if kind == "refresh_token":
            return self._refreshed(form)
        if kind == "authorization_code":
            return self._exchanged(form)
        raise OAuthRefusal(400, "unsupported_grant_type", f"Invalid grant_type: {kind}")

    def _refreshed(self, form: Mapping[str, str]) -> dict[str, Any]:
        with self._lock:
            scopes = self._grants.get(form.get("refresh_token", ""))
        if scopes is None:
            description = "Token has been expired or revoked."
            raise OAuthRefusal(400, "invalid_grant", description, wrong=False)
        asked = frozenset(form.get("scope", "").split()) or scopes
        if not asked <= scopes:
            raise OAuthRefusal(400, "invalid_scope", "More scopes than were granted.")
        return self._answer(asked)

    def _exchanged(self, form: Mapping[str, str]) -> dict[str, Any]:
        with self._lock:
            code = self._codes.get(form.get("code", ""))
            if code is None or code.used:
                raise OAuthRefusal(400, "invalid_grant", "Malformed auth code, or used before.")
            code.used = True
        if form.get("redirect_uri") != code.redirect:
            raise OAuthRefusal(400, "redirect_uri_mismatch", "Not the address of the consent.")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
            raise OAuthRefusal(400, "invalid_grant", "Invalid code verifier.")
        answer = self._answer(code.scopes)
        return answer | {"refresh_token": self.grant(code.scopes)} if code.refresh else answer

    def _answer(self, scopes: frozenset[str]) -> dict[str, Any]:
        return {
            "access_token": self.access_token(scopes),
            "expires_in": int(self.token_life) - 1,
            "scope": " ".join(sorted(scopes)),
            "token_type": "Bearer",
        }
