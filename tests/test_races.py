"""What two processes do at once, each at the moment in question: the second acts inside the first."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery.result import AsyncResult

from _redis import RedisServer
from app import batch, disk
from app.batch import folder as batch_folder
from app.celery_app import celery_app, debug_task
from app.doctor import folders as doctor_folders
from app.errors import NotFoundError
from app.models import ErrorFact, ProjectSpec
from app.project import EDIT, STAGE_ORDER, Outdated, Project, active, spend
from app.project import folder as project_folder
from app.project import owner as owners
from app.project.hold import LOCK, STATE_LOCK
from app.providers import _stock
from app.settings import get
from app.spending import Usage
from app.tasks import _callers, _purse, _stage, generate_script_task, watchdog

SPEC = ProjectSpec(topic="The blue door")


@pytest.fixture
def home() -> Path:
    return get().projects_dir


@pytest.fixture
def project(home: Path) -> Project:
    return Project.create(home, SPEC)


def other(project: Project) -> Project:
    """Return the handle of another process."""
    return Project(project.folder, project.id)


def before(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, act: Callable[[], Any]) -> None:
    """Let another one `act` just before `where.name` is called first."""
    real, acts = getattr(where, name), [act]

    def wrapped(*args: Any, **how: Any) -> Any:
        while acts:
            acts.pop()()
        return real(*args, **how)

    monkeypatch.setattr(where, name, wrapped)


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, act: Callable[[], Any]
) -> threading.Thread:
    """Let another one begin to `act` before `where.name`, who has to wait for what we hold there.

    Whether it waits, or is late: what comes out is the same.
    """
    thread = threading.Thread(target=act)

    def begin() -> None:
        thread.start()
        thread.join(0.1)

    before(monkeypatch, where, name, begin)
    return thread


# -- removing ------------------------------------------------------------------------------------


def test_a_project_may_be_begun_or_removed_while_it_is_cancelled(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.begin_run(STAGE_ORDER)
    tell = "_tell_owner_of_cancel"
    begun = meanwhile(monkeypatch, project, tell, lambda: other(project).begin_run(STAGE_ORDER))
    assert project.cancel()
    begun.join()
    assert (project.standing(1), project.standing(2)) == ("lost", "ok")
    gone = meanwhile(monkeypatch, project, tell, lambda: other(project).remove())
    assert project.cancel()
    gone.join()
    assert not project.folder.exists()
    assert active(project.folder.parent) == {}


def test_a_run_that_begins_in_time_keeps_its_project(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before(monkeypatch, project, "holding", lambda: other(project).begin_run(STAGE_ORDER))
    with pytest.raises(Outdated):
        project.remove()
    assert project.state().run.number == 1
    assert active(project.folder.parent).keys() == {1}


def test_whoever_finds_the_project_gone_is_told_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []

    def waits() -> None:
        with pytest.raises(NotFoundError) as caught:
            other(project).begin_run(STAGE_ORDER)
        found.append(caught.value.code)

    with monkeypatch.context() as patch, disk.lock(project.folder / STATE_LOCK):
        opened = threading.Event()
        acquire = disk._acquire
        patch.setattr(disk, "_acquire", lambda *a: (opened.set(), acquire(*a)))
        waiting = threading.Thread(target=waits)
        waiting.start()
        assert opened.wait(10)
        disk.rename(project.folder, project.folder.with_name(".tmp-gone"))
    waiting.join()
    for act in (
        project.state,
        project.locked,
        project.cancel,
        project.remove,
        lambda: project.log("said"),
        lambda: project.keep_private("kept.json", {}),
        lambda: project.lock().__enter__(),
    ):
        with pytest.raises(NotFoundError) as caught:
            act()
        found.append(caught.value.code)
    assert found == ["project_not_found"] * 8
    assert not project.folder.exists()


def test_a_late_thread_does_not_bring_back_a_removed_project(project: Project) -> None:
    other(project).remove()
    with pytest.raises(FileNotFoundError):
        project.make("assets/voice/a.wav", stage=STAGE_ORDER[1], inputs={}, build=Path.touch)
    assert not project.folder.exists()


def test_two_that_remove_the_same_are_both_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    for name in ("a/1", "a/2", "b/3"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").touch()
    unlink = os.unlink

    def late(*args: Any, **how: Any) -> None:
        for name in ("a", "b"):
            with contextlib.suppress(FileNotFoundError):
                (folder / name).rename(tmp_path / name)
        unlink(*args, **how)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", late)
        disk.remove(folder)
    assert not folder.exists()


# -- coming into being -----------------------------------------------------------------------------


def test_a_project_that_comes_into_being_is_no_damaged_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "1").mkdir(parents=True)
    is_dir = Path.is_dir

    def just_now(path: Path) -> bool:
        if path.name == "source" and not is_dir(path):
            monkeypatch.setattr(Path, "is_dir", is_dir)
            (home / "1").rmdir()
            Project.create(home, SPEC)
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", just_now)
    assert Project.open(home, 1).state().project_id == 1


def test_a_number_noted_late_is_not_given_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two creators at once, the one with the lower number may note it last."""
    quicker: list[Project] = []
    note = project_folder.note_id

    def late(folder: Path, number: int) -> None:
        if number == 1:
            quicker.append(Project.create(home, SPEC))
        note(folder, number)

    monkeypatch.setattr(project_folder, "note_id", late)
    assert Project.create(home, SPEC).id == 1
    quicker[0].remove()
    assert Project.create(home, SPEC).id == 3


