"""One project's folder: its state, its run number, its artifacts, who works on it."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from _crash import Crash, Machine, unfinished
from _processes import in_processes
from app import disk
from app.errors import InputError, NotFoundError, StateError
from app.models import ProjectSpec
from app.project import (
    PREVIOUS,
    SCHEMA_VERSION,
    STAGE_ORDER,
    STATE,
    Project,
    ProjectState,
    check_id,
    ids,
)
from app.project.hold import STATE_LOCK

SPEC = ProjectSpec(topic="The blue door")
SCRIPT, ASSETS, RENDER = STAGE_ORDER[:3]


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    return tmp_path / "projects"


@pytest.fixture
def project(projects: Path) -> Project:
    return Project.create(projects, SPEC)


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time and what no test of a living system can see."""
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


class Workshop:
    """Builds small files and counts what it built."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.built: list[str] = []

    def make(self, name: str, inputs: Any, content: str | None = None) -> str:
        """Make `name`; return the digest of what it is."""

        def build(path: Path) -> None:
            self.built.append(name)
            path.write_text(content or f"{name} of {disk.digest(inputs)}")

        return self.project.make(name, stage=ASSETS, inputs={"of": inputs}, build=build).sha256


def events(project: Project) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (project.folder / "events.jsonl").read_text().splitlines()]


# -- coming into being ------------------------------------------------------------------------


def test_a_new_project_has_its_folders_its_state_and_its_source(projects: Path) -> None:
    project = Project.create(
        projects,
        SPEC,
        origin="/home/me/story.md",
        batch=4,
        sources=lambda f: disk.write(f / "story.md", b"# Hi"),
    )
    assert project.id == 1
    assert project.folder == projects / "1"
    assert (project.folder / "source" / "story.md").read_bytes() == b"# Hi"
    assert (project.folder / "private").stat().st_mode & 0o777 == 0o700
    state = Project.open(projects, 1).state()
    assert (state.spec, state.origin, state.batch, state.status) == (
        SPEC, "/home/me/story.md", 4, "pending",
    )  # fmt: skip
    assert [event["code"] for event in events(project)] == ["created"]
    assert not unfinished(projects)


def test_ids_count_from_one_and_stay_when_others_go(projects: Path) -> None:
    assert [Project.create(projects, SPEC).id for _ in range(3)] == [1, 2, 3]
    shutil.rmtree(projects / "2")
    assert Project.create(projects, SPEC).id == 4
    (projects / "x").mkdir()
    (projects / "007").mkdir()
    assert ids(projects) == [1, 3, 4]
    assert ids(projects / "nowhere") == []
    shutil.rmtree(projects / "4")
    assert Project.create(projects, SPEC).id == 5, "a number was given twice"


def test_a_source_that_can_not_be_copied_leaves_no_project(projects: Path) -> None:
    def sources(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise InputError("picture_missing", "No.")

    with pytest.raises(InputError):
        Project.create(projects, SPEC, sources=sources)
    assert ids(projects) == []
    assert not unfinished(projects)


def test_creators_at_once_get_a_number_each(projects: Path) -> None:
    def create(number: int) -> list[int]:
        spec = ProjectSpec(topic=f"by {number}")
        return [Project.create(projects, spec).id for _ in range(10)]

    made = [sorted(part) for part in in_processes(8, create)]
    assert sorted(n for part in made for n in part) == list(range(1, 81))
    for creator, part in enumerate(made):
        for number in part:
            assert Project.open(projects, number).state().spec.topic == f"by {creator}"
    assert not unfinished(projects)


@pytest.mark.parametrize(
    "wrong",
    [
        0,
        -1,
        "0",
        "../x",
        "1/../2",
        "",
        " 1",
        "01",
        "1.0",
        1.0,
        None,
        True,
        "一",
        "１",
        "9" * 19,
        [1],
        {"a": 1},
    ],
    ids=repr,
)
def test_what_is_no_id_is_refused(projects: Path, wrong: object) -> None:
    with pytest.raises(InputError) as caught:
        Project.open(projects, wrong)
    assert caught.value.code == "project_id_invalid"


def test_ids_may_be_numbers_or_text() -> None:
    assert check_id(12, "project") == check_id("12", "batch") == 12


def test_a_project_that_is_not_there_is_named(projects: Path, project: Project) -> None:
    with pytest.raises(NotFoundError, match="no project 2") as caught:
        Project.open(projects, 2)
    assert caught.value.code == "project_not_found"


def test_a_number_that_a_dying_creator_held_is_no_project(projects: Path, project: Project) -> None:
    (projects / "2").mkdir()
    with pytest.raises(NotFoundError):
        Project.open(projects, 2)
    assert Project.create(projects, SPEC).id == 3


# -- state --------------------------------------------------------------------------------------


def test_a_transaction_changes_the_state_and_keeps_the_one_before(project: Project) -> None:
    with project.transaction() as state:
        state.status = "running"
    with project.transaction() as state:
        state.stage(ASSETS).facts = {"count": {"1": 2}}
    assert project.state().status == "running"
    assert project.state().stage(ASSETS).facts == {"count": {"1": 2}}
    before = json.loads((project.folder / PREVIOUS).read_text())
    assert (before["status"], before["stages"]) == ("running", {})


def test_an_exception_in_a_transaction_changes_nothing(project: Project) -> None:
    before = (project.folder / STATE).read_bytes()

    def fail() -> None:
        with project.transaction() as state:
            state.status = "running"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (project.folder / STATE).read_bytes() == before
    assert not unfinished(project.folder)


def test_a_state_that_can_not_be_written_changes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    before = (project.folder / STATE).read_bytes()
    monkeypatch.setattr(disk, "write", full)
    with pytest.raises(OSError, match="No space"), project.transaction() as state:
        state.status = "running"
    assert (project.folder / STATE).read_bytes() == before
    assert not unfinished(project.folder)


def test_facts_with_numbers_as_keys_do_not_make_a_state_unreadable(project: Project) -> None:
    with project.transaction() as state:
        state.stage(ASSETS).facts = {"by scene": {10: "a", 9: "b", 1: "c"}}
    assert project.state().stage(ASSETS).facts == {"by scene": {"10": "a", "9": "b", "1": "c"}}


def test_transactions_of_many_processes_lose_nothing(project: Project) -> None:
    def work(number: int) -> None:
        mine = Project(project.folder, project.id)
        for n in range(10):
            with mine.transaction() as state:
                state.stage(ASSETS).attempts += 1
                state.stage(ASSETS).facts[f"{number}-{n}"] = True

    in_processes(8, work)
    part = project.state().stage(ASSETS)
    assert part.attempts == 80
    assert len(part.facts) == 80


def test_a_reader_never_sees_a_half_state(project: Project, quick_disk: None) -> None:
    def work(number: int) -> int:
        mine, seen = Project(project.folder, project.id), 0
        for n in range(150):
            if number == 0:
                with mine.transaction() as state:
                    state.stage(ASSETS).attempts = n
            else:
                now = mine.state().stage(ASSETS).attempts
                assert now >= seen
                seen = now
        return seen

    in_processes(3, work)
    assert [event["code"] for event in events(project)] == ["created"]


def test_a_file_system_without_hard_links_will_do(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for status in ("running", "waiting"):
        with project.transaction() as state:
            state.status = status
    assert project.state().status == "waiting"
    assert json.loads((project.folder / PREVIOUS).read_text())["status"] == "running"


def test_a_damaged_state_gives_way_to_the_one_before_and_is_kept(project: Project) -> None:
    for attempts in (1, 2):
        with project.transaction() as state:
            state.stage(SCRIPT).attempts = attempts
    broken = b'{"schema_version": 1, "project'
    (project.folder / STATE).write_bytes(broken)
    assert project.state().stage(SCRIPT).attempts == 1
    assert (project.folder / STATE).read_bytes() == broken  # looking changes nothing
    with project.transaction() as state:
        state.stage(SCRIPT).attempts += 10
    assert project.state().stage(SCRIPT).attempts == 11
    assert [p.read_bytes() for p in project.folder.glob("project_state.damaged-*")] == [broken]
    recovered = [event for event in events(project) if event["code"] == "state_recovered"]
    assert len(recovered) == 1
    assert "not JSON" in recovered[0]["message"]


def test_a_newer_state_is_refused_and_left_untouched(project: Project) -> None:
    with project.transaction() as state:
        state.status = "running"
    newer = json.dumps({"schema_version": SCHEMA_VERSION + 1, "whatever": True}).encode()
    (project.folder / STATE).write_bytes(newer)
    before = (project.folder / PREVIOUS).read_bytes()
    for act in (
        project.state,
        lambda: project.begin_run([SCRIPT]),
        lambda: project.forget([SCRIPT]),
    ):
        with pytest.raises(StateError, match="newer Reelchain") as caught:
            act()
        assert caught.value.code == "state_newer"
        assert STATE in caught.value.message
    assert (project.folder / STATE).read_bytes() == newer
    assert (project.folder / PREVIOUS).read_bytes() == before


def test_a_state_that_only_can_not_be_read_now_is_not_replaced_by_an_older_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with project.transaction() as state:
        state.status = "running"
    real = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == STATE:
            raise OSError(24, "Too many open files")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(StateError, match="Too many open files"):
            project.state()
        with pytest.raises(StateError), project.transaction():
            pass
    assert project.state().status == "running"
    assert not list(project.folder.glob("project_state.damaged-*"))


def test_a_project_without_any_state_is_not_begun_anew(projects: Path, project: Project) -> None:
    (project.folder / STATE).unlink()
    with pytest.raises(StateError, match=STATE) as caught:
        Project.open(projects, 1)
    assert caught.value.code == "state_missing"
    with pytest.raises(StateError):
        project.begin_run(STAGE_ORDER)
    assert Project.create(projects, SPEC).id == 2


# -- 1,000 damaged states -----------------------------------------------------------------------

Mutation = Callable[[bytes, random.Random], bytes | None]


def _flip(raw: bytes, rng: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 1, 1, 5, 200))):
        changed[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(raw: bytes, rng: random.Random) -> bytes:
    return raw[: rng.randrange(len(raw))]


def _hole(raw: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(raw))
    return raw[:start] + raw[start + rng.randrange(1, 300) :]


def _zeros(raw: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(raw))
    size = min(512, len(raw) - start)
    return raw[:start] + bytes(size) + raw[start + size :]


def _edited(raw: bytes, rng: random.Random) -> bytes:
    """Change one value somewhere, as someone with an editor would who knows of no checksum."""
    document = json.loads(raw)
    place: Any = document
    while True:
        key = rng.choice(list(place) if isinstance(place, dict) else list(range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.2:
            break
        place = place[key]
    place[key] = rng.choice(
        [None, 0, -1, 10**30, 0.5, "", "x", "completed", [], {}, [1], {"a": 1}, True]
    )
    return json.dumps(document).encode()


def _dropped(raw: bytes, rng: random.Random) -> bytes:
    document = json.loads(raw)
    place = document if rng.random() < 0.5 else rng.choice(list(document["stages"].values()))
    del place[rng.choice(list(place))]
    return json.dumps(document).encode()


def _swapped(raw: bytes, rng: random.Random) -> bytes:
    document = json.loads(raw)
    one, other = rng.sample(list(document), 2)
    document[one], document[other] = document[other], document[one]
    return json.dumps(document).encode()


def _newer(raw: bytes, rng: random.Random) -> bytes:
    return json.dumps(
        {**json.loads(raw), "schema_version": rng.randrange(SCHEMA_VERSION + 1, 100)}
    ).encode()


def _stranger(raw: bytes, rng: random.Random) -> bytes:
    document = {**json.loads(raw), "project_id": rng.randrange(2, 50)}
    del document["checksum"]
    return json.dumps({**document, "checksum": disk.digest(document)}).encode()


def _other(raw: bytes, rng: random.Random) -> bytes | None:
    return rng.choice(
        [
            None, b"", b"\x00", b"null", b"[]", b"{}", b"\xff\xfe\x00", b"1" * 6000, b"[" * 200_000, raw + raw, raw + b"x",
            b"\xef\xbb\xbf" + raw, raw.decode().encode("utf-16"), raw * 100, b'{"schema_version": 1}', b"NaN", rng.randbytes(3000),
        ]
    )  # fmt: skip


def _harmless(raw: bytes, rng: random.Random) -> bytes:
    return json.dumps(json.loads(raw), indent=rng.randrange(5)).encode() + b"\n" * rng.randrange(3)


MUTATIONS: list[Mutation] = [
    _flip, _cut, _hole, _zeros, _edited, _edited, _dropped, _swapped, _newer, _stranger, _other, _harmless,
]  # fmt: skip


@pytest.fixture
def veteran(project: Project) -> Project:
    """A project in its third run, two stages complete; one of them in the previous generation."""
    workshop = Workshop(project)
    for _ in range(3):
        number = project.begin_run(STAGE_ORDER)
    assert number == 3
    workshop.make("assets/a.wav", 1)
    workshop.make("assets/b.wav", 2)
    for stage in (SCRIPT, ASSETS):
        with project.transaction() as state:
            state.stage(stage).status = "completed"
            state.stage(stage).inputs = "0" * 64
    return project


def _completed(state: ProjectState) -> int:
    return sum(part.status == "completed" for part in state.stages.values())


@pytest.mark.slow
def test_a_thousand_damaged_states_never_give_a_silent_restart(
    veteran: Project, quick_disk: None
) -> None:
    rng = random.Random(20261122)  # noqa: S311 - the same damage each time
    kept = {name: (veteran.folder / name).read_bytes() for name in (STATE, PREVIOUS)}
    current, previous = (json.loads(kept[name]) for name in (STATE, PREVIOUS))
    seen: Counter[str] = Counter()
    for _ in range(1000):
        damaged = rng.choice([(STATE,), (STATE,), (STATE, PREVIOUS), (PREVIOUS,)])
        mutate = rng.choice(MUTATIONS)
        files = {name: mutate(kept[name], rng) if name in damaged else kept[name] for name in kept}
        seen[_outcome(veteran, files, current, previous)] += 1
    assert seen.total() == 1000
    assert min(seen["same"], seen["recovered"], seen["refused"]) >= 100, seen


def _outcome(
    project: Project,
    files: dict[str, bytes | None],
    current: dict[str, Any],
    previous: dict[str, Any],
) -> str:
    """Put the files there, use the project, and check that what comes is one of three."""
    folder = project.folder
    for path in (*folder.glob("project_state.*"), folder / "events.jsonl"):
        path.unlink(missing_ok=True)
    (folder / "run").write_text("3\n")
    for name, content in files.items():
        if content is not None:
            (folder / name).write_bytes(content)
    found = _read(folder.parent)
    if isinstance(found, StateError):
        assert STATE in str(found) or PREVIOUS in str(found)
        return _refused(project, files)
    document = found.model_dump(mode="json")
    same = {key: value for key, value in current.items() if key != "checksum"}
    before = {key: value for key, value in previous.items() if key != "checksum"}
    assert document in (same, before)
    number = project.begin_run(STAGE_ORDER)
    assert number == 4
    assert project.state().run.number == 4
    assert _completed(project.state()) == _completed(found)
    text = (folder / "events.jsonl").read_text()
    recovered = "state_recovered" in text
    assert recovered == (document != same)
    if recovered:
        asides = [path.read_bytes() for path in folder.glob("project_state.damaged-*")]
        assert asides == ([files[STATE]] if files[STATE] is not None else [])
        return "recovered"
    return "same"


def _read(projects: Path) -> ProjectState | StateError:
    try:
        return Project.open(projects, 1).state()
    except StateError as error:
        return error


def _refused(project: Project, files: dict[str, bytes | None]) -> str:
    def build(path: Path) -> None:
        raise AssertionError("nothing is built on a state that can't be read")

    for act in (
        lambda: project.begin_run(STAGE_ORDER),
        lambda: project.forget([SCRIPT]),
        lambda: project.make("assets/a.wav", stage=ASSETS, inputs={"of": 1}, build=build),
    ):
        with pytest.raises(StateError):
            act()
    for name, content in files.items():
        path = project.folder / name
        assert (path.read_bytes() if path.exists() else None) == content
    return "refused"


def test_a_folder_in_the_state_s_place_is_put_aside(veteran: Project) -> None:
    (veteran.folder / STATE).unlink()
    (veteran.folder / STATE).mkdir()
    (veteran.folder / STATE / "inside").touch()
    assert veteran.begin_run(STAGE_ORDER) == 4
    assert [p.is_dir() for p in veteran.folder.glob("project_state.damaged-*")] == [True]


# -- run numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost", [(), (STATE,), ("run",), (PREVIOUS,), (STATE, "run"), (PREVIOUS, "run")]
)
def test_the_run_number_never_falls(project: Project, lost: tuple[str, ...]) -> None:
    for number in (1, 2, 3):
        assert project.begin_run(STAGE_ORDER) == number
        project.forget([RENDER])
    for name in lost:
        (project.folder / name).unlink()
    assert project.begin_run([SCRIPT]) == 4
    assert project.state().run.stages == [SCRIPT]
    assert project.begin_run(STAGE_ORDER, at_least=40) == 41
    assert project.begin_run(STAGE_ORDER, at_least=7) == 42


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\xff", b"-5", b"9" * 5000, "３".encode(), b"1\n2"],
    ids=lambda b: repr(b[:8]),
)
def test_a_damaged_run_file_is_no_obstacle(project: Project, content: bytes) -> None:
    assert project.begin_run(STAGE_ORDER) == 1
    (project.folder / "run").write_bytes(content)
    assert project.begin_run(STAGE_ORDER) in (2, 4)


def test_runs_begun_at_once_have_a_number_each(project: Project) -> None:
    def begin(_number: int) -> list[int]:
        mine = Project(project.folder, project.id)
        return [mine.begin_run(STAGE_ORDER) for _ in range(5)]

    numbers = [n for part in in_processes(4, begin) for n in part]
    assert sorted(numbers) == list(range(1, 21))


# -- who works here ---------------------------------------------------------------------------


def test_one_worker_at_a_time(project: Project) -> None:
    assert not project.locked()
    with project.lock():
        assert project.locked()
        found = project.owner()
        assert found is not None
        assert (found.purpose, found.pid, found.alive) == ("work", os.getpid(), True)
        with pytest.raises(disk.Locked), project.lock(wait=0):
            pass
        assert project.state().status == "pending"  # reading and recording need no lock
        with project.transaction():
            pass
    assert not project.locked()


def test_the_next_worker_sweeps_what_a_dead_one_left(project: Project) -> None:
    for name in (
        ".tmp-1-a.wav",
        "assets/.tmp-2-b.png",
        "private/.tmp-3",
        ".tmp-4-source/x",
        "source/.tmp-5-mine",
    ):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).touch()
    with project.lock():
        assert unfinished(project.folder) == [project.folder / "source" / ".tmp-5-mine"]


def test_who_writes_without_the_project_s_lock_is_never_swept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs are begun and cancelled by others than the worker, who sweeps just as he begins."""
    written = []
    write = disk.write

    def seen(path: Path, data: bytes) -> None:
        with pytest.raises(disk.Locked), disk.lock(project.folder / STATE_LOCK, wait=0):
            pass
        written.append(path.name)
        write(path, data)

    monkeypatch.setattr(disk, "write", seen)
    project.begin_run(STAGE_ORDER)
    assert project.cancel()
    project.keep_private("kept.json", [{"a": 1}])
    assert len(written) == 5
    assert project.standing(1) == "cancelled"


