"""The families of wrong files and arguments; what each is and how it comes about: `_mutations`."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _mutations import (
    PLAYLIST,
    SECRET,
    STORY,
    YAML,
    Attempt,
    Step,
    World,
    as_yaml,
    checked,
    command,
    damage,
    family,
    junk,
    project,
    spoil,
    stage_of,
)
from app import pipeline
from app.project import STAGE_ORDER

STATE, PREVIOUS = "project_state.json", "project_state.previous.json"


def _made(create: Callable[[], Any]) -> Step:
    """Return a step that creates something, uses what came of it, and checks it."""

    def run() -> None:
        made = create()
        numbers = list(made.projects) if hasattr(made, "projects") else [made.id]
        for number in numbers[:3]:
            _right(number)
            _stage("script_generation", number)()

    return run


def _right(number: int) -> None:
    """Make sure a new project is whole: a number of its own, no links, every file its own."""
    found = project(number)
    assert number > 2, f"project {number} has the number of another"
    assert found.state().project_id == number
    links = [path for path in found.folder.rglob("*") if path.is_symlink()]
    assert not links, f"links were copied: {links}"


def _stage(stage: str, number: object = 2, **more: Any) -> Step:
    def run() -> None:
        result = stage_of(stage, number, **more)
        if result is None:  # left to the run that the state says is on its way
            assert not project(number).state().run.ended
            return
        assert result["project_id"] == int(str(number)), result
        assert result["status"] == "completed", result
        state = project(number).state()
        part = state.stages[stage]  # type: ignore[index] # a stage's name as text
        whole = [project(number).intact(record) for record in part.artifacts.values()]
        assert all(whole), "a completed stage with files that are not as recorded"

    return run


STAGES: tuple[Step, ...] = tuple(_stage(stage) for stage in STAGE_ORDER)


def _looked_at() -> tuple[Step, ...]:
    """Return what only looks at project 2."""
    return (
        lambda: pipeline.status(2),
        lambda: pipeline.finished(2),
        pipeline.listing,
        command("show", 2),
        command("ls"),
        command("show", 2, "--json", "--history"),
    )


def _change() -> None:
    with project().transaction():
        pass


def _whole_run() -> None:
    """Do all five stages as one run: what a mutation let through must come to its end."""
    for stage in STAGE_ORDER:
        _stage(stage)()


# -- stories, specs, playlists ------------------------------------------------------------------


@family
def story_bytes(world: World, rng: random.Random) -> Attempt:
    """A story file with bytes of it wrong."""
    name = rng.choice(("story.md", "story.txt", "story.yaml"))
    text = YAML if name.endswith("yaml") else STORY.replace("![The sea](sea.jpg)", "")
    data, what = damage(rng, text.encode())
    path = world.inbox / rng.choice((name, name, name.upper(), f"wrong{Path(name).suffix}"))
    path.write_bytes(data)
    return Attempt(f"{path.name} {what}", (_made(lambda: pipeline.create_project(path)),))


@family
def story_values(world: World, rng: random.Random) -> Attempt:
    """A story whose settings or paths have wrong values."""
    value = rng.choice((junk(rng, world), _hostile_path(rng, world)))
    field = rng.choice(
        ("music", "style", "voice", "title", "length", "speed", "language", "tags", "shape",
         "captions", "topic", "source", "description", "story", "unknown")
    )  # fmt: skip
    how = rng.randrange(5)
    shown = str(value)[:9000] if not isinstance(value, list | dict) else json.dumps(value)
    if how == 0:
        text = STORY.replace("sea.jpg", shown)
    elif how == 1:
        text = f"---\n{field}: {shown}\n---\n# T\n\nSome words.\n"
    elif how == 2:
        text = as_yaml({"topic": "tides", field: value}).decode("utf-8", "replace")
    elif how == 3:
        text = f"{field}: {shown}\nscenes:\n  - narration: Words.\n    picture: {shown}\n"
    else:
        text = rng.choice(_BOMBS).replace("OUT", str(world.outside / "home" / "boom"))
    name = "wrong.md" if how < 2 else "wrong.yaml"
    path = world.inbox / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return Attempt(
        f"{name}: {text[:120]!r}",
        (_made(lambda: pipeline.create_project(path)), command("new", path)),
    )


_GROWING = (
    "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\n"
    "d: &d [*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e]\n"
    "g: &g [*f,*f,*f,*f,*f,*f]\ntitle: *g\nprojects: *g\n"
)
_BOMBS = (
    _GROWING,
    "topic: !!python/object/apply:os.system ['touch OUT']\n",
    "projects: !!python/object/apply:pathlib.Path ['OUT']\n",
    "topic: !!python/name:os.system\n",
    "? [a, b]\n: c\n",
    "projects: &p [*p]\n",
    "projects:\n  - &x {topic: tides, also: *x}\n",
    "topic: a\ntopic: b\n",
    "topic: a\n---\ntopic: b\n",
    "%TAG ! tag:yaml.org,2002:\n---\ntopic: a\n",
    "projects: " + "[" * 3000 + "]" * 3000,
    "{" * 1200 + "}" * 1200,
    "<<: {topic: a}\n",
    "projects: {1: 2}\n",
    "1: 2\n2026-01-01: x\ntrue: y\n",
    "projects: [1, 2.5, null, true, 2026-01-01, 0x1F]\n",
    "projects: [2026-99-99, 1:60:99, 0o9, 1e400, .nan, .inf]\n",
    "title: !!binary aGVsbG8=\nprojects: [!!binary aGVsbG8=]\n",
    "projects: !!set {a, b}\n",
    "defaults: [a]\nprojects: [{topic: x}]\n",
    "defaults: {batch: 7, id: 9, text: hello, scenes: [1]}\nprojects: [{topic: x}]\n",
)
"""YAML that builds objects, grows, or is no mapping of plain values."""


def _hostile_path(rng: random.Random, world: World) -> str:
    link = world.inbox / "linked.jpg"
    if rng.random() < 0.4:
        target = rng.choice((world.secret_picture, world.secret_story, world.outside, Path("/")))
        link.symlink_to(target)
        return rng.choice(("linked.jpg", "./linked.jpg", "linked.jpg/home/secret.jpg"))
    return rng.choice(
        (
            *("../outside/home/secret.jpg", str(world.secret_picture), "..", "/", "~", "."),
            *(
                str(world.secret_story),
                "../outside/home/secret.md",
                "a/../../outside/home/secret.md",
            ),
            *("%2e%2e/outside/home/secret.jpg", "..\\outside\\home\\secret.jpg", "sea.jpg\x00.png"),
            *(
                "file:///etc/passwd",
                "http://127.0.0.1:9/x.jpg",
                "sea.jpg/",
                "story.md",
                "\ud800.jpg",
            ),
            *(
                "x" * 5000,
                "a/" * 3000 + "b",
                "sea.jpg/../../outside/home/secret.jpg",
                "con",
                "|cat",
            ),
        )
    )


@family
def spec_mapping(world: World, rng: random.Random) -> Attempt:
    """A mapping for `create_project` with wrong types and values."""
    base: dict[str, Any] = {
        "topic": "How do tides work?",
        "title": "Tides",
        "tags": ["sea", "moon"],
        "language": "en",
        "length": 30,
        "voice": None,
        "speed": 1.0,
        "style": "paper",
        "shape": "16:9",
        "captions": True,
        "music": "none",
    }
    kind = rng.randrange(3)
    if kind == 1:
        base = {**base, "topic": None, "text": STORY.replace("![The sea](sea.jpg)", "")}
    elif kind == 2:
        base = {**base, "topic": None, "scenes": [{"heading": "A", "narration": "Words."}] * 2}
    made, what = spoil(rng, world, base, times=rng.choice((1, 1, 2)))
    if rng.random() < 0.25 and isinstance(made, dict):
        name = rng.choice((*base, "text", "scenes"))
        made[name], what = _odd(rng), f"{name} = a Python object"
    elif isinstance(made, dict) and rng.random() < 0.1:
        made[rng.choice((1, None, (1, 2), b"x", 1.5))], what = "x", "a key that is no text"
    over = {"title": junk(rng, world)} if rng.random() < 0.1 else None
    return Attempt(
        f"mapping: {what}", (_made(lambda: pipeline.create_project(made, overrides=over)),)
    )


def _odd(rng: random.Random) -> Any:
    ring: list[Any] = []
    ring.append(ring)
    return rng.choice(
        (
            object(),
            b"bytes",
            Path("/etc/passwd"),
            {1, 2},
            ring,
            iter("ab"),
            1j,
            type,
            ...,
            {1: ring},
        )
    )


@family
def playlist(world: World, rng: random.Random) -> Attempt:
    """A playlist with wrong bytes or values; no project of it may be left behind."""
    path = world.inbox / "playlist.yaml"
    how = rng.randrange(4)
    given: Any = path
    if how == 0:
        data, what = damage(rng, PLAYLIST.encode())
        path.write_bytes(data)
    elif how == 1:
        text = rng.choice(_BOMBS).replace("OUT", str(world.outside / "home" / "boom"))
        path.write_text(text, encoding="utf-8")
        what = text[:80]
    else:
        entries = ["tides", "story.md", {"topic": "the moon"}, {"story": "story.md"}]
        base = {"title": "T", "defaults": {"language": "en"}, "projects": entries}
        entries.append({"story": _hostile_path(rng, world)} if how == 2 else {"text": "Words."})
        given, what = spoil(rng, world, base, times=rng.choice((1, 2)))
        if rng.random() < 0.7:
            path.write_bytes(as_yaml(given))
            given = path
    before = set((world.data / "projects").iterdir())

    def create() -> Any:
        try:
            return pipeline.create_batch(given)
        except Exception:
            left = set((world.data / "projects").iterdir()) - before
            made = [path.name for path in left if not path.name.startswith((".new", ".last_id"))]
            assert not made, f"a refused playlist left {made}"
            raise

    return Attempt(f"playlist: {what}", (_made(create),))


@family
def updated_story(world: World, rng: random.Random) -> Attempt:
    """A story that a project was made of, given again with something wrong in it."""
    data, what = damage(rng, STORY.encode())
    path = world.inbox / "story.md"
    path.write_bytes(data)
    return Attempt(
        f"update: {what}",
        (lambda: pipeline.update_project(2, path), *_looked_at()[:2], STAGES[0]),
    )


# -- script.json, source/ -----------------------------------------------------------------------


@family
def script_json(world: World, rng: random.Random) -> Attempt:
    """A `script.json` changed by hand, wrongly."""
    path = world.victim / "script.json"
    if rng.random() < 0.4:
        data, what = damage(rng, path.read_bytes())
    else:
        document, what = spoil(rng, world, json.loads(path.read_bytes()), times=rng.choice((1, 2)))
        data = json.dumps(document).encode()
    path.write_bytes(data)
    return Attempt(f"script.json: {what}", (*_looked_at()[:4], *STAGES[:2], STAGES[3]))


@family
def source_tree(world: World, rng: random.Random) -> Attempt:
    """Links, folders and other things in `source/`."""
    source = world.victim / "source"
    name = rng.choice(("story.md", "sea.jpg", "new.md"))
    what = _swap(rng, world, source / name)
    if rng.random() < 0.2:
        shutil.rmtree(source)
        what = _swap(rng, world, source)
    return Attempt(f"source/{name}: {what}", (*_looked_at()[:3], *STAGES))


def _swap(rng: random.Random, world: World, path: Path) -> str:
    """Put something else in the place of a file or folder; return what."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
    targets: dict[str, Path] = {
        "a link to a story outside": world.secret_story,
        "a link to a picture outside": world.secret_picture,
        "a link to a log outside": world.log,
        "a link to a folder outside": world.outside / "home",
        "a link to nothing outside": world.outside / "home" / "nothing",
        "a link to itself": path,
        "a link to the other project": world.data / "projects" / "1" / path.name,
    }
    how = rng.choice((*targets, "a folder", "a full folder", "nothing", "an empty file"))
    if how in targets:
        path.symlink_to(targets[how])
    elif "folder" in how:
        path.mkdir()
        if how == "a full folder":
            (path / "file").write_text("words", encoding="utf-8")
    elif how == "an empty file":
        path.touch()
    return how


