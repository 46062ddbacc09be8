"""Paid services on servers of our own: kills, speed, refusals, bad answers, keys, limits."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _parts import Row, note, row, run, wrong

if TYPE_CHECKING:
    from _paid import House, Outcome
    from _paid_rows import Judged

SCENES, ANSWER_SECONDS, AT_ONCE = 20, 2.0, 5
SLOWER = 1.2
"""Times what the calls alone take: the stage may take that, and the narration."""
SECONDS_PER_PROJECT = 15.0
MUTANT_SECONDS = 2.0
CALLS, PROCESSES, PER_MINUTE = 100, 4, 40


def main(argv: Sequence[str]) -> int:
    """Measure the parts asked for, one after the other; exit code 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="reelchain bench paid", description=__doc__)
    parser.add_argument("--projects", type=int, default=40, help="projects whose makers are killed")
    parser.add_argument("--answers", type=int, default=200, help="malformed answers")
    parser.add_argument("--concurrency", type=int, default=3, help="children of the worker")
    parser.add_argument(
        "--minute", type=float, default=6, help="seconds of the service's minute, for the limits"
    )
    return run("paid", parser, PARTS, argv)


def _counts(found: Counter[str]) -> str:
    return ", ".join(f"{kind} {n}" for kind, n in found.most_common()) or "none"