# -- making things -------------------------------------------------------------------------------


def test_what_is_made_is_not_made_again(project: Project) -> None:
    workshop = Workshop(project)
    first = project.make(
        "assets/a.wav",
        stage=ASSETS,
        inputs={"of": 1},
        build=lambda p: p.write_text("sound") and None,
    )
    assert (first.path, first.size) == ("assets/a.wav", 5)
    assert first.sha256 == disk.sha256(project.path("assets/a.wav"))
    workshop.make("assets/a.wav", 1)
    workshop.make("assets/a.wav", 1)
    assert workshop.built == []
    workshop.make("assets/a.wav", 2)
    assert workshop.built == ["assets/a.wav"]
    assert project.state().artifact("assets/a.wav").inputs != first.inputs  # type: ignore[union-attr]


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _same_size(path: Path) -> None:
    content = bytearray(path.read_bytes())
    when = path.stat()
    content[3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    path.rmdir()


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("damage", [Path.unlink, _truncate, _empty, _same_size, _folder, _dangling])
def test_a_damaged_artifact_is_noticed_and_built_again(
    project: Project, damage: Callable[[Path], object]
) -> None:
    workshop = Workshop(project)
    names = [f"assets/{n}.wav" for n in range(3)]
    for name in names:
        workshop.make(name, name)
    good = project.path(names[1]).read_bytes()
    damage(project.path(names[1]))
    workshop.built.clear()
    for name in names:
        workshop.make(name, name)
    assert workshop.built == [names[1]]
    assert project.path(names[1]).read_bytes() == good


def test_files_of_one_act_are_made_together(project: Project) -> None:
    built = []

    def build(sound: Path, words: Path) -> None:
        built.append(1)
        assert (sound.suffix, words.suffix) == (".wav", ".json")
        sound.write_text("sound")
        words.write_text("words")

    def make() -> None:
        project.make_all(("v/a.wav", "v/a.json"), stage=ASSETS, inputs={"t": 1}, build=build)

    make()
    make()
    assert len(built) == 1
    project.path("v/a.json").unlink()
    make()
    assert len(built) == 2


class Stop(BaseException):
    """As a time limit or a Ctrl-C comes."""


@pytest.mark.parametrize("error", [ValueError, Stop, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["build", "check"])
def test_a_build_that_fails_leaves_the_old_artifact_and_its_record(
    project: Project, error: type[BaseException], where: str
) -> None:
    Workshop(project).make("assets/a.wav", 1)
    record, content = project.state(), project.path("assets/a.wav").read_bytes()

    def build(path: Path) -> None:
        path.write_text("half")
        if where == "build":
            raise error

    def check(path: Path) -> None:
        assert path.read_text() == "half"
        raise error

    with pytest.raises(error):
        project.make("assets/a.wav", stage=ASSETS, inputs={"of": 2}, build=build, check=check)
    assert project.path("assets/a.wav").read_bytes() == content
    assert project.state() == record
    assert not unfinished(project.folder)


@pytest.mark.parametrize("write", [lambda _path: None, Path.touch, Path.mkdir])
def test_a_build_that_makes_nothing_is_an_error(
    project: Project, write: Callable[[Path], None]
) -> None:
    with pytest.raises(StateError, match="came out empty") as caught:
        project.make("assets/a.wav", stage=ASSETS, inputs={}, build=write)
    assert caught.value.code == "artifact_empty"
    assert project.state().artifact("assets/a.wav") is None
    with project.lock():
        assert not unfinished(project.folder)


def _maker(project: Project, log: Path) -> Callable[[int], str]:
    def build(path: Path) -> None:
        disk.append_line(log, str(os.getpid()))
        threading.Event().wait(0.05)  # so that the others come while it is being built
        path.write_text(f"made by {os.getpid()}")

    return lambda _n: (
        Project(project.folder, 1).make("a.wav", stage=ASSETS, inputs={"of": 1}, build=build).sha256
    )


def test_processes_that_make_one_artifact_build_it_once(project: Project, tmp_path: Path) -> None:
    log = tmp_path / "built"
    digests = in_processes(8, _maker(project, log))
    assert len(log.read_text().splitlines()) == 1
    assert set(digests) == {disk.sha256(project.path("a.wav"))}


def test_threads_that_make_one_artifact_build_it_once(project: Project, tmp_path: Path) -> None:
    log, work, digests = tmp_path / "built", None, []
    work = _maker(project, log)
    threads = [threading.Thread(target=lambda n=n: digests.append(work(n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.read_text().splitlines()) == 1
    assert digests == [disk.sha256(project.path("a.wav"))] * 8


def test_makers_of_different_artifacts_lose_no_record(project: Project) -> None:
    def work(number: int) -> None:
        workshop = Workshop(Project(project.folder, project.id))
        for n in range(5):
            workshop.make(f"assets/{number}-{n}.wav", [number, n])

    in_processes(8, work)
    records = project.state().stage(ASSETS).artifacts
    assert len(records) == 40
    assert all(project.intact(record) for record in records.values())


def test_a_dead_builder_does_not_keep_the_artifact(project: Project) -> None:
    machine = Machine(3, dies=True)
    with pytest.raises(Crash), machine.running():
        Workshop(project).make("assets/a.wav", 1)
    again = Workshop(project)
    again.make("assets/a.wav", 1)
    assert again.built == ["assets/a.wav"]


# -- a change rebuilds what depends on it ----------------------------------------------------------

Scene = tuple[int, int]
"""What is said, what is shown; small numbers, so that scenes often are equal."""
SCENES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6)


def _film(workshop: Workshop, scenes: list[Scene]) -> dict[str, object]:
    """Make a film as the stages do; return the inputs of each artifact by name."""
    inputs: dict[str, object] = {}

    def make(name: str, of: object, content: str) -> str:
        inputs[name] = of
        return workshop.make(name, of, content)

    segments = []
    before = ""
    for number, (said, shown) in enumerate(scenes):
        # a voice that says some words alike: its result, not its input, decides what follows
        voice = make(f"voice/{number}", said, f"voice {said // 2}")
        picture = make(f"picture/{number}", shown, f"picture {shown}")
        segments.append(
            make(f"segment/{number}", [voice, picture, before], f"{voice}{picture}{before}")
        )
        before = picture
    make("video.mp4", segments, "".join(segments))
    return inputs


@settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(scenes=SCENES, data=st.data())
def test_a_change_rebuilds_exactly_what_depends_on_it(
    tmp_path: Path, quick_disk: None, scenes: list[Scene], data: st.DataObject
) -> None:
    workshop = Workshop(Project.create(tmp_path / "films", SPEC))
    before = _film(workshop, scenes)
    assert sorted(workshop.built) == sorted(before)
    workshop.built.clear()
    assert _film(workshop, scenes) == before
    assert workshop.built == []

    index = data.draw(st.integers(0, len(scenes) - 1))
    changed = [*scenes]
    changed[index] = data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    after = _film(workshop, changed)
    assert workshop.built == [name for name in after if after[name] != before.get(name)]
    said = changed[index][0] // 2 != scenes[index][0] // 2
    shown = changed[index][1] != scenes[index][1]
    expected = {f"segment/{index}"} if said or shown else set()
    if shown and index + 1 < len(scenes):
        expected.add(f"segment/{index + 1}")  # it begins over this picture
    assert {name for name in workshop.built if name.startswith("segment/")} == expected
    fresh = Workshop(Project.create(tmp_path / "films", SPEC))
    _film(fresh, changed)
    for name in after:
        assert workshop.project.path(name).read_bytes() == fresh.project.path(name).read_bytes()


# -- adopt, forget, keep only --------------------------------------------------------------------------


def test_a_file_as_the_user_left_it_is_adopted(project: Project) -> None:
    Workshop(project).make("script.json", 1)
    project.path("script.json").write_text("mine")
    record = project.adopt("script.json", stage=ASSETS, inputs={"by": "the user"})
    assert project.intact(record)
    assert project.state().artifact("script.json") == record
    with pytest.raises(StateError):
        project.adopt("nowhere.json", stage=ASSETS, inputs={})


def test_forgotten_stages_are_made_anew_and_their_files_stay_until_then(project: Project) -> None:
    workshop = Workshop(project)
    workshop.make("assets/a.wav", 1)
    with project.transaction() as state:
        state.stage(ASSETS).status = "completed"
        state.stage(ASSETS).inputs = "digest"
        state.stage(SCRIPT).status = "completed"
    project.forget([ASSETS, RENDER])
    state = project.state()
    assert (state.stage(ASSETS).status, state.stage(ASSETS).inputs) == ("pending", None)
    assert state.stage(SCRIPT).status == "completed"
    assert project.path("assets/a.wav").exists()
    workshop.make("assets/a.wav", 1)
    assert workshop.built == ["assets/a.wav"] * 2


def test_what_earlier_versions_left_goes(project: Project) -> None:
    workshop = Workshop(project)
    for n in range(3):
        workshop.make(f"assets/{n}.wav", n)
    project.path("assets/1.wav").unlink()
    with project.transaction() as state:
        project.keep_only(state, ASSETS, {"assets/0.wav"})
    assert set(project.state().stage(ASSETS).artifacts) == {"assets/0.wav"}
    assert [p.name for p in (project.folder / "assets").iterdir()] == ["0.wav"]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "..", "a/..", "a\x00b"])
def test_no_name_leads_out_of_the_project(project: Project, name: str) -> None:
    with pytest.raises(InputError) as caught:
        project.path(name)
    assert caught.value.code == "path_outside"
    with pytest.raises(InputError):
        project.make(name, stage=ASSETS, inputs={}, build=lambda p: p.touch())


def test_the_source_s_digest_sees_names_and_content(project: Project) -> None:
    source = project.folder / "source"
    digests = {project.source_digest()}
    (source / "pictures").mkdir()
    (source / "pictures" / "a.jpg").write_bytes(b"1")
    digests.add(project.source_digest())
    (source / "pictures" / "a.jpg").rename(source / "pictures" / "b.jpg")
    digests.add(project.source_digest())
    (source / "pictures" / "b.jpg").write_bytes(b"2")
    digests.add(project.source_digest())
    assert len(digests) == 4
    assert project.source_digest() in digests