def test_a_number_that_was_given_and_is_free_again_is_not_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A creator forces long sources to the disk while another one comes and goes."""
    force = disk.fsync_tree

    def slow(folder: Path) -> None:
        monkeypatch.setattr(disk, "fsync_tree", force)
        Project.create(home, SPEC).remove()
        force(folder)

    monkeypatch.setattr(disk, "fsync_tree", slow)
    assert Project.create(home, SPEC).id == 2
    assert [path.name for path in home.iterdir() if not path.name.startswith(".")] == ["2"]


def test_links_that_lead_nowhere_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("12")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "gone").symlink_to("nowhere")
    assert disk.files(tmp_path) == [(tmp_path / "a", 2)]


def test_sources_that_are_replaced_while_they_are_read_are_read_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = project.path("source/story.md"), project.path("source/story.txt")
    old.write_text("one")
    read = disk.sha256

    def just_now(path: Path) -> str:
        if path == old and old.exists():
            old.rename(new)
        return read(path)

    monkeypatch.setattr(disk, "sha256", just_now)
    assert project.source_digest() == disk.digest({"story.txt": read(new)})


# -- who holds it ------------------------------------------------------------------------------------


def test_a_sender_says_that_it_sent_although_somebody_looks(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = project.begin_run(STAGE_ORDER)
    with project.lock(purpose=EDIT):
        project.leave(owners.me("sending", run=run))
    lock, tries = project.lock, []

    with contextlib.ExitStack() as looking:
        looking.enter_context(disk.lock(project.folder / LOCK, shared=True))

        def seen(**how: Any) -> Any:
            tries.append(how)
            if len(tries) == 2:
                looking.close()
            return lock(**how)

        monkeypatch.setattr(project, "lock", seen)
        project.sent(run)
    left = project.owner()
    assert left is not None
    assert (left.purpose, left.run, len(tries)) == ("queued", run, 2)
    project.sent(run)
    assert len(tries) == 2


def test_the_end_of_a_run_is_not_taken_for_that_of_the_next(project: Project) -> None:
    """A watchdog has read the state; then the run is cancelled, or begun anew."""
    run = project.begin_run(STAGE_ORDER)
    state = project.state()
    later = other(project).begin_run(STAGE_ORDER)
    error = ErrorFact(type="PermanentError", code="full", message="Full.")
    note = owners.me("failed", run=run, stage=STAGE_ORDER[0], error=error)
    with pytest.raises(Outdated):
        watchdog._record_failure(project, state, note)
    with pytest.raises(Outdated):
        watchdog._bury(project, run, STAGE_ORDER[0], {"a": 9})
    assert project.state().run.number == later
    assert project.state().run.on_its_way


def test_an_edit_is_waited_for_and_a_worker_is_not(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that is taken while somebody changes the project is not given away for that."""
    run = project.begin_run(STAGE_ORDER)
    definition = _stage.DEFINITIONS[STAGE_ORDER[0]]
    message = _stage._Message(generate_script_task, definition, project, run, bound=True)
    refusals = [disk.Locked(), disk.Locked()]

    def turn() -> dict[str, Any]:
        if refusals:
            raise refusals.pop()
        return {"status": "completed"}

    monkeypatch.setattr(message, "_turn", turn)
    monkeypatch.setattr(message, "_join", lambda: True)
    with other(project).lock(purpose=EDIT):
        assert message.handle() == {"status": "completed"}
    refusals.append(disk.Locked())
    worker = other(project)
    with worker.lock():
        worker.claim(run, STAGE_ORDER[0], "another message of the run")
        assert message.handle() is None


