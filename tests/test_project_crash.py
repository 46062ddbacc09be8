"""A project survives the end of its process at any write, fsync, rename, link, unlink and mkdir.

Each step of a project's life is run once to count its file operations, then once for every
operation and every way to end there, from the same folder. What must hold afterwards: the state is
that before the step or that after it, the next worker finds nothing half made, the step done again
ends right, and nothing but the unit in hand is built again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from _crash import Crash, How, Machine, unfinished
from _processes import killed
from app import disk
from app.errors import NotFoundError, StateError
from app.models import ProjectSpec
from app.project import PREVIOUS, STAGE_ORDER, STATE, Project, ids

SPEC = ProjectSpec(topic="The blue door")
SCRIPT, ASSETS = STAGE_ORDER[:2]
VOICE = ("assets/voice/a.wav", "assets/voice/a.json")
PICTURE = "assets/picture/b.png"
STORY = b"# The blue door\n\nIt was blue."

Act = Callable[[Project, list[str]], None]
"""Does a step's work on a project, and notes what it built."""


def _make(names: tuple[str, ...], version: int = 1) -> Act:
    def act(project: Project, built: list[str]) -> None:
        def build(*paths: Path) -> None:
            built.append(names[0])
            for path, name in zip(paths, names, strict=True):
                disk.write(path, f"{name}, version {version}, quite some bytes of it".encode())

        stage = SCRIPT if names[0] == "script.json" else ASSETS
        project.make_all(names, stage=stage, inputs={"v": version}, build=build)

    return act


def _begin(project: Project, _built: list[str]) -> None:
    project.begin_run(STAGE_ORDER)


def _complete(project: Project, _built: list[str]) -> None:
    with project.transaction() as state:
        state.status = "completed"
        part = state.stage(ASSETS)
        part.status, part.facts, part.roles = "completed", {"sentences": 1}, {"assets": PICTURE}


def _keep(project: Project, _built: list[str]) -> None:
    with project.transaction() as state:
        project.keep_only(state, ASSETS, {PICTURE})


def _adopt(project: Project, _built: list[str]) -> None:
    project.adopt("script.json", stage=SCRIPT, inputs={"by": "user"})


def _forget(project: Project, _built: list[str]) -> None:
    project.forget([ASSETS])


def _log(project: Project, _built: list[str]) -> None:
    project.log("remark", text="a line for a person to read")


def _edit_script(project: Project) -> None:
    project.path("script.json").write_text("as the user wants it")


def _leave_waste(project: Project) -> None:
    (project.folder / ".tmp-1-source").mkdir()
    for name in (".tmp-1-source/story.md", ".tmp-2-video.mp4", "assets/.tmp-3-a.wav"):
        project.path(name).write_text("unfinished")


def _damage_state(project: Project) -> None:
    (project.folder / STATE).write_bytes(b"\x00" * 100)


@dataclass(frozen=True)
class Step:
    """One step: what it does, and what came before it without any harm."""

    name: str
    act: Act
    prepare: Callable[[Project], None] = lambda _project: None


STEPS = (
    Step("begin the first run", _begin),
    Step("make a file", _make(("script.json",))),
    Step("make two files in one act", _make(VOICE)),
    Step("make a file in a new folder", _make((PICTURE,))),
    Step("make a changed file again", _make((PICTURE,), 2)),
    Step("complete a stage", _complete),
    Step("drop what is not needed", _keep),
    Step("adopt a user's file", _adopt, _edit_script),
    Step("forget a stage", _forget),
    Step("begin another run", _begin),
    Step("make a forgotten file", _make((PICTURE,), 2)),
    Step("take the lock over waste", lambda _project, _built: None, _leave_waste),
    Step("write a line of history", _log),
    Step("recover a damaged state", _complete, _damage_state),
    Step("begin a run on a damaged state", _begin, _damage_state),
)


def _facts(project: Project) -> dict[str, Any]:
    """Return the state without the time of its writing and the run's number."""
    state = project.state().model_dump(mode="json", exclude={"updated_at", "created_at"})
    del state["run"]["number"]
    return state


def _run(step: Step, project: Project) -> list[str]:
    built: list[str] = []
    with project.lock():
        step.act(project, built)
    return built


