"""The stack: a Redis server, the workers and beat, owned by one supervisor process per data folder.

Where the user named no Redis and none answers at the default address, `ensure` starts a supervisor
in a session of its own, which every later command finds and joins. What it starts dies with it: by
`PR_SET_PDEATHSIG` on Linux; elsewhere (untested) behind a process that watches its parent. Redis
keeps its data in `run/redis` below the data folder, so a queue outlives a stack.

This module is what clients call; it is quick to import and to ask.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app import settings
from app.embedded import record
from app.embedded.server import configured_password, probe, program
from app.errors import ServiceError

__all__ = ["address", "ensure", "join", "leave", "probe", "program", "serve", "status", "stop"]

APP = "app.celery_app"

Say = Callable[[str], None]
"""Gets a sentence about what is being done."""

_memberships: dict[Path, int] = {}


def _forget_memberships() -> None:
    """In a forked child: it is no client, and its copy of the file must not outlive its parent."""
    for handle in _memberships.values():
        os.close(handle)
    _memberships.clear()


os.register_at_fork(after_in_child=_forget_memberships)


def join() -> None:
    """Count this process as a client: the stack stays at least as long as it lives.

    Does nothing where the user named a Redis of their own.
    """
    folder = record.run_dir()
    if not settings.get().default_redis or folder in _memberships:
        return
    handle = record.lock(record.made(folder) / "clients.lock", fcntl.LOCK_SH)
    if handle is not None:
        _memberships[folder] = handle


def leave() -> None:
    """Be no client any more."""
    if (handle := _memberships.pop(record.run_dir(), None)) is not None:
        os.close(handle)


def address() -> str:
    """Return the broker's URL to use now; it may hold a password, so never print it.

    The configured one; where none was configured, that of this folder's stack, else the default
    address. Starts nothing and never fails.
    """
    configured = settings.get()
    return (configured.default_redis and _stack_url(record.run_dir())) or configured.redis_url


def _stack_url(folder: Path) -> str | None:
    if not record.lives(folder):
        return None
    found = record.read(folder)
    return found.get("url") if found.get("phase") in {"starting", "ready"} else None


def ensure(report: Say | None = None, *, app: str = APP) -> str:
    """Return the broker's URL, having started the stack where nobody answers; joins it.

    A stack is ready when its Redis and each of its workers have answered. Two starters get one.
    With a Redis of the user's own nothing is started: its workers are theirs.

    Args:
        report: Told what is being waited for.
        app: Module of the Celery application.

    Raises:
        ServiceError: `stack_failed`, `stack_slow`, `redis_missing`, `redis_failed` or
            `workers_failed`, naming the log; `redis_password` where the default address wants one.
    """
    configured = settings.get()
    if not configured.default_redis:
        return configured.redis_url
    join()
    folder = record.run_dir()
    if not record.lives(folder):
        host, port, _ = settings.DEFAULT_REDIS
        answer = probe(host, port, owner=folder)
        if answer == "redis":
            return configured.redis_url
        if answer == "password":
            raise _password_wanted()
    elif (found := record.read(folder)).get("phase") == "ready":
        return str(found["url"])
    (report or _silent)("Starting Redis and the workers")
    _start(folder, "private", app)
    return str(record.read(folder)["url"])


def serve(report: Say | None = None, *, foreground: bool = True, app: str = APP) -> None:
    """Start the stack on the configured address, without an end of its own.

    A Redis that answers there already is used as it is, with workers of ours. A private stack
    that nobody uses any more is replaced; its queue goes on in the new one.

    Args:
        report: Told what is being done, and when all is ready.
        foreground: Return only after Ctrl-C or the end of the stack, which ends with this
            process; otherwise return when it is ready, and leave it running until `stop`.
        app: Module of the Celery application.

    Raises:
        ServiceError: `stack_in_use`, `stack_running`, `redis_password`, `redis_unreachable`,
            `port_in_use`, or what keeps a stack from starting (see `ensure`).
    """
    say, folder = report or _silent, record.made(record.run_dir())
    leave()
    owner = _start_alone(folder, say, app, owned=foreground)
    try:
        say(f"Ready at {status()['address']}")
        if owner is not None:
            owner.wait()
    except KeyboardInterrupt:
        say("Stopping the workers, then Redis")
    finally:
        if owner is not None:
            stop()
            owner.communicate()
    if record.read(folder).get("phase") == "failed":
        raise record.failure(folder)


def _start_alone(
    folder: Path, say: Say, app: str, *, owned: bool
) -> subprocess.Popen[bytes] | None:
    """Start the stack of `up`; return its process if it is `owned` by this one."""
    while True:
        if record.lives(folder):
            _make_way(folder, say)
        kind = _kind_for_up()
        say("Starting the workers" if kind == "workers" else "Starting Redis and the workers")
        owner = _start(folder, kind, app, owned=owned)
        if owner is not None or not owned:
            return owner
        # another one has started a stack in between: it is in use, or has to make way as well


def _make_way(folder: Path, say: Say) -> None:
    """End the private stack that runs, if nobody uses it."""
    found = record.read(folder)
    if found.get("kind") != "private":
        raise ServiceError(
            "stack_running",
            f"Reelchain is up already for this data folder (process {found.get('pid')}).",
            "Use it as it is, or end that one first.",
        )
    # the supervisor asks the same each second, and holds the lock for that instant
    if not record.until(lambda: record.deserted(folder), 0.2):
        raise ServiceError(
            "stack_in_use",
            "Another command uses the private stack of this data folder.",
            "Wait until it has ended, or end it, then run this again.",
        )
    say("Replacing the private stack; its queue goes on in the new one")
    stop()


def _kind_for_up() -> record.Kind:
    """Return whether to start a Redis, by what answers at the configured address."""
    configured = settings.get()
    if configured.celery_broker_url is not None and not configured.default_redis:
        return "workers"
    host, port = configured.redis_host, configured.redis_port
    answer = probe(host, port, configured_password(), owner=record.run_dir())
    if answer == "redis":
        return "workers"
    if answer == "password":
        raise _password_wanted()
    if answer != "none":
        whose = "the stack of another data folder" if answer == "other folder" else "not a Redis"
        raise ServiceError(
            "port_in_use",
            f"Another program listens at {host}:{port}: {whose}.",
            "End that program, or set another REDIS_PORT.",
        )
    if host not in {"localhost", "127.0.0.1"}:
        raise ServiceError(
            "redis_unreachable",
            f"No Redis answers at {host}:{port}.",
            "Start it, or correct REDIS_HOST and REDIS_PORT.",
        )
    return "up"


def _password_wanted() -> ServiceError:
    configured = settings.get()
    return ServiceError(
        "redis_password",
        f"The Redis at {configured.redis_host}:{configured.redis_port} wants another password.",
        "Set REDIS_PASSWORD to its password (empty if it has none), or set another REDIS_PORT.",
    )


def status() -> dict[str, Any]:
    """Return facts of the stack of this data folder, without its password.

    Keys: running, phase (starting, ready, stopping, ended), kind (private, up, workers), address
    (host:port/db), pid, started_at, redis (pid, version, program, why), workers (name → pid),
    logs (their folder). Of a stack that does not run all but the first two are empty.
    """
    folder = record.run_dir()
    found = record.read(folder) if record.lives(folder) else {}
    names = ("kind", "address", "pid", "started_at", "redis")
    return {
        "running": found.get("phase") in {"starting", "ready"},
        "phase": found.get("phase", "ended"),
        **{name: found.get(name) for name in names},
        "workers": found.get("workers", {}),
        "logs": str(folder),
    }


def stop() -> bool:
    """End the stack of this data folder, workers first; False where none runs.

    Raises:
        ServiceError: `stack_stuck`, if it would not end.
    """
    folder = record.run_dir()
    pid = record.read(folder).get("pid")
    if not record.lives(folder) or not isinstance(pid, int):
        return False
    for number, patience in ((signal.SIGTERM, record.STOP_SECONDS + 10), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if record.until(lambda: not record.lives(folder), patience):
            return True
    raise ServiceError(
        "stack_stuck",
        f"The stack (process {pid}) does not end.",
        f"The reason may stand in {folder / 'stack.log'}.",
    )


def _silent(_: str) -> None:
    """The report of who wants none."""


def _start(
    folder: Path, kind: record.Kind, app: str, *, owned: bool = False
) -> subprocess.Popen[bytes] | None:
    """Start a supervisor unless one lives, and wait until it is ready.

    Returns:
        Its process if it is `owned` by this one.
    """
    owner = None
    with record.alone(folder):
        # One that is just ending still holds its port and its data.
        record.until(lambda: not _ending(folder), record.STOP_SECONDS + 10)
        if not record.lives(folder):
            record.retire(folder)
            owner = _spawn(folder, kind, app, owned=owned)
        try:
            settled = record.until(lambda: _settled(folder), record.START_SECONDS + 5)
        except BaseException:
            if owner is not None:
                owner.communicate()
            raise
    if settled and record.read(folder).get("phase") == "ready":
        return owner
    if owner is not None:
        owner.communicate()
    raise record.failure(folder) if settled else record.slow(folder)


def _ending(folder: Path) -> bool:
    over = {"stopping", "ended", "failed"}
    return record.lives(folder) and record.read(folder).get("phase") in over


def _settled(folder: Path) -> bool:
    return record.read(folder).get("phase") == "ready" or not record.lives(folder)


def _spawn(
    folder: Path, kind: record.Kind, app: str, *, owned: bool
) -> subprocess.Popen[bytes] | None:
    """Start the supervisor's process; return when its lock says that it lives."""
    command = [sys.executable, "-P", "-m", "app.embedded", "--kind", kind, "--app", app]
    with (folder / "stack.log").open("ab") as output:
        process = subprocess.Popen(
            [*command, *(["--owned"] if owned else [])],
            stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=settings.ROOT,
            env=record.environment(DATA_DIR=str(folder.parent)),
            start_new_session=True,
        )
    if not owned:
        if process.wait() != 0:
            raise record.failure(folder)
        return None
    record.until(lambda: record.lives(folder) or process.poll() is not None, record.START_SECONDS)
    return process
