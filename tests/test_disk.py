"""Durable files: whole or not at all, forced to the disk in the right order, locked."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _crash import HOWS, Crash, How, Machine, unfinished
from _processes import in_processes, killed
from _redis import until
from app import disk

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("dies", [True, False])
def test_a_replaced_file_is_the_old_or_the_new_one_whatever_happens(
    tmp_path: Path, how: How, dies: bool
) -> None:
    target = tmp_path / "file.json"
    number = 0
    while True:
        number += 1
        target.write_bytes(b"old content")
        machine = Machine(number, how, dies=dies)
        try:
            with machine.running():
                disk.write_atomic(target, b"the new content")
        except Crash:
            assert target.read_bytes() in (b"old content", b"the new content")
            if not dies and machine.trace[-1] != "unlink":
                assert not unfinished(tmp_path)
            disk.sweep(tmp_path, leave=tmp_path / "source")
            assert not unfinished(tmp_path)
        else:
            break
    assert target.read_bytes() == b"the new content"
    assert number > 4


def test_a_file_is_forced_to_the_disk_before_its_name_and_the_folder_after(tmp_path: Path) -> None:
    target = tmp_path / "file.json"
    machine = Machine()
    with machine.running():
        disk.write_atomic(target, b"content")
    steps = list(zip(machine.trace, machine.paths, strict=True))
    aside = steps[0][1][0]
    assert steps == [
        ("write file", (aside,)),
        ("fsync", (aside,)),
        ("replace", (aside, str(target))),
        ("fsync", (str(tmp_path),)),
    ]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.mkdir()
    (target / "inside").touch()
    with pytest.raises(OSError, match="directory"):
        disk.write_atomic(target, b"a file can't take a folder's place")
    assert [p.name for p in tmp_path.iterdir()] == ["there"]


def test_a_temporary_name_keeps_the_suffix_and_fits_into_a_folder(tmp_path: Path) -> None:
    name = "很" * 80 + ".wav"
    aside = disk.temporary(tmp_path / name[-84:])
    assert aside.parent == tmp_path
    assert aside.suffix == ".wav"
    assert aside.name.startswith(disk.TEMPORARY)
    assert disk.temporary(tmp_path / "a") != disk.temporary(tmp_path / "a")


def test_json_is_written_readable(tmp_path: Path) -> None:
    disk.write_json(tmp_path / "x.json", {"title": "藍色的門", "n": [1, 2]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "藍色的門" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"title": "藍色的門", "n": [1, 2]}


@settings(max_examples=30, deadline=None)
@given(JSON)
def test_a_digest_survives_the_way_through_a_file(value: object) -> None:
    assert disk.digest(json.loads(json.dumps(value))) == disk.digest(value)


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_a_digest_does_not_depend_on_order(value: dict[str, int]) -> None:
    assert disk.digest(dict(reversed(value.items()))) == disk.digest(value)


@settings(max_examples=30, deadline=None)
@given(st.lists(JSON, min_size=2, max_size=2))
def test_different_values_have_different_digests(pair: list[object]) -> None:
    one, other = pair
    assert (disk.digest(one) == disk.digest(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


def test_two_folders_change_places_at_once(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    assert disk.exchange(one, other)
    assert (one / "name").read_text() == "other"
    assert (other / "name").read_text() == "one"
    assert not disk.exchange(one, tmp_path / "nobody")
    assert (one / "name").read_text() == "other"


def test_a_sweep_takes_unfinished_files_and_folders_and_leaves_the_source(tmp_path: Path) -> None:
    for name in (".tmp-a-x.png", "deep/.tmp-b-y.wav", "source/.tmp-c-mine", ".tmp-d-source/f", "f"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert disk.sweep(tmp_path, leave=tmp_path / "source") == 3
    left = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["f", "source/.tmp-c-mine"]


def test_removing_a_link_leaves_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    disk.remove(tmp_path / "link")
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]
    assert (tmp_path / "precious" / "file").exists()


# -- locks ---------------------------------------------------------------------------------


def test_a_lock_keeps_everybody_else_out(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def count(_number: int) -> None:
        for _ in range(25):
            with disk.lock(path):
                total = int((tmp_path / "total").read_text() or 0)
                (tmp_path / "total").write_text(str(total + 1))

    (tmp_path / "total").write_text("0")
    in_processes(4, count)
    assert (tmp_path / "total").read_text() == "100"


def test_a_lock_that_is_held_can_be_waited_for_or_not(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with disk.lock(path):
        with pytest.raises(disk.Locked), disk.lock(path, wait=0):
            pass
        with pytest.raises(disk.Locked), disk.lock(path, wait=0.05, shared=True):
            pass
    with (
        disk.lock(path, shared=True),
        disk.lock(path, wait=0, shared=True),
        pytest.raises(disk.Locked),
        disk.lock(path, wait=0),
    ):
        pass
    with disk.lock(path, wait=0):
        pass


def test_a_waiter_gets_the_lock_when_it_comes_free(tmp_path: Path) -> None:
    path, got = tmp_path / "lock", threading.Event()

    def waiter() -> None:
        with disk.lock(path, wait=10):
            got.set()

    with disk.lock(path):
        thread = threading.Thread(target=waiter)
        thread.start()
        assert not got.wait(0.05)
    thread.join(10)
    assert got.is_set()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    machine = Machine(1, kill=True)

    def work() -> None:
        with disk.lock(path), machine.running():
            disk.unlink(path)

    assert killed(work)
    with disk.lock(path, wait=0):
        pass


def test_a_child_program_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with disk.lock(tmp_path / "lock") as handle:
        assert not os.get_inheritable(handle)


# -- logs ----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    torn=st.binary(max_size=30),
    line=st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])),
)
def test_a_line_is_whole_whatever_stands_before(torn: bytes, line: str) -> None:
    path = Path(os.environ["DATA_DIR"]).parent / "log"
    path.write_bytes(torn)
    disk.append_line(path, line)
    content = path.read_bytes()
    assert content.startswith(torn)
    assert content.split(b"\n")[-2:] == [line.encode(), b""]


def test_lines_of_many_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "log"

    def write(number: int) -> None:
        for n in range(50):
            disk.append_line(path, json.dumps({"who": number, "n": n, "fill": "x" * 200}))

    in_processes(4, write)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for who in range(4):
        assert [line["n"] for line in lines if line["who"] == who] == list(range(50))


def test_the_helpers_of_these_tests_wait_for_a_condition_only() -> None:
    with pytest.raises(AssertionError, match="the moon"):
        until(lambda: False, 0.01, "the moon")


def test_a_forked_child_does_not_keep_its_parents_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with disk.lock(path):
        child = os.fork()
        if not child:
            signal.pause()
    try:
        with disk.lock(path, wait=5):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
