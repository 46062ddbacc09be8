"""What stocks of pictures have in common: searches kept for a day, downloads that trust nobody.

Both services ask that their people are named where their pictures are shown; Pixabay asks as well
that no search is made twice within 24 hours (pixabay.com/api/docs, "Rate Limit").
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from pydantic import Field, SecretStr

from app import disk, patience, settings, throttle
from app.errors import InputError, PermanentError, ReelchainError, TransientError
from app.models import FRAME_SIZES
from app.providers import Picture, PictureRequest

# it warns of odd headers with the whole address, and Pixabay wants its key there
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)

AT_ONCE = 4
"""Pictures that one project asks a stock for at once."""
PER_PAGE = 30
KEPT_SECONDS = 24 * 3600
"""How long an answer to a search serves; Pixabay's addresses are good for as long."""
LONGEST_ANSWER = 5_000_000
REDIRECTS = 3
PATIENCE = 4
"""A whole download may take so many times what a single byte may."""
MAX_PIXELS = 40_000_000
"""Above this the next smaller version of a picture is taken."""
FITS_FROM = 0.7
"""Least ratio of a picture's aspect and the frame's at which it fills the frame (`media.pictures`)."""
QUERY_CHARACTERS = 100
NAME_CHARACTERS = 60
LONGEST_SIDE = 1_000_000
"""Pixels; who tells of more is not believed."""
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_BLOCK = 64 * 1024


class StockSettings(settings.Base):
    """What `.env.example` explains, field for field."""

    pexels_api_key: SecretStr | None = None
    pexels_base_url: str = Field(default="https://api.pexels.com/", pattern=r"^https?://[^\s?#]+$")
    pixabay_api_key: SecretStr | None = None
    pixabay_base_url: str = Field(default="https://pixabay.com/", pattern=r"^https?://[^\s?#]+$")
    stock_timeout: float = Field(default=30, gt=0, le=600)
    """Seconds without a byte after which a call is given up."""
    stock_picture_mb: int = Field(default=40, ge=1, le=500)
    """Megabytes of the largest picture that is taken."""
    stock_per_minute: int = Field(default=60, ge=0)
    """Searches a minute of all workers together, per service; 0 is no limit."""


def get() -> StockSettings:
    """Return the settings.

    Raises:
        InputError: `setting_invalid`.
    """
    return settings.load(StockSettings)


class Hit(NamedTuple):
    """A picture that was found."""

    picture: str
    page: str
    author: str
    width: int
    height: int


class Stock:
    """One service; its file says how it is searched.

    Attributes:
        title: Its name as it is written.
        site: Where its pages are; a credit leads nowhere else.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    site: ClassVar[str]
    version: ClassVar[str] = "1"

    def concurrency(self) -> int:
        """Return how many pictures are best asked for at once."""
        return AT_ONCE

    def base(self) -> str:
        """Return the address of its API."""
        raise NotImplementedError

    def hits(self, terms: str, request: PictureRequest) -> list[Hit]:
        """Return what is found, the most fitting first."""
        raise NotImplementedError

    def draw(self, request: PictureRequest, target: Path) -> Picture:
        """Find a picture by the request's keywords and write it to `target`.

        Raises:
            InputError: `stock_key_missing`.
            PermanentError: `picture_not_found`, `stock_key_refused`, `stock_refused`,
                `stock_address_refused`.
            TransientError: `stock_unavailable`, `stock_answer_unreadable`, `stock_picture_broken`.
        """
        found = self._found(request)
        hit = found[request.number % len(found)]
        download(self, hit.picture, target)
        author = _plain(hit.author)
        by = f"Photo by {author} on {self.title}" if author else f"Photo on {self.title}"
        return Picture(provider=self.name, credit=by, credit_url=self._page(hit.page))

    def _found(self, request: PictureRequest) -> list[Hit]:
        tried = searches(request.keywords)
        for terms in tried:
            found = _fitting(self.hits(terms, request), request)
            if found:
                return found
        raise PermanentError(
            "picture_not_found",
            f"{self.title} has no picture of {' or of '.join(map(repr, tried)) or 'nothing'}.",
            "Give the scene other keywords (visual.keywords in script.json); English finds the most.",
        )

    def _page(self, address: str) -> str:
        try:
            parts = urlsplit(address)
            host = parts.hostname or ""
        except ValueError:
            return ""
        ours = host == self.site or host.endswith(f".{self.site}")
        fair = re.fullmatch(r"[!-;=?-~]{1,200}", address) is not None  # no space, < or >
        return address if ours and fair and parts.scheme == "https" else ""


def is_english(terms: str) -> bool:
    """Tell whether words are searched for as English, whatever the project's language is."""
    return terms.isascii()