# -- the state -----------------------------------------------------------------------------------


@family
def state_bytes(world: World, rng: random.Random) -> Attempt:
    """A state file with wrong bytes, or both of them."""
    told = []
    for name in rng.choice(((STATE,), (STATE, PREVIOUS), (PREVIOUS,))):
        path = world.victim / name
        if rng.random() < 0.15:
            what = _swap(rng, world, path)
        else:
            data, what = damage(rng, path.read_bytes())
            path.write_bytes(data)
        told.append(f"{name} {what}")
    return Attempt("; ".join(told), (*_looked_at(), _change, *STAGES[:2], STAGES[4]))


@family
def state_values(world: World, rng: random.Random) -> Attempt:
    """A state that says something wrong, under a checksum that fits."""
    document = json.loads((world.victim / STATE).read_bytes())
    made, what = spoil(rng, world, document, times=rng.choice((1, 1, 2)))
    return _state_attempt(world, rng, made, f"state: {what}")


@family
def state_meaning(world: World, rng: random.Random) -> Attempt:
    """A state whose shape is right and whose meaning is not."""
    document = json.loads((world.victim / STATE).read_bytes())
    stage = rng.choice(STAGE_ORDER)
    part = document["stages"][stage]
    path = rng.choice(
        ("../1/script.json", "../../../outside/home/secret.md", str(world.secret_story), "", ".",
         "x" * 400, "private/publish-session.json", "source/story.md", "project_state.json", "a\x00")
    )  # fmt: skip
    record = {"path": path, "size": -1, "sha256": "", "inputs": ""}
    changes: dict[str, Callable[[], Any]] = {
        "run number": lambda: document["run"].update(number=rng.choice((0, 1, 10**12, 10**30))),
        "run stages": lambda: document["run"].update(stages=rng.choice(([], [stage], [stage] * 9))),
        "run goes on": lambda: document["run"].update(ended=False),
        "attempts": lambda: part.update(attempts=rng.choice((-1, 10**30))),
        "seconds": lambda: part.update(seconds=rng.choice((-1.0, 1e308, float("nan"), float("inf")))),
        "artifact key": lambda: part["artifacts"].update({path: record}),
        "artifact path": lambda: [a.update(path=path) for a in part["artifacts"].values()],
        "artifact of another": lambda: part["artifacts"].update(document["stages"][STAGE_ORDER[0]]["artifacts"]),
        "roles": lambda: part["roles"].update(video=path, script=path),
        "facts": lambda: part["facts"].update(seconds=junk(rng, world), edited_by_hand=junk(rng, world)),
        "publication": lambda: document.update(publication={"url": junk(rng, world)}),
        "publisher": lambda: document.update(publication={"publisher": "youtube", "url": "https://x"}),
        "source": lambda: document["spec"].update(source=path),
        "music": lambda: document["spec"].update(music=path),
        "voice": lambda: document["spec"].update(voice=path),
        "style": lambda: document["spec"].update(style="none-such"),
        "topic too": lambda: document["spec"].update(topic="x", source=None),
        "owner": lambda: document.update(project_id=rng.choice((1, 3, -2, 0))),
        "batch": lambda: document.update(batch=rng.choice((1, -1, 0, 999, 10**18, 10**30))),
        "times": lambda: document.update(created_at="x", updated_at="\x1b[2J"),
        "schema": lambda: document.update(schema_version=rng.choice((0, 2, 10**9, -1, 1.5, "1", True))),
        "status": lambda: document.update(status=rng.choice(("running", "waiting", "cancelled", "pending"))),
        "stage status": lambda: part.update(status=rng.choice(("running", "failed", "pending"))),
        "error": lambda: part.update(status="failed", error={"type": "Nope", "code": "", "message": SECRET[:4]}),
        "warnings": lambda: part.update(warnings=["\x1b[31m", "x" * 100_000]),
        "seal": lambda: document.update(seal=rng.choice(("", "x", None))),
        "origin": lambda: document.update(origin=rng.choice(("", "\x00", str(world.secret_story)))),
    }  # fmt: skip
    name = rng.choice(list(changes))
    changes[name]()
    return _state_attempt(world, rng, document, f"state, {name} ({stage}, {path[:40]!r})")


