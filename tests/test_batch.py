"""Batches: made whole or not at all, run a few at a time, never lost, always answered."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from _crash import HOWS, Crash, How, Machine
from app import batch, disk, playlist, settings
from app.batch import End
from app.cli import app as cli_app
from app.errors import InputError, NotFoundError, ReelchainError
from app.pipeline import create_batch
from app.project import Project

TOPICS = ["One", "Two", "Three", "Four"]


def projects() -> list[str]:
    home = settings.get().projects_dir
    return sorted(path.name for path in home.glob("[!.]*")) if home.exists() else []


def batches() -> list[str]:
    home = settings.get().batches_dir
    return sorted(path.name for path in home.glob("[!.]*")) if home.exists() else []


def project(number: int) -> Project:
    return Project.open(settings.get().projects_dir, number)


# -- making ------------------------------------------------------------------------------------


def test_a_batch_keeps_order_rules_and_its_projects() -> None:
    made = create_batch(TOPICS, title="T", on_failure="stop", priority="high", window=3)
    assert (made.batch_id, made.projects, made.title) == (1, (1, 2, 3, 4), "T")
    assert batch.load(1) == made
    assert (made.on_failure, made.priority, made.window) == ("stop", 9, 3)
    assert [project(n).state().batch for n in made.projects] == [1] * 4
    assert batch.outcome(made)["status"] == "pending"


@pytest.mark.parametrize("fails_at", [1, 3])
def test_a_disk_that_fills_up_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    create_batch(["Kept"])
    write, count = disk.write, 0

    def full(path: Path, data: bytes) -> None:
        nonlocal count
        count += path.name.endswith("project_state.json")
        if count == fails_at:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(disk, "write", full)
    with pytest.raises(OSError, match="No space left"):
        create_batch(TOPICS)
    monkeypatch.undo()
    assert (projects(), batches()) == (["1"], ["1"])
    again = create_batch(TOPICS)
    assert again.batch_id == 3, "the number of the batch that failed is not given again"
    assert batch.numbers() == [1, 3]


def test_the_last_file_failing_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    write_json = disk.write_json

    def full(path: Path, document: Any) -> None:
        if path.name == batch.FILE:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_json(path, document)

    monkeypatch.setattr(disk, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        create_batch(TOPICS)
    assert (projects(), batches()) == ([], [])


def _create_and_die(data: str, after: int) -> None:
    os.environ["DATA_DIR"] = data
    settings.get.cache_clear()
    create, made = Project.create, []

    def counted(*args: Any, **kwargs: Any) -> Project:
        if len(made) == after:
            os._exit(9)
        made.append(create(*args, **kwargs))
        return made[-1]

    Project.create = counted  # type: ignore[method-assign]
    create_batch(TOPICS)


def test_what_a_killed_creator_left_is_swept_by_the_next(data_dir: Path) -> None:
    create_batch(["Kept"])
    child = multiprocessing.get_context("fork").Process(
        target=_create_and_die, args=(str(data_dir), 2)
    )
    child.start()
    child.join(30)
    assert child.exitcode == 9
    assert projects() == ["1", "2", "3"]
    assert batch.numbers() == [1]
    made = create_batch(["Next"])
    assert projects() == ["1", "4"]
    assert (made.batch_id, batches()) == (3, ["1", "3"])


def test_a_removed_batchs_number_is_not_given_again() -> None:
    first = create_batch(["One"])
    disk.remove(first.folder)
    assert create_batch(["Two"]).batch_id == 2


def test_a_folder_whose_file_somebody_removed_is_left_alone() -> None:
    first = create_batch(["One"])
    (first.folder / batch.FILE).unlink()
    (first.folder / "note.txt").write_text("mine")
    create_batch(["Two"])
    assert (first.folder / "note.txt").exists()
    assert projects() == ["1", "2"]


def test_a_broken_entry_makes_nothing_and_is_named() -> None:
    with pytest.raises(InputError, match="Entry 2 of the playlist"):
        create_batch(["One", {"topic": "x", "style": "NO SUCH"}])
    assert (projects(), batches()) == ([], [])


# -- the playlist ----------------------------------------------------------------------------


def test_a_playlist_of_every_kind_of_entry(tmp_path: Path) -> None:
    (tmp_path / "tea.md").write_text("# Tea\n\nBoil water. Wait.\n")
    path = tmp_path / "playlist.yaml"
    path.write_text(
        "title: Kitchen\n"
        "on_failure: stop\npriority: low\nwindow: 2\n"
        "defaults: {style: night, language: en}\n"
        "projects:\n"
        "  - story: tea.md\n    title: Tea in two steps\n"
        "  - text: |\n      # Toast\n\n      Bread and heat.\n"
        "  - topic: Why toast falls\n    style: paper\n"
        "  - scenes: [{heading: A, narration: Hello there.}]\n"
    )
    made = create_batch(path)
    assert (made.title, made.on_failure, made.priority, made.window) == ("Kitchen", "stop", 1, 2)
    specs = [project(n).state().spec for n in made.projects]
    assert [spec.style for spec in specs] == ["night", "night", "paper", "night"]
    assert specs[0].title == "Tea in two steps"
    assert [spec.source for spec in specs] == ["story.md", "story.md", None, "project.yaml"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({}, "playlist_invalid"),
        ({"projects": []}, "playlist_invalid"),
        ({"projects": ["x"], "on_failure": "explode"}, "playlist_invalid"),
        ({"projects": ["x"], "priority": "urgent"}, "priority_invalid"),
        ({"projects": ["x"], "priority": 10}, "priority_invalid"),
        ({"projects": ["x"], "window": 0}, "playlist_invalid"),
        ({"projects": ["x"], "window": "many"}, "playlist_invalid"),
        ({"projects": ["x"], "window": True}, "playlist_invalid"),
        ({"projects": ["x"], "onfailure": "stop"}, "playlist_invalid"),
        ({"projects": {"a": 1}}, "playlist_invalid"),
        (b"bytes", "playlist_invalid"),
        (7, "playlist_invalid"),
    ],
)
def test_a_wrong_playlist_is_refused_by_name(wrong: Any, code: str) -> None:
    with pytest.raises(InputError) as caught:
        create_batch(wrong)
    assert caught.value.code == code
    assert batches() == []


def test_a_preview_makes_nothing_and_estimates(tmp_path: Path) -> None:
    (tmp_path / "tea.md").write_text("# Tea\n\n" + "Boil the water and wait a while. " * 20)
    told = playlist.preview(
        [str(tmp_path / "tea.md"), {"topic": "x", "length": 60}, {"text": "# T\n\nHello there."}],
        window=1,
    )
    assert (projects(), batches()) == ([], [])
    lengths = [job["video_seconds"] for job in told["projects"]]
    assert lengths[1] == 60
    assert 20 < lengths[0] < 90
    assert 0 < lengths[2] < 5
    estimate = told["estimate"]
    assert estimate["at_once"] == 1
    assert estimate["seconds"] == pytest.approx(estimate["work_seconds"])
    assert (estimate["paid_calls"], estimate["quota_units"]) == (0, 0)


def test_the_estimate_learns_from_what_was_made_and_leaves_out_what_is_complete() -> None:
    made = create_batch([{"topic": "a", "length": 100}, {"topic": "b", "length": 100}])
    with project(1).transaction() as state:
        state.status = "completed"
        part = state.stage("video_rendering")
        part.seconds, part.facts = 300.0, {"seconds": 100.0}
    told = playlist.estimate(made.batch_id)
    assert (told["projects"], told["to_make"]) == (2, 1)
    assert told["work_seconds"] == pytest.approx(300)
    assert told["basis"] == "the last 1 videos made here"


# -- the command line ------------------------------------------------------------------------


def run_cli(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli_app, ["batch", *arguments], input=typed)


def test_the_command_line_creates_lists_and_shows(tmp_path: Path) -> None:
    path = tmp_path / "playlist.yaml"
    path.write_text("title: Kitchen\nprojects:\n  - topic: Tea\n  - topic: Toast\n")
    planned = run_cli("new", str(path), "--dry-run", "--on-failure", "stop")
    assert planned.exit_code == 0, planned.output
    assert "2 of 2 projects to make" in planned.stdout
    assert "no cost, no quota" in planned.stdout
    assert batches() == []
    assert run_cli("new", str(path), "--priority", "low", "--window", "2").stdout == "1\n"
    assert (batch.load(1).priority, batch.load(1).window) == (1, 2)
    assert json.loads(run_cli("ls", "--json").stdout)[0]["counts"] == {"pending": 2}
    assert "Kitchen" in run_cli("ls").stdout
    shown = json.loads(run_cli("show", "1", "--json").stdout)
    assert (shown["status"], shown["counts"]) == ("pending", {"pending": 2})
    assert json.loads(run_cli("run", "1", "--dry-run", "--json").stdout)["to_make"] == 2
    assert json.loads(run_cli("retry-failed", "1", "--dry-run", "--json").stdout)["to_make"] == 0


def test_cancel_asks_first_and_leaves_a_batch_alone_that_is_not_run() -> None:
    create_batch(TOPICS)
    idle_one = run_cli("cancel", "1")
    assert idle_one.exit_code == 0
    assert "nothing to cancel" in idle_one.stderr
    batch.begin(1, "t")
    assert "4 projects not ended" in run_cli("cancel", "1", "--dry-run").stderr
    refused = run_cli("cancel", "1", typed="n\n")
    assert refused.exit_code != 0
    assert batch.load(1).run.stopped == ""


# -- a run, step by step -------------------------------------------------------------------------


def test_a_window_moves_in_the_playlists_order() -> None:
    made = create_batch(TOPICS, window=2)
    batch.begin(1, "t")
    assert batch.step(1).begun == (1, 2)
    assert batch.step(1).begun == ()
    now = batch.step(1, End(2, "failed"))
    assert now.begun == (3,)
    assert batch.tally(now.batch, now.work) == {"failed": 1, "running": 2, "pending": 1}
    assert batch.step(1, End(2, "failed")).begun == (), "the same end twice changes nothing"
    assert batch.step(1, End(99, "failed")).begun == (), "nor does one that is not in flight"
    assert batch.step(1, End(1, "completed")).begun == (4,)
    assert not batch.step(1, End(3, "completed")).over
    assert batch.step(1, End(4, "completed")).over
    assert made.projects == (1, 2, 3, 4)


def test_stop_on_failure_begins_no_more() -> None:
    create_batch(TOPICS, window=2, on_failure="stop")
    batch.begin(1, "t")
    batch.step(1)
    now = batch.step(1, End(1, "failed"))
    assert (now.batch.run.stopped, now.begun) == ("failed", (3,)), "to be given up"
    assert batch.tally(now.batch, now.work) == {"failed": 1, "running": 2, "cancelled": 1}
    now = batch.step(1, End(3, "cancelled"))
    assert (now.begun, now.over) == ((4,), False)
    assert not batch.step(1, End(4, "cancelled")).over
    now = batch.step(1, End(2, "completed"))
    assert (now.begun, now.over) == ((), True)
    assert batch.tally(now.batch, now.work) == {"failed": 1, "completed": 1, "cancelled": 2}


def test_a_second_caller_joins_and_a_late_duplicate_begins_nothing() -> None:
    create_batch(["One"])
    assert batch.begin(1, "a").run.number == 1
    joined = batch.begin(1, "b").run
    assert (joined.number, joined.callers) == (1, ("a", "b"))
    assert batch.begin(1, "a").run == joined
    facts = {"counts": {"completed": 1}, "status": "completed"}
    assert batch.rest(1, 1, ("a",), facts) == ("b",), "who joined meanwhile is not forgotten"
    assert batch.load(1).run.running
    assert batch.rest(1, 1, ("a", "b"), facts) == ()
    assert batch.running() == []
    assert batch.begin(1, "a").run.running is False
    assert batch.begin(1, "c").run.number == 2


def test_where_a_run_stands_is_rebuilt_wherever_it_was_lost() -> None:
    """Random ends, a lost or torn work file before any of them: each project has one end."""
    dice = random.Random(5)  # noqa: S311 - a fixed seed, for a test
    for _ in range(10):
        made = create_batch([f"T{n}" for n in range(6)], window=2)
        number = made.batch_id
        batch.begin(number, "t")
        began: list[int] = []
        flying = list(batch.step(number).begun)
        while flying:
            began += flying
            if dice.random() < 0.4:
                (made.folder / "work.json").write_bytes(b'{"run": 1, "ne'[: dice.randrange(14)])
            ended = flying.pop(dice.randrange(len(flying)))
            lost = batch.step(number)
            # a rebuilt run sends again whom it knows nothing of: they are joined, not made twice
            flying = sorted({*flying, *lost.begun, ended})
            now = batch.step(number, End(ended, dice.choice(["completed", "failed"])))
            flying = [n for n in (*flying, *now.begun) if n in now.work.flying]
        assert set(began) == set(made.projects)
        assert set(batch.run.ends(batch.load(number))) == set(made.projects)
        assert batch.look(number).over


def _drive(number: int) -> None:
    """Bring a run to its end by the folder alone, as a line of workers would."""
    batch.begin(number, "t")
    with batch.sending(number):
        now = batch.step(number)
    while now.batch.run.running and not now.over:
        ended = min(now.work.flying)
        with batch.sending(number):
            now = batch.step(number, End(ended, "failed" if ended % 2 else "completed"))
    facts = batch.outcome(now.batch, closed=True)
    batch.rest(number, now.batch.run.number, now.batch.run.callers, facts)


@pytest.mark.parametrize("how", HOWS)
def test_a_run_goes_on_from_wherever_its_process_died(how: How) -> None:
    """A crash at each file operation of a run: the next process ends it, every project has one end."""
    with Machine().running() as whole:
        _drive(create_batch(["One", "Two", "Three"], window=2).batch_id)
    at = 0
    while True:
        made = create_batch(["One", "Two", "Three"], window=2)
        at += 1
        machine = Machine(at, how)
        with contextlib.suppress(Crash), machine.running():
            _drive(made.batch_id)
        if not machine.struck:
            break
        _drive(made.batch_id)
        after = batch.load(made.batch_id)
        assert after.run.number == 1, "the same caller's run, not another"
        assert not after.run.running
        assert after.run.answered == ("t",)
        assert set(batch.run.ends(after)) == set(made.projects), machine.trace[-1]
        odd = sum(number % 2 for number in made.projects)
        assert after.run.counts == {"failed": odd, "completed": 3 - odd}
    assert 20 < at < whole.count


def test_a_torn_line_of_an_end_is_left_out() -> None:
    made = create_batch(["One", "Two"])
    batch.begin(1, "t")
    batch.step(1)
    batch.step(1, End(1, "completed"))
    with (made.folder / "ended.jsonl").open("a") as lines:
        lines.write('{"run": 1, "project_id": 2, "sta')
    (made.folder / "work.json").unlink()
    now = batch.step(1)
    assert now.begun == (2,)
    assert batch.step(1, End(2, "completed")).over


def test_an_unreadable_batch_is_named_and_the_others_are_listed() -> None:
    create_batch(["One"])
    broken = create_batch(["Two"])
    (broken.folder / batch.FILE).write_text("{")
    assert [row["status"] for row in playlist.listing()] == ["pending", "unreadable"]
    with pytest.raises(ReelchainError) as caught:
        batch.load(2)
    assert caught.value.code == "batch_unreadable"
    with pytest.raises(NotFoundError):
        batch.load(9)
