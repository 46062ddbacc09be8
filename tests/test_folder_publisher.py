"""The folder publisher: once, resumably, and never half visible."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

from _crash import HOWS, Crash, Machine, unfinished
from _desk import MemoryDesk
from _processes import in_processes, killed
from app import disk, providers
from app.errors import DiskError, MediaError, describe
from app.providers import Published, PublishRequest, folder
from app.providers.folder import NAMES, RECORD, FolderPublisher


class Desk(MemoryDesk):
    """A desk whose reports go to somebody; the folder publisher keeps nothing at it."""

    def __init__(self, told: Callable[[float], None]) -> None:
        super().__init__()
        self._told = told

    def save(self, facts: Mapping[str, Any]) -> None:
        raise AssertionError("not used")

    def report(self, done: float, what: str = "start", **facts: object) -> None:
        self._told(done)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy in pieces of 100 bytes, so that small files have a middle."""
    monkeypatch.setattr(folder, "CHUNK", 100)


@pytest.fixture
def shelf(data_dir: Path) -> Path:
    return data_dir / "published"


def request_of(
    where: Path, version: str = "one", roles: tuple[str, ...] = tuple(NAMES)
) -> PublishRequest:
    """Make the files of a finished project and the request to publish them."""
    where.mkdir(parents=True, exist_ok=True)
    files = {role: where / f"{version}-{NAMES[role]}" for role in roles}
    for role, path in files.items():
        path.write_bytes(f"{role} {version} ".encode() * 20)
    return PublishRequest(
        project_id=1,
        marker="rc-1-0123456789ab",
        title=f"The blue door, {version}",
        description="",
        tags=("door",),
        language="en",
        files={role: str(path) for role, path in files.items()},
        sha256={role: disk.sha256(path) for role, path in files.items()},
    )


def publish(
    request: PublishRequest, report: Callable[[float], None] = lambda _done: None
) -> Published:
    return FolderPublisher().publish(request, Desk(report))


def shown(shelf: Path) -> dict[str, bytes]:
    """Return what the public sees."""
    target = shelf / "1"
    return {p.name: p.read_bytes() for p in target.iterdir()} if target.exists() else {}


def expected(request: PublishRequest) -> dict[str, bytes]:
    return {NAMES[role]: Path(path).read_bytes() for role, path in request.files.items()}


def is_whole(shelf: Path, request: PublishRequest) -> bool:
    found = shown(shelf)
    record = found.pop(RECORD, b"{}")
    return found == expected(request) and json.loads(record).get("title") == request.title


def test_a_video_is_published_with_all_that_belongs_to_it(tmp_path: Path, shelf: Path) -> None:
    request = request_of(tmp_path)
    reports: list[float] = []
    published = publish(request, reports.append)
    assert is_whole(shelf, request)
    assert published.video_id == request.marker
    assert Path(unquote(urlparse(published.url).path)) == shelf / "1" / "video.mp4"
    assert reports == sorted(reports)
    assert reports[-1] == 1.0
    assert len(reports) > 10
    assert not unfinished(shelf)
    facts = json.loads((shelf / "1" / RECORD).read_text())
    assert facts["sha256"] == request.sha256
    assert "files" not in facts  # paths of this machine are nobody's business


def test_it_is_what_the_table_names() -> None:
    assert isinstance(providers.publisher("folder"), FolderPublisher)


def test_a_second_time_nothing_is_copied(tmp_path: Path, shelf: Path) -> None:
    request = request_of(tmp_path)
    first = publish(request)
    before = {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in (shelf / "1").iterdir()}
    assert publish(request) == first
    assert {
        p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in (shelf / "1").iterdir()
    } == before


@pytest.mark.parametrize("role", NAMES)
def test_a_published_file_that_was_harmed_is_put_right(
    tmp_path: Path, shelf: Path, role: str
) -> None:
    request = request_of(tmp_path)
    publish(request)
    path = shelf / "1" / NAMES[role]
    path.write_bytes(b"x" * path.stat().st_size)
    publish(request)
    assert is_whole(shelf, request)
    path.unlink()
    publish(request)
    assert is_whole(shelf, request)


def test_an_edited_video_takes_the_earlier_one_s_place(tmp_path: Path, shelf: Path) -> None:
    publish(request_of(tmp_path, "one"))
    second = request_of(tmp_path, "two", ("video", "thumbnail"))
    publish(second)
    assert is_whole(shelf, second)
    assert not unfinished(shelf)


def test_without_a_swap_of_folders_it_works_as_well(
    tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "exchange", lambda _one, _other: False)
    publish(request_of(tmp_path, "one"))
    second = request_of(tmp_path, "two")
    publish(second)
    assert is_whole(shelf, second)
    assert not unfinished(shelf)


# -- interrupted ----------------------------------------------------------------------------------


def _watched(request: PublishRequest, machine: Machine) -> None:
    """Publish, with every file operation and every piece copied a possible end."""
    with machine.running():
        publish(request, lambda _done: machine.operation("piece", lambda: None))


