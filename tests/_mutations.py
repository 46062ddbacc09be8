"""Wrong project files, state files, arguments: made from a seed, used, and judged.

A case is a seed and a number; the same two give the same case. Each runs the real functions on a
data folder made anew, beside a project that nobody touched. It must end in a clear error or a
right result, the other project must be as it was, and so must everything outside the data folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import os
import random
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from PIL import Image

import _cheap
from app import disk, errors, pipeline, settings
from app.project import STAGE_ORDER, Project

SECRET = "The canary sings of nine silver keys."
"""Words of files outside the data folder: found inside, somebody read what they must not."""
MAGENTA = (255, 0, 255)
"""The picture outside is of this colour alone."""
SLOWEST = 20.0
"""Seconds a case may take; more is a bomb that went off."""

STORY = """---
title: The Blue Door
language: en
music: none
---
# The Blue Door

## Morning

![The sea](sea.jpg)

A small door stood in the wall. It was blue.

## Evening

Nobody had ever seen it open.
"""
YAML = """title: A walk
language: en
scenes:
  - heading: One
    narration: A small door stood in the wall.
    picture: sea.jpg
  - narration: Nobody had ever seen it open.
"""
PLAYLIST = """title: Two walks
defaults:
  language: en
  music: none
projects:
  - topic: How do tides work?
  - story: story.md
  - text: A small door stood in the wall. It was blue.
"""

Step = Callable[[], object]


@dataclass(frozen=True)
class Attempt:
    """What is wrong in this case, and what is done with it, step after step."""

    what: str
    steps: tuple[Step, ...]


@dataclass
class Verdict:
    """What became of a case: `error` (a clear one), `result` (a right one), or `bad`, with why."""

    seed: int
    number: int
    family: str
    what: str
    outcome: str
    codes: list[str] = field(default_factory=list)
    why: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        name = f"--seed {self.seed} --only {self.number}"
        return f"{name} [{self.family}] {self.what[:300]}: {self.outcome} {self.why}".rstrip()


Family = Callable[["World", random.Random], Attempt]
FAMILIES: dict[str, Family] = {}
"""Kinds of cases; each registers itself below or in `_mutants`."""


def family(made: Family) -> Family:
    FAMILIES[made.__name__] = made
    return made


class World:
    """A data folder with a finished project (1), one to spoil (2) and a batch of both, in a cage.

    Attributes:
        data: The data folder, made anew for each case.
        inbox: Where stories lie; what creates a project of them must leave them as they are.
        outside: Home, working folder, temporary files, a secret story and picture.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.data, self.inbox, self.outside = base / "data", base / "inbox", base / "outside"
        for name in ("home", "cwd", "tmp"):
            (self.outside / name).mkdir(parents=True)
        self.secret_story = self.outside / "home" / "secret.md"
        self.secret_picture = self.outside / "home" / "secret.jpg"
        self.log = self.outside / "home" / "log.jsonl"
        self.restore()

    def restore(self) -> None:
        """Put the files outside back to how they were made."""
        self.secret_story.write_text(f"# A secret\n\n## Keys\n\n{SECRET}\n", encoding="utf-8")
        Image.new("RGB", (320, 180), MAGENTA).save(self.secret_picture)
        self.log.write_text(f'{{"line": "{SECRET}"}}\n', encoding="utf-8")

    @property
    def victim(self) -> Path:
        return self.data / "projects" / "2"

    def build(self) -> None:
        """Make the two projects and the batch once, with the cheap stages."""
        self._stories()
        story = self.inbox / "story.md"
        for _ in range(2):
            project = pipeline.create_project(story)
            for stage in STAGE_ORDER:
                stage_of(stage, project.id)
        folder = self.data / "batches" / "1"
        folder.mkdir(parents=True)
        facts = {"schema_version": 1, "batch_id": 1, "title": "Both", "projects": [1, 2]}
        disk.write_json(folder / "batch.json", {**facts, "created_at": "2026-01-01T00:00:00Z"})
        shutil.copytree(self.data, self.base / "template", symlinks=True)

    def _stories(self) -> None:
        disk.remove(self.inbox)
        self.inbox.mkdir()
        (self.inbox / "story.md").write_text(STORY, encoding="utf-8")
        (self.inbox / "story.yaml").write_text(YAML, encoding="utf-8")
        (self.inbox / "playlist.yaml").write_text(PLAYLIST, encoding="utf-8")
        Image.new("RGB", (320, 180), (20, 90, 160)).save(self.inbox / "sea.jpg")

    def reset(self) -> None:
        """Put the data folder and the stories back to how they were made."""
        for name in ("projects", "batches", "published"):
            disk.remove(self.data / name)
            shutil.copytree(
                self.base / "template" / name, self.data / name, copy_function=shutil.copy2
            )
        self._stories()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Live in the cage: its home, its working folder, its data folder, the cheap stages."""
        environment = {
            "HOME": str(self.outside / "home"),
            "TMPDIR": str(self.outside / "tmp"),
            "DATA_DIR": str(self.data),
            "SPEECH_PROVIDER": "silent",
            "RENDER_SCALE": "0.1",
        }
        before, restore = Path.cwd(), _cheap.install()
        # no power is cut here, and waiting for the disk is a third of the time
        unforced = mock.patch.object(disk, "fsync", return_value=None)
        with unforced, mock.patch.dict(os.environ, environment):
            settings.get.cache_clear()
            os.chdir(self.outside / "cwd")
            logging.disable(logging.CRITICAL)
            try:
                yield
            finally:
                logging.disable(logging.NOTSET)
                os.chdir(before)
                restore()
                settings.get.cache_clear()


def stage_of(stage: str, project_id: object, **more: Any) -> Any:
    """Run one stage's task here and now, as a worker would; return its result or raise."""
    from app.celery_app import celery_app
    from app.tasks._stage import DEFINITIONS

    name = DEFINITIONS[stage].task_name  # type: ignore[index] # the tests' own list of stages
    task = celery_app.tasks[name]
    result = task.apply(kwargs={"project_id": project_id, **more}, throw=False)
    return result.get(propagate=True)