def searches(keywords: Sequence[str]) -> list[str]:
    """Return what is searched for, one after the other: all keywords, then the first alone."""
    words = [" ".join(word.split()) for word in keywords]
    words = [word for word in words if word]
    if not words:
        return []
    every = words[0]
    for word in words[1:]:
        if len(every) + 1 + len(word) <= QUERY_CHARACTERS:
            every += f" {word}"
    return list(dict.fromkeys((every[:QUERY_CHARACTERS], words[0][:QUERY_CHARACTERS])))


def _fitting(found: list[Hit], request: PictureRequest) -> list[Hit]:
    """Return those that fill the frame, or all where none does."""
    wide, high = FRAME_SIZES[request.shape]
    wanted = wide / high

    def fills(hit: Hit) -> bool:
        own = hit.width / hit.height
        return min(own, wanted) / max(own, wanted) >= FITS_FROM

    sound = [
        hit
        for hit in found
        if hit.picture
        and min(hit.width, hit.height) > 0
        and max(hit.width, hit.height) <= LONGEST_SIDE
    ]
    return [hit for hit in sound if fills(hit)] or sound


def _plain(name: str) -> str:
    """Return a name as a description may show it."""
    shown = "".join(c if c.isprintable() and c not in "<>" else " " for c in name)
    return " ".join(shown.split())[:NAME_CHARACTERS].strip()


def key(stock: Stock, given: SecretStr | None) -> str:
    """Return a service's key.

    Raises:
        InputError: `stock_key_missing`.
    """
    if given is None:
        raise InputError(
            "stock_key_missing",
            f"There is no key for {stock.title}.",
            f"Get one at {stock.site}/api, and set {stock.name.upper()}_API_KEY.",
        )
    return given.get_secret_value()


# -- searches ---------------------------------------------------------------------------------