@pytest.mark.redis
@pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")
def test_two_who_answer_a_caller_send_what_he_chained_behind_once(
    project: Project, redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    celery_app._redirect(redis_url)
    project.begin_run(STAGE_ORDER[:1], callers={"caller": STAGE_ORDER[0]})
    project.keep_private(_callers._rest_file(project, "caller").name, [debug_task.si()])
    with project.transaction() as state:
        state.run.ended = True
        state.stage(STAGE_ORDER[0]).status = "completed"
    second = meanwhile(
        monkeypatch, _callers, "_send_rest", lambda: _callers.answer(other(project), state)
    )
    _callers.answer(project, state)
    second.join()
    assert redis_server.client.llen("maintenance\x06\x164") == 1
    assert AsyncResult("caller", app=celery_app).state == "SUCCESS"


# -- money -------------------------------------------------------------------------------------------


def test_a_call_that_is_booked_while_another_purse_opens_counts_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that was left behind books its call; the next turn's purse reads the history."""
    usage = Usage(service="openai", model="gpt-4o-mini", input_tokens=10)
    with _purse.ProjectPurse(project, STAGE_ORDER[0]) as purse:
        before(monkeypatch, purse._project, "transaction", lambda: spend.settle(other(project)))
        purse.paid(usage)
    rows = project.state().spend
    assert rows == spend.told(project.folder)
    assert [row.calls for row in rows.values()] == [1]


# -- batches -----------------------------------------------------------------------------------------


def made_batch(home: Path) -> batch.Batch:
    return batch.create("B", [lambda number: Project.create(home, SPEC, batch=number)])


def test_a_batch_that_is_begun_while_it_is_unmarked_keeps_its_marker(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = made_batch(home).batch_id
    batch_folder.mark(number)
    begun = meanwhile(monkeypatch, disk, "unlink", lambda: batch.begin(number, "caller"))
    batch.unmark(number)
    begun.join()
    assert batch.running() == [number]


def test_a_batch_that_ends_while_it_is_marked_keeps_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = made_batch(home).batch_id
    batch.begin(number, "caller")
    ended = meanwhile(
        monkeypatch,
        batch_folder,
        "mark",
        lambda: batch.rest(number, 1, ["caller"], {"counts": {}, "status": "completed"}),
    )
    batch.mark_running()
    ended.join()
    assert batch.running() == []


# -- those who look after all of them ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "name"), [(Project, "open"), (doctor_folders, "_read"), (Project, "locked")]
)
def test_a_doctor_is_not_disturbed_by_who_removes_a_project(
    project: Project, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    before(monkeypatch, where, name, other(project).remove)
    (told,) = doctor_folders.look()
    assert told.status == "ok"


def test_a_publication_is_not_removed_while_it_is_filled(project: Project) -> None:
    half = get().published_dir / f".tmp-rc-{project.id}-0123456789ab"
    half.mkdir(parents=True)
    with project.lock():
        (found,) = doctor_folders.look(fix=True)
        assert (found.status, half.exists()) == ("warn", True)
    (found,) = doctor_folders.look(fix=True)
    assert (found.status, half.exists()) == ("mended", False)


def test_an_answer_is_kept_although_another_worker_forgets_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old.json"
    old.touch()
    os.utime(old, (0, 0))
    listed = [*tmp_path.iterdir(), tmp_path / "gone.json"]
    monkeypatch.setattr(Path, "iterdir", lambda _folder: iter(reversed(listed)))
    _stock._forget_old(tmp_path)
    assert not old.exists()