def command(*arguments: object) -> Step:
    """Return a step that runs the command line in this process."""

    def run() -> str:
        from app import cli

        out, err = io.StringIO(), io.StringIO()
        argv = ["reelchain", *map(str, arguments)]
        code: object = 0
        streams = (contextlib.redirect_stdout(out), contextlib.redirect_stderr(err))
        with streams[0], streams[1], mock.patch.object(sys, "argv", argv):
            try:
                cli.main()
            except SystemExit as end:
                code = end.code
        said = out.getvalue() + err.getvalue()
        if "Traceback" in said or code == errors.InternalError.exit_code:
            raise AssertionError(f"{argv}: exit {code}: {said[-600:]}")
        if code not in (0, None) and "Error" not in said and "error" not in said:
            raise AssertionError(f"{argv}: exit {code} without a word")
        return said

    return run


# -- what may not change --------------------------------------------------------------------


def snapshot(*folders: Path) -> dict[str, tuple[object, ...]]:
    """Return every name below the folders with its kind, mode, size, time and content."""
    found: dict[str, tuple[object, ...]] = {}
    for folder in folders:
        for path in (folder, *sorted(folder.rglob("*"))):
            facts = path.lstat()
            content: object = None
            if stat.S_ISLNK(facts.st_mode):
                content = path.readlink()
            elif stat.S_ISREG(facts.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = (facts.st_mode, facts.st_mtime_ns, content)
    return found


def leaked(world: World) -> str:
    """Return where the data folder holds what only files outside have, or an empty text."""
    for folder, names, files in os.walk(world.data):
        for name in (*names, *files):
            path = Path(folder) / name
            if path.is_symlink() or not path.is_file() or path.stat().st_size > 3_000_000:
                continue
            content = path.read_bytes()
            if SECRET.encode() in content or b"A secret" in content:
                return f"{path} holds the words of a file outside"
            if path.suffix in (".png", ".jpg") and _magenta(path):
                return f"{path} shows a picture from outside"
    return ""


def _magenta(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            colour = image.convert("RGB").resize((1, 1)).getpixel((0, 0))
    except OSError:
        return False
    assert isinstance(colour, tuple)
    return colour[0] > 180 and colour[1] < 60 and colour[2] > 180


# -- one case -------------------------------------------------------------------------------


def case(world: World, seed: int, number: int) -> Verdict:
    """Make a case, run it, judge it."""
    rng = random.Random(f"{seed}:{number}")  # noqa: S311 - a case must be the same each time
    names = list(FAMILIES)
    name = names[number % len(names)]
    world.reset()
    attempt = FAMILIES[name](world, rng)
    verdict = Verdict(seed, number, name, attempt.what, "result")
    before = snapshot(world.outside, world.inbox)
    began = time.monotonic()
    try:
        for step in attempt.steps:
            fault = _outcome(step)
            if fault is not None:
                verdict.outcome = "error"
                verdict.codes.append(fault.code)
        _others_stand(world)
        changed = _changes(before, snapshot(world.outside, world.inbox))
        assert not changed, f"touched outside the data folder: {changed}"
        secret = leaked(world)
        assert not secret, secret
        assert time.monotonic() - began < SLOWEST, f"took {time.monotonic() - began:.0f} s"
    except AssertionError as error:
        verdict.outcome, verdict.why = "bad", str(error)
        repair(world, before)
    verdict.seconds = time.monotonic() - began
    return verdict


def _outcome(step: Step) -> errors.ReelchainError | None:
    """Run a step; return the clear error it ended with, None for a result."""
    try:
        step()
    except AssertionError:
        raise
    except Exception as fault:
        known = errors.describe(fault)
        clear = known.code and known.message and known.hint
        if isinstance(known, errors.InternalError) or not clear:
            place = _place(fault)
            raise AssertionError(f"no clear error: {known.code}: {known}"[:900] + place) from fault
        return known
    return None


def _place(fault: BaseException) -> str:
    trace, found = fault.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "/app/" in name:
            found = f" at {name.partition('/app/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _others_stand(world: World) -> None:
    """Make sure that the project nobody touched is as it was, and is listed."""
    outcome = pipeline.finished(1)
    assert outcome is not None, "the other project is no longer finished"
    assert outcome["project_id"] == 1
    rows = pipeline.listing()
    assert any(row["project_id"] == 1 and row["status"] == "completed" for row in rows), rows
    kept = world.base / "template" / "projects" / "1"
    for name in ("project_state.json", "script.json", "video.mp4", "source/story.md"):
        same = (kept / name).read_bytes() == (world.data / "projects/1" / name).read_bytes()
        assert same, f"{name} of the other project was changed"


def _changes(
    before: Mapping[str, tuple[object, ...]], after: Mapping[str, tuple[object, ...]]
) -> list[str]:
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def repair(world: World, before: Mapping[str, tuple[object, ...]]) -> None:
    """Take away what a bad case left outside, so that the next one is judged by itself."""
    for name in sorted(snapshot(world.outside), reverse=True):
        if name not in before:
            disk.remove(Path(name))
    world.restore()


# -- wrong values -----------------------------------------------------------------------------


def junk(rng: random.Random, world: World) -> Any:
    """Return a JSON value that nobody asked for."""
    return rng.choice(_values(rng, world))


def _values(rng: random.Random, world: World) -> list[Any]:
    deep: Any = "x"
    for _ in range(rng.choice((9, 60, 300))):
        deep = [deep] if rng.random() < 0.5 else {"a": deep}
    return [
        *(None, True, False, 0, -1, 1, 2, 3, 10**9, 10**18, -(10**18), 2**63, 10**30, 10**400),
        *(0.5, -0.0, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 1e-320),
        *("", " ", "x", "0", "-1", "nan", "x" * 300, "y" * 100_000, "\x00", "a\x00b", "\ud800"),
        *("\u202e", "\x1b[31m", "a\nb", "😀", "𠮷", "ß", "{topic}", "%s", "<script>", "None"),
        *("../../etc/passwd", "../secret.md", "/etc/passwd", "~/secret.md", "..", ".", "/"),
        *(
            str(world.secret_story),
            str(world.secret_picture),
            "file:///etc/passwd",
            "C:\\x",
            "a/../b",
        ),
        *("../../../outside/home/secret.md", f"../../{world.outside.name}/home/secret.jpg"),
        *("sea.jpg", "story.md", "source", "project_state.json", "private/publish-session.json"),
        *([], {}, [[]], [None], ["x"] * 2000, {"": ""}, {"project_id": 2}, {"a" * 300: 1}, deep),
    ]


def spoil(rng: random.Random, world: World, document: Any, *, times: int = 1) -> tuple[Any, str]:
    """Return a copy of a JSON value with something wrong in it, and where."""
    document = json.loads(json.dumps(document))
    told = []
    for _ in range(times):
        places = list(_places(document, ()))
        if not places:
            return junk(rng, world), "all of it"
        place = rng.choice(places)
        document, what = _spoilt(rng, world, document, place)
        told.append(f"{'.'.join(map(str, place))} {what}")
    return document, "; ".join(told)


def _places(value: Any, at: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items[:200]:
        yield (*at, key)
        if len(at) < 12:
            yield from _places(inner, (*at, key))


def _spoilt(
    rng: random.Random, world: World, document: Any, place: tuple[Any, ...]
) -> tuple[Any, str]:
    holder: Any = document
    for key in place[:-1]:
        holder = holder[key]
    key, how = place[-1], rng.random()
    if how < 0.6:
        value = junk(rng, world)
        holder[key] = value
        return document, f"= {_short(value)}"
    if how < 0.75:
        del holder[key]
        return document, "left out"
    if isinstance(holder, list):
        count = rng.choice((1, 3, 3000 if len(str(holder[key])) < 100 else 30))
        holder[key:key] = [holder[key]] * count
        return document, f"{count} times more"
    name = rng.choice(("new", "__proto__", "", "x" * 500, "path", "\x00", "number", "../x"))
    holder[name] = holder.pop(key) if how < 0.85 else junk(rng, world)
    return document, f"with {name[:20]!r}"


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):
        text = type(value).__name__
    return text if len(text) < 60 else f"{text[:50]}… ({len(text)})"


Edit = Callable[[random.Random, bytes], bytes]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data or b"x")
    for _ in range(rng.choice((1, 3, 30))):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    piece = rng.choice(
        (
            *(b"\x00", b"\xed\xa0\x80", b"\xff\xfe", b"\xef\xbb\xbf", b"\x1b[2J", b"\x85\x0b\x0c"),
            *(b"\r", b"\xe2\x80\xae", b"\xf0\x9f\x98\x80", b"\xff" * 50, b"\n---\n", b"[" * 5000),
            *(b"{" * 2000, b"> " * 3000, b"- " * 3000, b"*" * 20000, b"`" * 9999, b"&a *a", b"\t"),
            *(
                b"1e999",
                b"NaN",
                b"-1",
                b"9" * 5000,
                b'"',
                b"!!python/object:os.system ",
                b"#" * 999,
            ),
        )
    )
    return data[:at] + piece + data[at:]


def _encode(rng: random.Random, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace") + rng.choice(("", "é", "藍色的門", "ÿþ"))
    name = rng.choice(("utf-16", "utf-16-be", "utf-32", "latin-1", "big5", "cp1252", "utf-8-sig"))
    return text.encode(name, "replace")


def _lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    how = rng.randrange(4)
    if how == 0:
        lines[at : at + 1] = [lines[at]] * rng.choice((2, 200, 4000))
    elif how == 1:
        lines.pop(at)
    elif how == 2:
        rng.shuffle(lines)
    else:
        lines[at] = lines[at][: len(lines[at]) // 2]
    return b"\n".join(lines)


def _huge(rng: random.Random, data: bytes) -> bytes:
    unit = rng.choice((b"word ", b"x", "門".encode(), b"A. ", b"[a](b)", b"\n\n"))
    return data + unit * (rng.choice((20_000, 200_000, 10_000_000)) // len(unit))


def _empty(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", b"\n", b" ", b"null", b"[]", b"{}", b"0", b"---", b"\x00" * 100))


EDITS: tuple[Edit, ...] = (_cut, _flip, _flip, _insert, _insert, _insert, _encode, _lines, _huge, _empty)  # fmt: skip


def damage(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """Return bytes with one or two things wrong, and what."""
    told = []
    for _ in range(rng.choice((1, 1, 2))):
        edit = rng.choice(EDITS)
        data = edit(rng, data)
        told.append(edit.__name__.strip("_"))
    return data, "+".join(told)


def checked(document: Any) -> bytes:
    """Return a state file's bytes with the checksum of what it says: it protects from no hand."""
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if key != "checksum"}
        with contextlib.suppress(RecursionError, TypeError, UnicodeError):
            document["checksum"] = disk.digest(document)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def as_yaml(value: Any) -> bytes:
    """Return a value as YAML, as far as it can be said in it."""
    try:
        return yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, RecursionError, UnicodeError):
        return json.dumps(value).encode()


def project(number: object = 2) -> Project:
    return pipeline.open_project(number)