def _state_attempt(world: World, rng: random.Random, document: Any, what: str) -> Attempt:
    data = checked(document)
    (world.victim / STATE).write_bytes(data)
    if rng.random() < 0.5:
        (world.victim / PREVIOUS).write_bytes(data)
        what += " (previous, too)"
    return Attempt(what, (*_looked_at(), _change, *STAGES, _whole_run))


# -- everything else on the disk -------------------------------------------------------------------


@family
def side_files(world: World, rng: random.Random) -> Attempt:
    """Files beside the state with wrong content: run, events, locks, publish, session, manifest."""
    projects = world.data / "projects"
    session = world.victim / "private" / "publish-session.json"
    path = rng.choice(
        (
            *(world.victim / name for name in ("run", ".lock", ".state.lock", "events.jsonl")),
            *(world.victim / name for name in ("publish.json", "assets/assets.json", "video.mp4")),
            *(session, session, projects / ".last_id", projects / ".new.lock"),
            world.data / "published" / "2" / "metadata.json",
        )
    )
    if path == session and rng.random() < 0.7:
        what = _session(rng, world, path)
    else:
        before = path.read_bytes() if path.exists() else b"12\n"
        data, what = damage(rng, before)
        if rng.random() < 0.3:
            data = json.dumps(junk(rng, world)).encode()
            what = f"= {data[:40]!r}"
        path.write_bytes(data)
    new = _made(lambda: pipeline.create_project({"topic": "How do tides work?"}))
    return Attempt(
        f"{path.relative_to(world.data)}: {what}",
        (*_looked_at(), _change, *STAGES, new, *_batch_steps()),
    )