class Life:
    """The folder of a project before each of its steps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.projects = folder / "projects"
        project = _create(self.projects)
        self._before: dict[str, Path] = {}
        for step in STEPS:
            step.prepare(project)
            self._before[step.name] = self._copied(project.folder, step.name)
            _run(step, project)

    def _copied(self, source: Path, name: str) -> Path:
        return Path(shutil.copytree(source, self._folder / "before" / name, symlinks=True))

    def before(self, step: Step) -> Project:
        """Put the project back to where it was before a step."""
        shutil.rmtree(self.projects, ignore_errors=True)
        shutil.copytree(self._before[step.name], self.projects / "1", symlinks=True)
        return Project.open(self.projects, 1)


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _handle: None)
        return Life(tmp_path_factory.mktemp("life"))


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time and what no test of a living system can see."""
    monkeypatch.setattr("os.fsync", lambda _handle: None)


def _ways(trace: list[str]) -> Iterator[tuple[int, How, bool]]:
    """Yield every way to end; who dies after an operation leaves what one leaves before the next.

    An fsync, which does nothing here, leaves before the next what lay there before itself.
    """
    for at, name in enumerate(trace, 1):
        if at == 1 or trace[at - 2] != "fsync":
            yield at, "before", True
        if "write" in name:
            yield at, "torn", True
        yield at, "after", False
    yield len(trace), "after", True


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_may_end_at_any_operation(life: Life, step: Step) -> None:
    project = life.before(step)
    before, run = _facts(project), project.state().run.number
    with Machine().running() as machine:
        _run(step, project)
    after = _facts(project)
    assert machine.count >= 3
    for at, how, dies in _ways(machine.trace):
        project = life.before(step)
        where = f"{how} operation {at} of {machine.trace}"
        _strike(Machine(at, how, dies=dies), partial(_run, step, project), where)
        _check_aftermath(step, project, (before, after), run, where)


def _strike(machine: Machine, act: Callable[[], object], where: str) -> None:
    with machine.running():
        try:
            act()
        except Crash:
            return
    raise AssertionError(f"it went on after {where}: {machine.trace}")


def _check_aftermath(
    step: Step, project: Project, facts: tuple[dict[str, Any], dict[str, Any]], run: int, where: str
) -> None:
    before, after = facts
    found = _facts(project)
    assert found in (before, after), where
    number = project.state().run.number
    assert number >= run, where
    _check_files(project, step, where)
    built = _run(step, project)
    assert len(built) <= 1, where
    assert _facts(project) == after, where
    assert not unfinished(project.folder), where
    records = [r for part in project.state().stages.values() for r in part.artifacts.values()]
    edited = step.prepare is _edit_script
    assert all(project.intact(record) for record in records), where
    assert _run(step, project) == [], where
    assert edited or _facts(project) == after, where
    history = (project.folder / "events.jsonl").read_text().splitlines()
    assert sum(_is_json(line) for line in history) >= len(history) - 1, where
    fresh = project.begin_run(STAGE_ORDER)
    assert fresh > number, where
    assert fresh > int((project.folder / "run").read_text()) - 1, where
    if step.prepare is _damage_state:
        assert "state_recovered" in "".join(history), where


def _check_files(project: Project, step: Step, where: str) -> None:
    """Of what is recorded, only what the step itself had in hand may not be as recorded."""
    if step.prepare is _edit_script:
        return
    broken = {
        record.path
        for part in project.state().stages.values()
        for record in part.artifacts.values()
        if not project.intact(record)
    }
    if not broken:
        return
    in_hand: dict[str, set[str]] = {
        "make two files in one act": set(VOICE),
        "make a changed file again": {PICTURE},
        "drop what is not needed": set(VOICE),
    }
    assert broken <= in_hand.get(step.name, set()), where


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


# -- coming into being -----------------------------------------------------------------------------


def _create(projects: Path) -> Project:
    return Project.create(
        projects, SPEC, sources=lambda folder: disk.write(folder / "story.md", STORY)
    )


def test_a_creation_may_end_at_any_operation(tmp_path: Path) -> None:
    projects = tmp_path / "projects"
    with Machine().running() as machine:
        _create(projects)
    assert machine.count >= 10
    for at, how, dies in _ways(machine.trace):
        shutil.rmtree(projects, ignore_errors=True)
        where = f"{how} operation {at} of {machine.trace}"
        _strike(Machine(at, how, dies=dies), lambda: _create(projects), where)
        found = [_whole(projects, number) for number in ids(projects)]
        assert len(found) <= 1, where
        project = _create(projects)
        assert project.id == 1 + len(found), where
        assert _whole(projects, project.id), where
        assert not unfinished(projects), where


