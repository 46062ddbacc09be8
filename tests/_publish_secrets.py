"""Where secrets stand that a house should keep to itself: files, Redis, the wire, the process list.

with Watch(made) as watch:
    ...  # what the house does meanwhile is listened to
    found = watch.findings()
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from _publish import House
from _redis import until

WINDOW = 24
"""So many characters of a secret, from anywhere in it, give it away."""
CLI = ("show {n}", "show {n} --json", "ls --json", "tasks --json", "dead ls --json", "quota --json")


@dataclass(frozen=True)
class Finding:
    """A secret in a place where it must not be."""

    place: str
    secret: str
    text: str


class Watch:
    """Listens to a house from the moment it is entered.

    Args:
        made: The house.
    """

    def __init__(self, made: House) -> None:
        self._house = made
        self._ended = threading.Event()
        self._wire = bytearray()
        self._commands: set[str] = set()
        self._socket = socket.create_connection(("127.0.0.1", made.port))
        self._threads = [threading.Thread(target=act) for act in (self._listen, self._look)]

    def __enter__(self) -> Self:
        self._socket.sendall(b"MONITOR\r\n")
        for thread in self._threads:
            thread.start()
        until(lambda: self._wire, 10, "Redis tells of its commands")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(10)

    def _listen(self) -> None:
        """Keep every command that anybody gives to Redis: messages, events, results."""
        while not self._ended.is_set():
            try:
                piece = self._socket.recv(1 << 20)
            except OSError:
                return
            self._wire += piece
            if not piece:
                return

    def _look(self) -> None:
        """Keep every command line that a process below us ever had."""
        while not self._ended.wait(0.1):
            for process in psutil.Process(os.getpid()).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    self._commands.add("\0".join(process.cmdline()))

    # -- what is found -----------------------------------------------------------------------------

    def findings(self, projects: list[int], asked: tuple[str, ...] = CLI) -> list[Finding]:
        """Return every secret that stands where it must not.

        Args:
            projects: Those that the command line is asked about.
            asked: What it is asked.
        """
        needles = _needles(self._house.server.secrets())
        places = self.places(projects, asked)
        return [found for place, text in places for found in _found(place, text, needles)]

    def allowed(self) -> int:
        """Return how many secrets are found where they may be: a search that finds none is blind."""
        needles = _needles(self._house.server.secrets())
        private = [p for p in _files(self._house.data) if _is_private(p, self._house.data)]
        every = [*private, *_files(self._house.keys)]
        return len({f.secret for p in every for f in _found(str(p), p.read_bytes(), needles)})

    def places(
        self, projects: list[int], asked: tuple[str, ...] = CLI
    ) -> Iterator[tuple[str, bytes]]:
        """Yield what may be seen by others, by the name of its place."""
        house = self._house
        for path in house.folder.glob("*.log"):
            yield f"log {path.name}", path.read_bytes()
        for path in _files(house.data):
            # the films are random bytes: nothing is read out of them but time
            if not _is_private(path, house.data) and path.suffix != ".mp4":
                with contextlib.suppress(FileNotFoundError):  # a worker's mark goes when it ends
                    yield f"data {path.relative_to(house.data)}", path.read_bytes()
        for path in _files(house.folder / "appendonlydir"):
            yield f"Redis' file {path.name}", path.read_bytes()
        yield "Redis' commands", bytes(self._wire)
        for key in house.redis.scan_iter(count=1000):
            yield f"Redis {key}", repr((key, _value(house.redis, key))).encode()
        yield "command lines", "\n".join(sorted(self._commands)).encode()
        for words in asked:
            for number in projects if "{n}" in words else projects[:1]:
                yield f"reelchain {words}", _told(house, words.format(n=number))

    @property
    def heard(self) -> dict[str, int]:
        """Return how much was listened to."""
        return {"bytes to Redis": len(self._wire), "command lines": len(self._commands)}


def _told(house: House, asked: str) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "app", *asked.split()],
        env=house.environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{asked}: {done.stderr[-1000:]!r}"
    return done.stdout + done.stderr


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _is_private(path: Path, data: Path) -> bool:
    return "private" in path.relative_to(data).parts


def _value(client: Any, key: str) -> Any:
    read = {
        "string": lambda: client.get(key),
        "list": lambda: client.lrange(key, 0, -1),
        "hash": lambda: client.hgetall(key),
        "set": lambda: client.smembers(key),
        "zset": lambda: client.zrange(key, 0, -1, withscores=True),
        "stream": lambda: client.xrange(key),
        "none": lambda: None,
    }
    return read[client.type(key)]()


def _needles(secrets: list[str]) -> dict[bytes, str]:
    """Return each piece of each secret → its beginning, for the report.

    Pieces are of letters, digits, `_` and `-` alone, which no way of quoting changes.
    """
    found: dict[bytes, str] = {}
    for secret in secrets:
        for run in re.findall(rf"[\w-]{{{WINDOW},}}", secret, re.ASCII):
            for at in range(len(run) - WINDOW + 1):
                found[run[at : at + WINDOW].encode()] = secret[:12]
    return found


def _found(place: str, text: bytes, needles: dict[bytes, str]) -> Iterator[Finding]:
    for piece, secret in _pieces(text, needles).items():
        at = text.find(piece)
        around = text[max(0, at - 120) : at + WINDOW + 40]
        yield Finding(place, secret, re.sub(r"\s+", " ", around.decode(errors="replace")))
    for blob in set(re.findall(rb"[A-Za-z0-9+/_-]{32,}", text)):
        plain = blob.translate(bytes.maketrans(b"-_", b"+/"))
        inner = base64.b64decode(plain[: len(plain) // 4 * 4])
        for piece, secret in _pieces(inner, needles).items():
            yield Finding(place, f"{secret} in base64", repr(piece))


def _pieces(text: bytes, needles: dict[bytes, str]) -> dict[bytes, str]:
    """Return a piece of each secret that the text holds."""
    found: dict[str, bytes] = {}
    for word in set(re.findall(rb"[\w-]{%d,}" % WINDOW, text)):
        for at in range(len(word) - WINDOW + 1):
            secret = needles.get(word[at : at + WINDOW])
            if secret is not None:
                found.setdefault(secret, word[at : at + WINDOW])
    return {piece: secret for secret, piece in found.items()}
