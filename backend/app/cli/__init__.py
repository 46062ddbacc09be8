"""The command line. A new command is one function in the room it belongs to.

Facts go to standard output, with `--json` as one document; progress and logs to standard error;
the exit code comes from the error's class (docs/errors.md).
"""

from __future__ import annotations

import sys
from typing import Any

import typer

from app import errors
from app.cli import (
    auth,
    batches,
    check,
    developer,
    history,
    operations,
    projects,
    quota,
    stack,
    styles,
    voices,
)
from app.cli.output import failed

app = typer.Typer(
    name="reelchain",
    help="Turn an idea, a story or a playlist into finished, published videos.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
batch = typer.Typer(help="One video per entry of a playlist.", no_args_is_help=True)

for room in (projects, stack, operations, quota, history, auth, check, styles, voices, developer):
    room.register(app)
batches.register(batch)
app.add_typer(batch, name="batch")


def main() -> None:
    """Run the command line; every error becomes one clear message and its exit code."""
    arguments: list[Any] = sys.argv[1:]
    try:
        app(prog_name="reelchain")
    except errors.ReelchainError as error:
        sys.exit(failed(error, as_json="--json" in arguments))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the edge: whatever it was, it gets a name
        known = errors.describe(error)
        if isinstance(known, errors.InternalError):
            _keep_trace()
        sys.exit(failed(known, as_json="--json" in arguments))


def _keep_trace() -> None:
    import traceback

    traceback.print_exc()