@contextlib.contextmanager
def _folder(problems: list[str]) -> Iterator[Path]:
    """Yield a folder; it stays where anything is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="reelchain-paid-"))
    whole = False
    try:
        yield folder
        whole = True
    finally:
        if whole and not problems:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            note(f"logs and data: {folder}")


@contextlib.contextmanager
def _house(
    settings: dict[str, str] | None = None, **gemini: Any
) -> Iterator[tuple[House, list[str]]]:
    """Yield a house and a list for what is wrong."""
    from _gemini import Gemini
    from _paid import house

    problems: list[str] = []
    with (
        _folder(problems) as folder,
        Gemini(**gemini) as server,
        house(folder, server, **(settings or {})) as made,
    ):
        yield made, problems
        problems.extend(f"violation: {line}" for line in server.violations)


# -- kills ---------------------------------------------------------------------------------------


def _kills(given: argparse.Namespace) -> list[Row]:
    import _paid

    with _house(delay=0.1) as (made, problems):
        made.start_worker(app="_paid_app", concurrency=given.concurrency)
        kills = _paid.Kills(made, seed=given.seed, count=given.projects)
        began = time.monotonic()
        kills.run(60 + SECONDS_PER_PROJECT * given.projects, say=note)
        seconds = time.monotonic() - began
        problems.extend(kills.problems())
        unbooked = kills.unbooked()
    paid, again, doubled = kills.paid(), kills.again(), kills.doubled()
    answers = sum(map(len, paid.values()))
    flying = [one for one in again if one not in doubled]
    most = 2 * made.at_once * len(kills.deaths)  # of pictures and speech
    done = given.projects - len(kills.stopped)
    return [
        row("kills: cut short", _paid.SCALED),
        row("kills: seed", given.seed),
        row("kills: projects completed", done, given.projects, right=done == given.projects),
        row("kills: children killed", len(kills.deaths)),
        row("kills: when", _counts(Counter(death.kind for death in kills.deaths))),
        row("kills: prompts", len(paid)),
        row("kills: answers paid", answers),
        row(
            "kills: paid again, in flight at a kill",
            len(flying),
            f"{made.at_once} a kill and model",
        ),
        row("kills: most s from such an answer to the kill", _most(one.age for one in flying)),
        row("kills: paid again, not in flight", len(doubled), 0, right=not doubled),
        row("kills: answers in no book", unbooked, f"0-{most}", right=0 <= unbooked <= most),
        row("kills: started again by hand, by error", _counts(kills.by_hand)),
        wrong("kills", problems),
        row("kills: seconds", round(seconds, 1)),
    ]


def _most(values: Iterator[float]) -> float:
    return round(max(values, default=0.0), 2)


# -- speed ---------------------------------------------------------------------------------------


def _speed(_given: argparse.Namespace) -> list[Row]:
    import _paid_rows

    with _house(_paid_rows.SPEED) as (made, problems):
        server = made.server
        made.environment["IMAGE_PROVIDER"] = "cards"
        worker = made.start_worker(app="_paid_app", concurrency=1)
        _paid_rows.assets(made, [1], 2, 120)  # whatever is loaded on first use is loaded
        (alone,) = _paid_rows.assets(made, [2], SCENES, 120)
        made.kill_worker(worker)
        made.environment["IMAGE_PROVIDER"] = "gemini"
        made.start_worker(app="_paid_app", concurrency=1)
        _paid_rows.assets(made, [3], 2, 120)
        server.calls.clear()
        server.delay = ANSWER_SECONDS
        (one,) = _paid_rows.assets(made, [4], SCENES, 180)
        calls, peak = len(server.calls), server.peak
        server.delay = 0.0
        made.start_worker(app="_paid_app", concurrency=1)
        _paid_rows.assets(made, [5, 6], 2, 120)
        server.calls.clear()
        server.delay = ANSWER_SECONDS
        both = _paid_rows.assets(made, [7, 8], SCENES, 240)
        calls_of_both, peak_of_both = len(server.calls), server.peak
    return [
        row("speed: scenes, s an answer, calls at once", f"{SCENES}, {ANSWER_SECONDS}, {AT_ONCE}"),
        *_speed_rows(alone.voice, one, calls, peak),
        row("speed, two workers: pictures asked for", calls_of_both),
        row(
            "speed, two workers: most at once",
            peak_of_both,
            AT_ONCE,
            right=peak_of_both <= AT_ONCE,
        ),
        row(
            "speed, two workers: their assets stages, s",
            ", ".join(f"{stage.whole:.1f}" for stage in both),
        ),
        wrong("speed", problems),
    ]


def _speed_rows(voice: float, stage: Any, calls: int, peak: int) -> list[Row]:
    drawing = SCENES / AT_ONCE * ANSWER_SECONDS
    limit = SLOWER * drawing + voice
    return [
        row("speed: narration alone, s", round(voice, 2)),
        row("speed: narration in the same run, s", round(stage.voice, 2)),
        row("speed: pictures asked for", calls, SCENES, right=calls == SCENES),
        row("speed: the calls alone, s", drawing),
        row(
            "speed: assets stage, s",
            round(stage.whole, 2),
            f"{SLOWER} x {drawing:g} + {voice:.2f} = {limit:.2f}",
            right=stage.whole <= limit,
        ),
        row("speed: most at once", peak, AT_ONCE, right=0 < peak <= AT_ONCE),
    ]


# -- refusals ------------------------------------------------------------------------------------


def _errors(given: argparse.Namespace) -> list[Row]:
    import _paid

    pictures = tuple(case for case in _paid.REFUSED if case.want == "picture")
    seconds = 60 + 10 * len(_paid.REFUSED)
    with _house() as (made, problems):
        made.start_worker(app="_paid_app", concurrency=given.concurrency)
        alone = _paid.refuse(made, _paid.REFUSED, seconds)
        strict = _paid.refuse(made, pictures, seconds, strict=True)
    with _house(_paid.CHAINS) as (made, more):
        made.start_worker(app="_paid_app", concurrency=given.concurrency)
        chained = _paid.refuse(made, _paid.REFUSED, seconds)
        strict += _paid.refuse(made, _paid.REFUSED, seconds, strict=True)
    failed = [_paid.failed_wrong(one) for one in [*alone, *strict]]
    moved = [_paid.fell_back_wrong(one) for one in chained]
    problems.extend([*more, *(line for lines in [*failed, *moved] for line in lines)])
    every = [*alone, *strict, *chained]
    tries = max(one.tries for one in every)
    least = min(one.tries for one in every)
    return [
        row("refusals: kinds", len(_paid.REFUSED)),
        row("refusals: projects that met one", len(every)),
        row("refusals: tries of the same prompt", f"{least}-{tries}", 1, right=least == tries == 1),
        *_ends("refusals: failed with code, reason, hint", failed),
        *_ends("refusals: another stood in, and a warning says so", moved),
        row("refusals: codes", _counts(_codes([*alone, *strict]))),
        wrong("refusals", problems),
    ]


def _ends(what: str, found: list[list[str]]) -> list[Row]:
    right = sum(not lines for lines in found)
    return [row(what, right, len(found), right=right == len(found))]


def _codes(outcomes: Sequence[Outcome]) -> Counter[str]:
    return Counter(str(one.error.get("code")) for one in outcomes)


# -- malformed answers ---------------------------------------------------------------------------


def _malformed(given: argparse.Namespace) -> list[Row]:
    import _paid_rows

    with _house({"LOG_LEVEL": "DEBUG", "IMAGE_PROVIDER": "gemini,cards"}) as (made, problems):
        judged = _paid_rows.malformed(made, given.seed, given.answers)
        made.start_worker(concurrency=2)
        filmed = _paid_rows.film(made, judged, 400)
        problems.extend(f"{one.way} {one.number}: {one.outcome}" for one in judged if _unclear(one))
        problems.extend(filmed.found)
    unclear = sum(map(_unclear, judged))
    slowest = max(judged, key=lambda one: one.seconds)
    shown = f"{slowest.seconds:.2f} ({slowest.way})"
    return [
        row("malformed: seed", given.seed),
        row("malformed: answers", len(judged)),
        row("malformed: outcomes", _counts(Counter(one.outcome for one in judged))),
        row("malformed: neither a script nor a clear failure", unclear, 0, right=not unclear),
        row(
            "malformed: slowest, s", shown, MUTANT_SECONDS, right=slowest.seconds <= MUTANT_SECONDS
        ),
        row("malformed: films of hostile scripts", len(filmed.numbers), 2),
        row("malformed: hostile texts in them", len(filmed.signs), "> 0", right=bool(filmed.signs)),
        row("malformed: names of files, command lines", f"{filmed.names}, {filmed.commands}"),
        row("malformed: anything of a script there", len(filmed.found), 0, right=not filmed.found),
        wrong("malformed", problems),
    ]


def _unclear(one: Judged) -> bool:
    return one.outcome in {"unclear", "nothing"} or one.outcome.startswith("!")


# -- keys ----------------------------------------------------------------------------------------


def _keys(given: argparse.Namespace) -> list[Row]:
    from _paid_secrets import four_keys
    from _publish_secrets import Watch

    problems: list[str] = []
    with (
        _folder(problems) as folder,
        four_keys(folder, given.seed) as (made, seen, mishaps),
        Watch(seen) as watch,
    ):
        made.start_worker(app="_paid_app", concurrency=given.concurrency)
        numbers = made.create(8) + made.create(4, strict=True)
        made.start(numbers)
        ended = Counter(made.ended(numbers, 300).values())
        found = watch.findings([numbers[0], numbers[-1]])
        problems.extend(f"{f.place}: {f.secret}…: {f.text}" for f in found)
        made.redis.set("planted", seen.server.found[0])
        planted = len(watch.findings([]))
    return [
        row("keys: there are", len(seen.server.found)),
        row("keys: projects", _counts(ended)),
        row("keys: calls that failed", mishaps.struck.total()),
        row("keys: kinds of failures", len(mishaps.struck)),
        row("keys: listened to", watch.heard),
        row("keys: found anywhere", len(found), 0, right=not found),
        row("keys: one that was planted is found", planted, "> 0", right=planted > 0),
        wrong("keys", problems),
    ]


# -- limits --------------------------------------------------------------------------------------


def _limits(given: argparse.Namespace) -> list[Row]:
    import _paid_rows

    settings = {"GEMINI_PER_MINUTE": str(PER_MINUTE), "GEMINI_AT_ONCE": str(AT_ONCE)}
    with _house(settings, at_once=AT_ONCE, per_minute=PER_MINUTE, delay=0.05) as (made, problems):
        server = made.server
        server.minute = given.minute
        seconds, late = _paid_rows.hurry(
            made, processes=PROCESSES, calls=CALLS // PROCESSES, minute=given.minute
        )
    refused = sum(call.status == 429 for call in server.calls)
    answered = sum(call.status == 200 for call in server.calls)
    busiest = _paid_rows.busiest(server, given.minute)
    windows = -(-CALLS // PER_MINUTE) - 1
    best = windows * given.minute
    return [
        row("limits: cut short", f"a minute is {given.minute:g} s"),
        row("limits: calls, processes", f"{answered}, {PROCESSES}", CALLS, right=answered == CALLS),
        row("limits: refused with 429", refused, 0, right=refused == 0),
        row("limits: most in a minute", busiest, PER_MINUTE, right=busiest <= PER_MINUTE),
        row("limits: most at once", server.peak, AT_ONCE, right=server.peak <= AT_ONCE),
        row("limits: most s from a call's turn to its arrival", round(late, 2)),
        row("limits: seconds", round(seconds, 1), f"{best:g} at best"),
        wrong("limits", problems),
    ]


PARTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "kills": _kills,
    "speed": _speed,
    "errors": _errors,
    "malformed": _malformed,
    "keys": _keys,
    "limits": _limits,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
