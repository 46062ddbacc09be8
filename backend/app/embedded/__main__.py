"""The supervisor's own process, started by `ensure` and `serve`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from app import logs, settings
from app.embedded import APP, record
from app.embedded.child import guard, trim
from app.embedded.supervisor import Supervisor


def main(given: Sequence[str]) -> int:
    """Be the supervisor of the configured data folder.

    Returns:
        The exit code: of the whole life with `--owned`, otherwise of having detached.
    """
    if given[:1] == ["--guard"]:
        return guard(given[1:])
    parser = argparse.ArgumentParser(prog="app.embedded")
    parser.add_argument("--kind", choices=("private", "up", "workers"), required=True)
    parser.add_argument("--app", default=APP)
    parser.add_argument("--owned", action="store_true", help="end when standard input ends")
    chosen = parser.parse_args(given)
    configured = settings.get()
    logs.setup(configured.log_level)
    folder = record.made(record.run_dir())
    trim(folder / "stack.log")
    # Taken before the fork: once the starter is told, the lock says that we live. Who only
    # looks whether one lives holds it for an instant.
    if record.locked_within(folder / "supervisor.lock", 5) is None:
        logging.getLogger(__name__).error("another supervisor runs for %s", folder)
        return 1
    if not chosen.owned and os.fork():
        os._exit(0)
    supervisor = Supervisor(
        folder,
        chosen.kind,
        chosen.app,
        chosen.owned,
        previous=record.read(folder),
        idle_seconds=configured.stack_idle_seconds,
    )
    supervisor.note("starting")
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