@pytest.mark.parametrize("earlier", [False, True], ids=["new", "in an earlier one's place"])
@pytest.mark.parametrize("swap", [True, False], ids=["swap", "no swap"])
def test_it_may_end_at_any_operation(
    tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool, swap: bool
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    if not swap:
        monkeypatch.setattr(disk, "exchange", lambda _one, _other: False)
    old, new = request_of(tmp_path, "one"), request_of(tmp_path, "two", ("video", "thumbnail"))

    def begin() -> None:
        shutil.rmtree(shelf, ignore_errors=True)
        shelf.parent.mkdir(exist_ok=True)
        if earlier:
            publish(old)

    begin()
    machine = Machine()
    _watched(new, machine)
    assert machine.count > 15
    for at, name in enumerate(machine.trace, 1):
        for how in HOWS if "write" in name else HOWS[:2]:
            for dies in (True, False):
                begin()
                where = f"{how} operation {at} of {machine.trace}"
                with pytest.raises(Crash):
                    _watched(new, Machine(at, how, dies=dies))
                hidden = not shown(shelf) and (not earlier or not swap)
                assert hidden or is_whole(shelf, new) or is_whole(shelf, old), where
                publish(new)
                assert is_whole(shelf, new), where
                assert not unfinished(shelf), where


def test_a_killed_publisher_is_followed_by_one_that_ends_right(tmp_path: Path, shelf: Path) -> None:
    old, new = request_of(tmp_path, "one"), request_of(tmp_path, "two")
    at = 1
    while True:
        shutil.rmtree(shelf, ignore_errors=True)
        publish(old)
        if not killed(lambda at=at: _watched(new, Machine(at, "torn", kill=True))):
            break
        assert is_whole(shelf, old) or is_whole(shelf, new), at
        publish(new)
        assert is_whole(shelf, new), at
        assert not unfinished(shelf), at
        at += 6
    assert at > 20


def test_what_was_copied_whole_is_not_copied_again(tmp_path: Path, shelf: Path) -> None:
    request = request_of(tmp_path)

    def stop_in_the_second_file(done: float) -> None:
        if done > 0.5:
            raise Crash

    with pytest.raises(Crash):
        publish(request, stop_in_the_second_file)
    [aside] = unfinished(shelf)
    done = [path for path in aside.iterdir() if disk.sha256(path) in request.sha256.values()]
    assert done
    before = {path.name: path.stat().st_ino for path in done}
    times = {path.name: path.stat().st_mtime_ns for path in done}
    publish(request)
    assert {name: (shelf / "1" / name).stat().st_ino for name in before} == before
    assert {name: (shelf / "1" / name).stat().st_mtime_ns for name in times} == times


def test_a_reader_sees_the_old_or_the_new_one_whole(
    tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    versions = [request_of(tmp_path, version) for version in ("one", "two")]
    allowed = {name: {expected(v)[name] for v in versions} for name in NAMES.values()}
    publish(versions[0])
    stop, wrong, looks = threading.Event(), [], [0]

    def read() -> None:
        while not stop.is_set():
            for name, contents in allowed.items():
                looks[0] += 1
                if _seen(shelf / "1" / name) not in contents:
                    wrong.append(name)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for turn in range(1, 41):
            publish(versions[turn % 2])
    finally:
        stop.set()
        thread.join()
    assert wrong == []
    assert looks[0] > 100


def _seen(path: Path) -> bytes | None:
    # a path is looked up name by name: the folder found first may be gone before the file is
    for _ in range(3):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            continue
    return None


def test_two_projects_are_published_at_once(tmp_path: Path, shelf: Path) -> None:
    base = request_of(tmp_path)

    def work(number: int) -> str:
        mine = base.model_copy(update={"project_id": number + 1, "marker": f"rc-{number + 1}-x"})
        return publish(mine).url

    assert len(set(in_processes(4, work))) == 4
    assert sorted(p.name for p in shelf.iterdir()) == ["1", "2", "3", "4"]


# -- what can go wrong ------------------------------------------------------------------------------


def test_a_disk_without_room_is_said_before_anything_is_copied(
    tmp_path: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = request_of(tmp_path, "one"), request_of(tmp_path, "two")
    publish(old)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=500))
    with pytest.raises(DiskError) as caught:
        publish(new)
    assert caught.value.code == "disk_full"
    assert is_whole(shelf, old)
    monkeypatch.undo()
    publish(new)


def test_a_disk_that_gets_full_on_the_way_loses_nothing(tmp_path: Path, shelf: Path) -> None:
    old, new = request_of(tmp_path, "one"), request_of(tmp_path, "two")
    Path(new.files["video"]).write_bytes(b"v" * 50_000)
    digest = hashlib.sha256(b"v" * 50_000).hexdigest()
    new = new.model_copy(update={"sha256": new.sha256 | {"video": digest}})
    publish(old)

    def with_little_room(_number: int) -> str:
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        )
        try:
            publish(new)
        except OSError as error:
            return type(describe(error)).__name__
        return "published"

    assert in_processes(1, with_little_room) == ["DiskError"]
    assert is_whole(shelf, old)
    publish(new)
    assert is_whole(shelf, new)
    assert not unfinished(shelf)


def test_a_file_that_changes_meanwhile_is_not_published(tmp_path: Path, shelf: Path) -> None:
    old, new = request_of(tmp_path, "one"), request_of(tmp_path, "two")
    publish(old)
    Path(new.files["thumbnail"]).write_bytes(b"something else")
    with pytest.raises(MediaError) as caught:
        publish(new)
    assert caught.value.code == "artifact_changed"
    assert is_whole(shelf, old)


def test_a_missing_file_is_not_published(tmp_path: Path, shelf: Path) -> None:
    old, new = request_of(tmp_path, "one"), request_of(tmp_path, "two")
    publish(old)
    Path(new.files["captions_srt"]).unlink()
    with pytest.raises(FileNotFoundError):
        publish(new)
    assert is_whole(shelf, old)


def test_a_report_that_stops_the_work_leaves_the_earlier_video(tmp_path: Path, shelf: Path) -> None:
    old, new = request_of(tmp_path, "one"), request_of(tmp_path, "two")
    publish(old)

    def stop(_done: float) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        publish(new, stop)
    assert is_whole(shelf, old)
    publish(new)
    assert is_whole(shelf, new)