def _session(rng: random.Random, world: World, path: Path) -> str:
    marker = rng.choice((junk(rng, world), f"../../{world.outside.name}/home/x", "x/../../../y"))
    path.write_bytes(json.dumps({"marker": marker}).encode())
    (world.victim / "publish.json").unlink()
    shutil.rmtree(world.data / "published" / "2")
    return f"marker = {str(marker)[:60]!r}"


def _batch_steps() -> tuple[Step, ...]:
    from app.tasks import batch

    return (lambda: batch.outcome(batch.load(1)), command("batch", "show", 1))


@family
def batch_json(world: World, rng: random.Random) -> Attempt:
    """A `batch.json` with wrong bytes or values."""
    path = world.data / "batches" / "1" / "batch.json"
    how = rng.random()
    if how < 0.4:
        data, what = damage(rng, path.read_bytes())
        path.write_bytes(data)
    elif how < 0.55:
        what = _swap(rng, world, path)
    else:
        document, what = spoil(rng, world, json.loads(path.read_bytes()))
        path.write_text(json.dumps(document))
    topics: list[dict[str, Any]] = [{"topic": "tides"}, {"topic": "the moon"}]
    return Attempt(
        f"batch.json: {what}", (*_batch_steps(), _made(lambda: pipeline.create_batch(topics)))
    )