def _whole(projects: Path, number: int) -> bool:
    """Tell whether a number is a whole project; False where it is none at all."""
    try:
        project = Project.open(projects, number)
    except NotFoundError:
        assert not list((projects / str(number)).iterdir())
        return False
    assert project.state().spec == SPEC
    assert (project.folder / "source" / "story.md").read_bytes() == STORY
    assert (project.folder / "private").is_dir()
    assert "created" in (project.folder / "events.jsonl").read_text()
    return True


def test_a_creation_forces_everything_to_the_disk_before_it_shows(tmp_path: Path) -> None:
    with Machine().running() as machine:
        project = _create(tmp_path / "projects")
    steps = list(zip(machine.trace, machine.paths, strict=True))
    shown = next(n for n, (_, paths) in enumerate(steps) if paths[1:] == (str(project.folder),))
    forced = {Path(paths[0]).name for name, paths in steps[:shown] if name == "fsync"}
    assert forced >= {"story.md", "source", "private", STATE, "events.jsonl"}
    assert ("fsync", (str(tmp_path / "projects"),)) in steps[shown:]


def test_every_file_is_forced_to_the_disk_before_it_gets_its_name(life: Life) -> None:
    for step in STEPS:
        project = life.before(step)
        with Machine().running() as machine:
            _run(step, project)
        steps = list(zip(machine.trace, machine.paths, strict=True))
        for n, (name, paths) in enumerate(steps):
            if name != "replace" or PREVIOUS in paths[1] or "damaged" in paths[1]:
                continue
            assert ("fsync", (paths[0],)) in steps[:n], f"{step.name}: {paths}"
            assert ("fsync", (str(Path(paths[1]).parent),)) in steps[n:], f"{step.name}: {paths}"


# -- with a real SIGKILL -----------------------------------------------------------------------------


def _whole_life(projects: Path) -> None:
    """Go on with a project from wherever it is to its end."""
    if not any(_whole(projects, number) for number in ids(projects)):
        _create(projects)
    project = Project.open(projects, max(ids(projects)))
    built: list[str] = []
    with project.lock():
        _begin(project, built)
        for act in (_make(("script.json",)), _make(VOICE), _make((PICTURE,)), _complete, _log):
            act(project, built)
        with project.transaction() as state:
            notes = state.stage(ASSETS).facts.setdefault("built", {})
            notes[str(state.run.number)] = built


def _live_through(projects: Path, at: int) -> bool:
    def work() -> None:
        with Machine(at, "torn", kill=True).running():
            _whole_life(projects)

    return killed(work)


def _check_life(projects: Path, fewest: int) -> None:
    project = Project.open(projects, max(ids(projects)))
    state = project.state()
    assert state.status == "completed"
    assert state.run.number >= fewest
    records = state.stage(SCRIPT).artifacts | state.stage(ASSETS).artifacts
    assert set(records) == {"script.json", *VOICE, PICTURE}
    assert all(project.intact(record) for record in records.values())
    assert not unfinished(projects)


@pytest.mark.parametrize("at", [4, 17, 30, 43, 56, 69, 82, 93])
def test_a_killed_process_is_followed_by_one_that_ends_right(tmp_path: Path, at: int) -> None:
    projects = tmp_path / "projects"
    assert _live_through(projects, at)
    _whole_life(projects)
    _check_life(projects, 1)


@pytest.mark.slow
def test_killed_at_every_single_operation(tmp_path: Path) -> None:
    at = 1
    while _live_through(tmp_path / str(at), at):
        _whole_life(tmp_path / str(at))
        _check_life(tmp_path / str(at), 1)
        at += 1
    assert at > 80


def test_killed_again_and_again_it_still_comes_to_its_end(tmp_path: Path) -> None:
    projects, deaths, at = tmp_path / "projects", 0, 12
    runs = [0]
    while _live_through(projects, at):
        deaths += 1
        at += 5
        for number in ids(projects):
            try:
                runs.append(Project.open(projects, number).state().run.number)
            except (NotFoundError, StateError):
                continue
        assert runs == sorted(runs)
    assert deaths >= 5
    _check_life(projects, 3)