def search(
    stock: Stock,
    path: str,
    asked: Mapping[str, str | int],
    *,
    secret: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the answer to a search; one of the last 24 hours serves again.

    Args:
        stock: The service.
        path: Below its address.
        asked: What is asked for, as parameters.
        secret: Parameters that are neither kept nor told.
        headers: Sent with it, and neither kept nor told.

    Raises:
        ReelchainError: What the refusal means.
    """
    address = stock.base().rstrip("/") + path
    kept = _kept(stock, disk.digest({"address": address, **asked}))
    if (known := _known(kept)) is not None:
        return known
    with throttle.slot(stock.name, at_once=AT_ONCE, per_minute=get().stock_per_minute):
        body = _searched(stock, address, {**(secret or {}), **asked}, headers or {})
    answer = _parsed(stock, body)
    with contextlib.suppress(OSError):  # the search has to be made again, and that is all
        kept.parent.mkdir(parents=True, exist_ok=True)
        disk.write_atomic(kept, json.dumps(answer).encode())
        _forget_old(kept.parent)
    return answer


def _kept(stock: Stock, digest: str) -> Path:
    return settings.get().data_dir / "cache" / stock.name / f"{digest[:32]}.json"


def _known(kept: Path) -> dict[str, Any] | None:
    try:
        age = time.time() - kept.stat().st_mtime
        found = json.loads(kept.read_bytes()) if 0 <= age < KEPT_SECONDS else None
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another worker was quicker
            if time.time() - path.stat().st_mtime >= KEPT_SECONDS:
                disk.unlink(path)


def _searched(
    stock: Stock, address: str, asked: Mapping[str, str | int], headers: Mapping[str, str]
) -> bytes:
    with _asking(stock, address, params=asked, headers=headers) as answer:
        if answer.status_code != 200:
            refusal = _refusal(stock, answer)
            if answer.status_code == 429:
                throttle.close(stock.name, refusal.retry_after or 0)
            raise refusal
        return b"".join(_pieces(stock, answer, LONGEST_ANSWER))


def _parsed(stock: Stock, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise unreadable(stock)
    return answer


def unreadable(stock: Stock) -> TransientError:
    """Return the error of an answer that is not what the service's description says."""
    return TransientError(
        "stock_answer_unreadable",
        f"{stock.title}'s answer to a search can't be read.",
        "Run the project again in a while.",
    )


# -- pictures ---------------------------------------------------------------------------------


def download(stock: Stock, address: str, target: Path) -> None:
    """Write the picture at an address that a service gave to `target`.

    Raises:
        PermanentError: `stock_address_refused`.
        TransientError: `stock_unavailable`, `stock_picture_broken`.
    """
    limit = get().stock_picture_mb * 1_000_000
    for _ in range(REDIRECTS + 1):
        check_address(stock, address)
        with _asking(stock, address, headers={"Accept": "image/jpeg,image/png"}) as answer:
            if answer.is_redirect:
                address = urljoin(address, answer.headers["Location"])
                continue
            if answer.status_code != 200:
                raise _refusal(stock, answer)
            _write(stock, answer, target, limit)
            return
    raise _broken(stock, "its address leads in a circle")


def _write(stock: Stock, answer: Any, target: Path, limit: int) -> None:
    kind = str(answer.headers.get("Content-Type", "")).partition(";")[0].strip().lower()
    if not kind.startswith("image/"):
        raise _broken(stock, f"it is no picture but {kind[:40] or 'something'!r}")
    head = b""
    with target.open("wb") as file:
        for piece in _pieces(stock, answer, limit):
            head = (head + piece)[: len(_MAGIC[-1])]
            file.write(piece)
    if not head.startswith(_MAGIC):
        raise _broken(stock, "it is neither a JPEG nor a PNG" if head else "it has no content")


def _pieces(stock: Stock, answer: Any, limit: int) -> Iterator[bytes]:
    """Yield an answer's body, within its limits of size and time.

    Raises:
        TransientError: It is too large, too slow, or not whole.
    """
    patience = PATIENCE * get().stock_timeout
    began, size = time.monotonic(), 0
    while piece := answer.raw.read1(_BLOCK, decode_content=True):
        size += len(piece)
        if size > limit:
            raise _broken(stock, f"it is larger than {limit / 1e6:.0f} MB")
        if time.monotonic() - began > patience:
            raise _unavailable(stock, f"it was not whole after {patience:.0f} s")
        yield piece
    if answer.raw.length_remaining:
        raise _unavailable(stock, "the connection ended in the middle")


def check_address(stock: Stock, address: str) -> None:
    """Make sure that an address that came in an answer leads out, and not into our own network.

    What the service's own host says of itself is trusted: a stock of pictures in one's own network
    is named by its base address.

    Raises:
        PermanentError: `stock_address_refused`.
    """
    home = urlsplit(stock.base())
    try:
        parts = urlsplit(address)
        same = (parts.scheme, parts.hostname) == (home.scheme, home.hostname)
        fair = same or (parts.scheme == "https" and "@" not in parts.netloc and _is_public(parts))
    except ValueError:
        fair = False
    if not fair:
        raise PermanentError(
            "stock_address_refused",
            f"{stock.title} gave a picture's address that does not lead to a public https server.",
            "Give the scene other keywords, or a picture of your own.",
        )


def _is_public(parts: SplitResult) -> bool:
    if not parts.hostname:
        return False
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return True  # who can't find it reaches it through a proxy or not at all
    places = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    mapped = [getattr(place, "ipv4_mapped", None) or place for place in places]
    return all(place.is_global and not place.is_multicast for place in mapped)


# -- calls ------------------------------------------------------------------------------------


@contextlib.contextmanager
def _asking(
    stock: Stock,
    address: str,
    *,
    params: Mapping[str, str | int] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """Ask once, and follow nothing; no error tells the address, which may hold a key.

    Raises:
        TransientError: `stock_unavailable`.
    """
    import requests
    from urllib3.exceptions import HTTPError

    logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it writes whole addresses
    sent = {"Accept-Encoding": "identity", "User-Agent": "reelchain", **(headers or {})}
    try:
        with (
            requests.Session() as session,
            session.get(
                address,
                params=dict(params or {}),
                headers=sent,
                auth=lambda request: request,  # else a `.netrc` would give its own
                timeout=get().stock_timeout,
                stream=True,
                allow_redirects=False,
            ) as answer,
        ):
            yield answer
    except (
        requests.RequestException,
        HTTPError,
        ValueError,
    ) as error:  # the last: a broken address
        raise _unavailable(stock, type(error).__name__) from None


def _refusal(stock: Stock, answer: Any) -> ReelchainError:
    """Return what a status means."""
    status = int(answer.status_code)
    said = b""
    with contextlib.suppress(Exception):  # its words are only looked at for the word "key"
        said = answer.raw.read1(1000, decode_content=True)
    if status in (401, 403) or (status == 400 and b"api key" in said.lower()):
        return PermanentError(
            "stock_key_refused",
            f"{stock.title} does not take the key ({status}).",
            f"Correct {stock.name.upper()}_API_KEY, then run the project again.",
        )
    if status in (408, 429) or status >= 500:
        return _unavailable(stock, str(status), _patience(answer))
    return PermanentError(
        "stock_refused",
        f"{stock.title} refused what it was asked for ({status}).",
        "Give the scene other keywords, or a picture of your own.",
    )


def _patience(answer: Any) -> float | None:
    """Return the seconds that an answer asks to wait, an hour at most."""
    for name in ("Retry-After", "X-RateLimit-Reset"):
        text = str(answer.headers.get(name, "")).strip()
        # Pexels gives the moment its month ends there, which is no time to wait for
        if text.isascii() and text.isdigit() and float(text[:12]) <= patience.LONGEST:
            return float(text)
    return None


def _unavailable(stock: Stock, why: str, seconds: float | None = None) -> TransientError:
    return TransientError(
        "stock_unavailable",
        f"{stock.title} did not answer ({why}).",
        "Run the project again in a while.",
        seconds,
    )


def _broken(stock: Stock, why: str) -> TransientError:
    return TransientError(
        "stock_picture_broken",
        f"A picture of {stock.title} can't be used: {why}.",
        "Give the scene other keywords, or a picture of your own.",
    )
