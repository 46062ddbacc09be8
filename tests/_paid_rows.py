"""Parts of the proof that our own paid services are asked fairly: speed, limits, bad answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil

import _answers
from _gemini import Gemini
from _paid import House, code_in, word

# -- speed ---------------------------------------------------------------------------------------

SPEED = {"IMAGE_PROVIDER": "gemini", "SPEECH_PROVIDER": "hibari", "GEMINI_AT_ONCE": "5"}


@dataclass(frozen=True)
class Stage:
    """How long the assets of a project took: all of it, and the voice alone."""

    whole: float
    voice: float


def tale(folder: Path, scenes: int, number: int) -> Path:
    """Write a story of so many scenes without a picture; its number is in each scene."""
    lines = ["---", "language: en", "---", f"# {word(number)} and its rivers", ""]
    for at in range(scenes):
        lines += [f"## Morning {word(at, 'Mor')}", ""]
        lines += [f"{word(number)} {word(at, 'mor')} was quiet, and the stones lay dry.", ""]
    path = folder / f"tale{number}.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def assets(made: House, numbers: Sequence[int], scenes: int, seconds: float) -> list[Stage]:
    """Make films of so many scenes at the same time; return what their assets took."""
    paths = [str(tale(made.folder, scenes, number)) for number in numbers]
    found = made.call(f"tell([create_project(path).id for path in {paths!r}])")
    made.finish([int(number) for number in found], seconds)
    return [_stage(made, int(number)) for number in found]


def _stage(made: House, number: int) -> Stage:
    folder = made.data / f"projects/{number}"
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    (whole,) = (
        line["seconds"]
        for line in lines
        if line["code"] == "stage_completed" and line["stage"] == "asset_generation"
    )
    # the manifest is the stage's last file
    began = (folder / "assets/assets.json").stat().st_mtime - whole
    spoken = max(path.stat().st_mtime for path in (folder / "assets/voice").iterdir())
    return Stage(whole, spoken - began)


# -- limits --------------------------------------------------------------------------------------

_ASKER = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from app import throttle
from app.errors import TransientError
from app.providers.gemini import port

throttle.MINUTE = float(sys.argv[2])
sdk, begun = port.port(), {}
generate = sdk.generate

def timed(ask, **how):
    begun[ask.text] = time.monotonic()
    return generate(ask, **how)

def ask(number):
    try:
        port.generate(port.Ask(text=f"{sys.argv[1]} {number}", most_tokens=50))
    except TransientError:
        pass

sdk.generate = timed
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(8) as pool:
    list(pool.map(ask, range(int(sys.argv[3]))))
print(json.dumps(begun))
"""
LATE = 1.0
"""Seconds by which our minute is longer than a service's: calls reach it later than they start."""


