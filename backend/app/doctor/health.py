"""A quick answer for container managers and monitors: does it work at this moment?"""

from __future__ import annotations

import importlib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from uuid import uuid4

from app import operations, settings
from app.celery_app import QUEUES
from app.doctor.checks import Check, Probe, asked
from app.doctor.machine import TOO_LITTLE_SPACE
from app.errors import HealthError

SECONDS = 2.0
"""For all parts together: they are asked at the same time."""
WATCHDOG = "watchdog"
"""`app.tasks.watchdog.KEY`; its module costs all the tasks, and the answer is wanted quickly."""
OLD_SECONDS = 3600.0
"""A message that waits so long is worth a look; a long queue is no fault by itself."""


def examine(queues: Sequence[str] = ()) -> list[Check]:
    """Ask each part, all at once, and give none of them longer than `SECONDS`.

    Args:
        queues: The queues that must have a worker; all by default.
    """
    wanted = tuple(queues) or QUEUES
    probes: dict[str, Probe] = {
        "Redis": _redis,
        "Workers": lambda: _workers(wanted),
        "Watchdog": _watchdog,
        "Queues": lambda: _queues(wanted),
        "Disk": _disk,
        "Database": _database,
    }
    found: dict[str, list[Check]] = {}
    # loaded before the clock starts: six threads that import at once wait for each other
    for module in ("celery", "kombu.transport.redis", "app.records"):
        importlib.import_module(module)

    def ask(name: str, probe: Probe) -> None:
        found[name] = asked(name, probe, SECONDS)

    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in probes.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [_judged(check) for name in probes for check in found[name]]


def _judged(check: Check) -> Check:
    """Videos are made without the database: its silence is no reason to restart anything."""
    if check.name == "Database" and check.status == "fail":
        return replace(check, status="warn")
    return check


def verdict(checks: Sequence[Check]) -> HealthError | None:
    """Return the error that names what is not well, or None."""
    bad = [check for check in checks if check.status == "fail"]
    if not bad:
        return None
    return HealthError("unhealthy", " ".join(f"{c.name}: {c.what}" for c in bad), bad[0].hint)


def _redis() -> Iterator[Check]:
    key = f"health:{uuid4()}"
    with operations.connected() as client:
        client.set(key, "1", ex=10)
        client.delete(key)
    yield Check("Redis", "ok", "It answers and writes.")


def _workers(wanted: Sequence[str]) -> Iterator[Check]:
    served = operations.serving()
    idle = [name for name in wanted if not served.get(name)]
    if idle:
        hint = f"Start one: ./reelchain worker -Q {','.join(idle)}, or ./reelchain up."
        yield Check("Workers", "fail", f"Nobody takes {', '.join(idle)}.", hint)
    else:
        count = len({node for name in wanted for node in served[name]})
        yield Check("Workers", "ok", f"{count} take {', '.join(wanted)}.")


def _watchdog() -> Iterator[Check]:
    if _seen_watchdog():
        yield Check("Watchdog", "ok", "One looks after dead owners and lost messages.")
    else:
        told = "None: what a dead worker left is not sent on."
        yield Check("Watchdog", "fail", told, "It runs in every worker: start one.")


def _seen_watchdog() -> bool:
    """Look for the key of the watchdog whose turn it is; there is none between two turns."""
    patience = min(1.5, 2 * settings.get().watchdog_seconds)
    deadline = time.monotonic() + patience
    with operations.connected() as client:
        while not client.exists(WATCHDOG):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
    return True


def _queues(wanted: Sequence[str]) -> Iterator[Check]:
    rows = [row for row in operations.queues() if row["queue"] in wanted]
    waiting = sum(row["waiting"] for row in rows)
    ages = [row["oldest"]["age_seconds"] for row in rows if row["oldest"]]
    oldest = max((age for age in ages if age is not None), default=0.0)
    told = f"{waiting} messages wait" + (f", the oldest for {oldest:.0f} s." if oldest else ".")
    if oldest > OLD_SECONDS:
        yield Check("Queues", "warn", told, "More workers, or ./reelchain workers: what is slow?")
    else:
        yield Check("Queues", "ok", told)


def _disk() -> Iterator[Check]:
    folder = settings.get().data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".health-") as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        told = f"{folder} can't be written: {error.strerror}."
        yield Check("Disk", "fail", told, "Free some space, or mend the permissions.")
        return
    free = shutil.disk_usage(folder).free
    told = f"{free / 1e9:.1f} GB free."
    if free < TOO_LITTLE_SPACE:
        yield Check("Disk", "fail", told, "Free some space: nothing can be rendered.")
    else:
        yield Check("Disk", "ok", told)


def _database() -> Iterator[Check]:
    from sqlalchemy import text

    from app import records

    with records.engine().connect() as connection:
        connection.execute(text("select 1"))
    yield Check("Database", "ok", "It answers.")
