"""Commands for those who change Reelchain: test, bench."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Annotated

import typer

from app import settings
from app.errors import InputError

PASS_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": ["--help"],
}


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command(context_settings=PASS_ON)(test)
    app.command(context_settings=PASS_ON)(bench)


AT_ONCE = [
    *("-n", str((os.cpu_count() or 1) + 1)),
    *("--dist", "loadfile", "--no-loadscope-reorder"),
]
"""One process more than there are cores: tests wait now and then for something to come back."""
SIDE_BY_SIDE = ["-m", "not slow", *AT_ONCE]
SLOW_SIDE_BY_SIDE = ["-m", "slow and not alone", *AT_ONCE]
ONE_BY_ONE = ["-m", "slow and alone"]


def test(
    context: typer.Context,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out whole videos, kills and real workers.")
    ] = False,
) -> None:
    """Run the whole test suite; with other options, pytest with just those (and `--quick`)."""
    import pytest

    os.chdir(settings.ROOT)
    if context.args:
        runs = [["-m", "not slow", *context.args] if quick else context.args]
    else:
        # what goes by the clock to fractions of a second has the machine to itself
        slow = [SLOW_SIDE_BY_SIDE, ONE_BY_ONE]
        runs = [SIDE_BY_SIDE] if quick else [SIDE_BY_SIDE, *slow]
    python = [sys.executable, "-m", "pytest"]
    # what each process compiles and rewrites anew is a quarter of the quick suite
    environment = settings.child_environment(PYTHONDONTWRITEBYTECODE="")
    codes = [
        os.spawnve(os.P_WAIT, sys.executable, [*python, *run], environment)  # noqa: S606 - our own
        for run in runs
    ]
    bad = [code for code in codes if code not in (0, pytest.ExitCode.NO_TESTS_COLLECTED)]
    sys.exit(bad[0] if bad else min(codes))


def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which benchmark; `list` names them.")] = "list",
) -> None:
    """Measure something and print medians and ratios; options go to the benchmark."""
    folder = settings.ROOT / "benchmarks"
    known = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    if name == "list":
        sys.stdout.write("\n".join(known) + "\n")
        return
    if name not in known:
        raise InputError(
            "bench_unknown",
            f"There is no benchmark {name!r}.",
            f"Choose one of: {', '.join(known)}.",
        )
    spec = importlib.util.spec_from_file_location(f"bench_{name}", folder / f"{name}.py")
    if spec is None or spec.loader is None:
        raise InputError("bench_unknown", f"{name}.py can't be loaded.", "Look at the file.")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    sys.exit(module.main(context.args))