def hurry(made: House, *, processes: int, calls: int, minute: float) -> tuple[float, float]:
    """Let processes ask as much as they can.

    Returns:
        The seconds until each has its answers, and the most from a call's turn to its arrival.
    """
    askers = [
        subprocess.Popen(
            [sys.executable, "-c", _ASKER, f"asker {n}", str(minute + LATE), str(calls)],
            env=made.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(processes)
    ]
    try:
        for asker in askers:
            assert asker.stdout is not None
            assert asker.stdout.readline() == "ready\n"
        began = time.monotonic()
        with ThreadPoolExecutor(processes) as pool:
            told = list(pool.map(lambda asker: asker.communicate("go\n", timeout=600), askers))
        seconds = time.monotonic() - began
    finally:
        for asker in askers:
            asker.kill()
            asker.wait()
    begun = {text: at for out, _ in told for text, at in json.loads(out).items()}
    return seconds, max(call.at - begun[call.prompt] for call in made.server.calls)


def busiest(server: Gemini, minute: float) -> int:
    """Return the most calls that began within one of the service's minutes."""
    times = sorted(call.at for call in server.calls)
    return max(sum(at <= other < at + minute for other in times) for at in times)


# -- answers gone wrong ----------------------------------------------------------------------------

_WRITER = """
import time
from app import providers
from app.errors import ReelchainError
from app.providers import ScriptRequest
told_of_all = []
for topic in {topics!r}:
    began = time.monotonic()
    try:
        made = providers.get("script", "gemini").write(
            ScriptRequest(topic=topic, language="en", seconds={seconds}, pictures=True))
        outcome = "script" if made.scenes else "nothing"
    except ReelchainError as error:
        outcome = error.code if error.message and error.hint else "unclear"
    except BaseException as error:
        outcome = "! " + repr(error)[:200]
    told_of_all.append([time.monotonic() - began, outcome])
tell(told_of_all)
"""
SIGNS = (
    "passwd", "touch owned", "movie=owned", "rm -rf", "alert(1)", "DROP TABLE", "jndi", "shadow",
    "/dev/zero", "nullsrc", "evil", "{7*7}", "an8", "previous instructions",
)  # fmt: skip
"""What gives away each hostile text of `_answers`."""


@dataclass
class Judged:
    """A malformed answer and what became of it."""

    number: int
    way: str
    text: str
    seconds: float = 0.0
    outcome: str = ""

    @property
    def hostile(self) -> bool:
        return any(sign in self.text for sign in SIGNS)


def malformed(made: House, seed: int, count: int) -> list[Judged]:
    """Let the real writer read answers gone wrong; return what it made of each."""
    told = [Judged(n, way, text) for n, (way, text) in enumerate(_answers.mutants(seed, count))]
    texts = {one.number: one.text for one in told}
    made.call(_WRITER.format(topics=[f"{word(count)} rivers"], seconds=40))  # all is loaded now
    made.server.answers = lambda prompt, _: texts[code_in(prompt) or 0]
    for at in range(0, count, 20):
        part = told[at : at + 20]
        topics = [f"{word(one.number)} rivers" for one in part]
        code = _WRITER.format(topics=topics, seconds=40)
        for one, (seconds, outcome) in zip(part, made.call(code, seconds=300), strict=True):
            one.seconds, one.outcome = seconds, outcome
    return told


class Commands:
    """Every command line that a process below us has, from the moment this is entered."""

    def __init__(self) -> None:
        self.found: set[tuple[str, ...]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)

    def _look(self) -> None:
        me = psutil.Process(os.getpid())
        while not self._ended.wait(0.1):
            for process in me.children(recursive=True):
                try:
                    self.found.add(tuple(process.cmdline()))
                except psutil.Error:
                    continue


@dataclass
class Filmed:
    """What two films of hostile scripts left behind.

    Attributes:
        numbers: The projects.
        signs: What hostile texts stand in their scripts.
        names: How many names of files there are.
        commands: How many command lines there were.
        found: Where anything of a script stands in one of them.
    """

    numbers: list[int]
    signs: list[str]
    names: int = 0
    commands: int = 0
    found: list[str] = field(default_factory=list)


def film(made: House, judged: Sequence[Judged], seconds: float, *, most: int = 2) -> Filmed:
    """Film scripts made of hostile answers by the real stages; look at all names and command lines."""
    chosen = sorted(
        (one for one in judged if one.hostile and one.outcome == "script"),
        key=lambda one: -sum(sign in one.text for sign in SIGNS),
    )[:most]
    topics = [{"topic": f"{word(one.number)} rivers", "length": 40} for one in chosen]
    with Commands() as watch:
        found = made.call(f"tell([create_project(s).id for s in {topics!r}])")
        numbers = [int(number) for number in found]
        made.finish(numbers, seconds)
    told = Filmed(numbers, [])
    logged = [match[1] for match in re.finditer(r"starting (\[.*\])", made.logs())]
    commands = [*logged, *("\0".join(line) for line in watch.found)]
    names = [str(path.relative_to(made.data)) for path in made.data.rglob("*")]
    told.names, told.commands = len(names), len(commands)
    pieces: set[str] = set()
    for number in numbers:
        script = (made.data / f"projects/{number}/script.json").read_text()
        told.signs += [sign for sign in SIGNS if sign in script]
        pieces |= set(_pieces(json.loads(script)))
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._/-]+", name) or "/.." in name:
            told.found.append(f"a name: {name!r}")
    for text in [*names, *commands]:
        told.found += [
            f"{piece!r} in {text[:300]!r}" for piece in pieces | set(SIGNS) if piece in text
        ]
    return told


def _pieces(value: Any) -> Iterator[str]:
    """Yield what would be recognised of a script's words: three of them in a row."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _pieces(inner)
    elif isinstance(value, str):
        words = value.split(" ")
        yield from (" ".join(words[at : at + 3]) for at in range(len(words) - 2))