@family
def swapped(world: World, rng: random.Random) -> Attempt:
    """A file of the project that is a folder, a folder that is a file, a link that leads outside."""
    names = sorted(str(path.relative_to(world.victim)) for path in world.victim.rglob("*"))
    name = rng.choice([*names, ".lock", "events.jsonl", ".locks", "assets", "render", "private"])
    how = _swap(rng, world, world.victim / name)
    if rng.random() < 0.5:
        (world.victim / "source" / "story.md").write_text(STORY.replace("blue", "green")) if (
            (world.victim / "source").is_dir() and not (world.victim / "source/story.md").is_symlink()
            and not (world.victim / "source/story.md").is_dir()
        ) else None  # fmt: skip
    steps = (*_looked_at(), _change, *STAGES)
    return Attempt(f"{name}: {how}", steps)


@family
def arguments(world: World, rng: random.Random) -> Attempt:
    """Ids, runs and previous results that are none."""
    value, run = junk(rng, world), junk(rng, world)
    if str(value) == "1":  # project 1 is the one that stays as it is
        value = 2
    stage = rng.choice(STAGE_ORDER)
    previous = rng.choice((value, {"project_id": value, "run": run}, {"project_id": 2, "run": run}))
    from app.celery_app import celery_app
    from app.tasks import batch
    from app.tasks._stage import DEFINITIONS

    def handed_on() -> None:
        task = celery_app.tasks[DEFINITIONS[stage].task_name]
        task.apply(args=[previous], throw=False).get(propagate=True)

    steps: tuple[Step, ...] = (
        lambda: pipeline.open_project(value),
        lambda: pipeline.status(value),
        lambda: stage_of(stage, value),
        handed_on,
        lambda: batch.load(value),
        command("show", str(value).replace("\x00", "")[:200].encode("utf-8", "replace").decode()),
    )
    return Attempt(f"arguments {str(value)[:60]!r}, run {str(run)[:40]!r}, {stage}", steps)
