"""Commands about what runs: up, worker, beat, flower."""

from __future__ import annotations

import sys

import typer

from app.cli import output

PASS_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": ["--help"],
}


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(up)
    for command in (worker, beat, flower):
        app.command(context_settings=PASS_ON)(command)


def up() -> None:
    """Start Redis, workers and beat on the configured address, and stay until Ctrl-C.

    Plain `celery`, `redis-cli` and Python snippets then find them at localhost:6379.
    """
    from app import embedded

    embedded.serve(output.note, foreground=True)


def worker(context: typer.Context) -> None:
    """Start a Celery worker; takes Celery's own options, such as `-Q video_generation -c 2`."""
    _celery("worker", context.args, ["-E", "--without-mingle", "--without-gossip"])


def beat(context: typer.Context) -> None:
    """Start Celery's scheduler (one per installation); takes Celery's own options."""
    _celery("beat", context.args, [])


def flower(context: typer.Context) -> None:
    """Start Flower at http://localhost:5555; takes Flower's own options."""
    ours = [] if any(a.startswith("--address") for a in context.args) else ["--address=127.0.0.1"]
    _celery("flower", context.args, ours)


def _celery(command: str, given: list[str], ours: list[str]) -> None:
    from app.celery_app import celery_app

    level = ["--loglevel=info"] if command != "flower" else []
    chosen = [] if any(a.startswith(("-l", "--loglevel")) for a in given) else level
    sys.argv = ["celery", "-A", "app.celery_app", command, *ours, *chosen, *given]
    if command == "flower":
        celery_app.reach()
    celery_app.start(argv=[*sys.argv[1:]])


def warn_without_workers() -> None:
    """Say so where work was sent to a Redis that no worker listens to."""
    from app import embedded
    from app.celery_app import celery_app

    if embedded.status()["running"]:
        return  # the stack's own workers were seen ready
    if not celery_app.control.ping(timeout=1.0):
        output.note("No worker answers. Start one in another terminal: ./reelchain worker")
