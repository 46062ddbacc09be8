"""The launcher: sets up once, notices what changed, and gets out of the way.

It runs here on a project of two files and requirements of one tiny wheel each, offline.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).parents[1] / "reelchain"
SHELL = shutil.which("dash") or "/bin/sh"
MAIN = """
import json, os, sys
import part
tool = __import__("importlib.util").util.find_spec("tool")
facts = {"cwd": os.getcwd(), "given": sys.argv[1:], "part": part.VERSION, "tool": bool(tool)}
print(json.dumps(facts))
"""

pytestmark = pytest.mark.acceptance


def wheel(folder: Path, name: str, version: str) -> str:
    """Make a package and return the line that requires it."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return f"{name} @ {path.as_uri()}\n"


def project(root: Path) -> Path:
    """A project for the launcher; its folder has a space in its name."""
    (root / "backend" / "app").mkdir(parents=True)
    (root / "backend" / "app" / "__main__.py").write_text(MAIN)
    (root / "requirements.txt").write_text(wheel(root, "part", "1.0"))
    (root / "requirements-dev.txt").write_text(wheel(root, "tool", "1.0"))
    shutil.copy(LAUNCHER, root / "reelchain")
    return root


def launch(
    root: Path, *given: str, path: str | None = None, venv: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SHELL, str(root / "reelchain"), *given],
        capture_output=True,
        text=True,
        cwd=cwd or root,
        env=environment(path, venv),
        timeout=240,
        check=False,
    )


def environment(path: str | None = None, venv: str = "") -> dict[str, str]:
    kept = {"PATH": path or python_first(), "HOME": "/", "REELCHAIN_VENV": venv}
    return {**kept, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def python_first() -> str:
    return f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.defpath}"


def tools_only(folder: Path, **programs: str) -> str:
    """A PATH with the system's small tools and `programs`, but no Python."""
    folder.mkdir()
    for name in ("cksum", "cat", "ls", "mv", "rm", "mkdir", "grep", "tail", "sh"):
        (folder / name).symlink_to(str(shutil.which(name, path=os.defpath)))
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project set up by two launchers at once."""
    root = project(tmp_path_factory.mktemp("launcher") / "a project")
    command = [SHELL, str(root / "reelchain"), "first"]
    both = [
        subprocess.Popen(command, stdout=-1, stderr=-1, text=True, cwd=root, env=environment())
        for _ in range(2)
    ]
    told = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert all('"part": "1.0"' in out for out, _ in told)
    errors = sorted(err for _, err in told)
    assert errors[0].startswith("Setting up Reelchain in ")
    assert errors[1].startswith("Waiting for another set-up") or errors[1] == errors[0]
    assert "".join(errors).count("Setting up") == 1, "both have installed"
    return root


def test_a_second_start_runs_no_python_of_its_own_and_says_nothing(
    ready: Path, tmp_path: Path
) -> None:
    again = launch(ready, "--json", "two words", "", path=tools_only(tmp_path / "tools"))
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    assert '"given": ["--json", "two words", ""]' in again.stdout
    assert not (ready / ".venv.log").exists()


def test_it_works_through_links_in_the_users_folder_whatever_lies_there(
    ready: Path, tmp_path: Path
) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "absolute").symlink_to(ready / "reelchain")
    (tmp_path / "relative").symlink_to("links/absolute")
    for name in ("app.py", "part.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file')")
    for command in ([SHELL, str(tmp_path / "relative")], [SHELL, "relative"]):
        found = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
        )
        assert f'"cwd": "{tmp_path}"' in found.stdout
        assert not found.stderr


def test_test_and_bench_get_the_tools_and_others_do_not(ready: Path) -> None:
    assert '"tool": false' in launch(ready, "ls").stdout
    first = launch(ready, "test")
    assert '"tool": true' in first.stdout, first.stderr
    assert "Setting up" in first.stderr
    assert launch(ready, "test").stderr == ""


def test_changed_requirements_are_installed_and_a_failure_is_repeated(ready: Path) -> None:
    requirements = ready / "requirements.txt"
    before = requirements.read_text()
    try:
        requirements.write_text("nothing @ file:///no/such/nothing-1.0-py3-none-any.whl\n")
        for _ in range(2):
            failed = launch(ready, "ls")
            assert failed.returncode == 9
            assert "The packages in requirements.txt could not be installed." in failed.stderr
            assert str(ready / ".venv.log") in failed.stderr
            assert "Traceback" not in failed.stderr
            assert "no/such" in (ready / ".venv.log").read_text()
        requirements.write_text(wheel(ready, "part", "1.1"))
        assert '"part": "1.1"' in launch(ready, "ls").stdout
        (ready / "constraints.txt").write_text("part==1.1\n")
        assert "Setting up" in launch(ready, "ls").stderr
        assert launch(ready, "ls").stderr == ""
    finally:
        (ready / "constraints.txt").unlink(missing_ok=True)
        requirements.write_text(before)
        assert launch(ready, "ls").returncode == 0


@contextlib.contextmanager
def interrupted(root: Path, venv: str) -> Iterator[None]:
    """Start a set-up and kill it, and all it started, in the middle."""
    with subprocess.Popen(
        [SHELL, str(root / "reelchain")],
        cwd=root,
        env=environment(venv=venv),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not (root / venv / "bin" / "python").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
    yield


@pytest.mark.slow
def test_a_killed_set_up_is_done_again_and_a_relative_folder_is_the_users(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    with interrupted(root, "mine"):
        assert not list((root / "mine").glob(".done-*"))
        again = launch(root, venv="mine")
        assert again.returncode == 0, again.stderr
        assert "Setting up" in again.stderr
        assert not (root / ".venv").exists()


@pytest.mark.slow
def test_an_environment_without_pip_or_of_another_interpreter_is_mended(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    python = str(Path(sys.base_prefix) / "bin" / "python3")
    subprocess.run([python, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    (root / ".venv" / "kept").touch()
    first = launch(root)
    assert first.returncode == 0, first.stderr
    assert (root / ".venv" / "kept").exists()
    (root / ".venv" / "bin" / "python").unlink()
    (root / ".venv" / "bin" / "python").symlink_to(tmp_path / "removed")
    mended = launch(root)
    assert mended.returncode == 0, mended.stderr


def test_a_folder_that_is_no_environment_is_never_cleared(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    refused = launch(root, venv=str(tmp_path / "precious"))
    assert refused.returncode == 9
    assert "is no Python environment" in refused.stderr
    assert (tmp_path / "precious" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("python", "told"),
    [
        ("exit 1", "Python 3.11 or newer is needed"),
        ('case "$2" in *ensurepip*) exit 1 ;; esac', "has no venv module"),
        ('case "$2" in venv) echo broken; exit 1 ;; esac', "could not be made"),
    ],
)
def test_what_python_lacks_is_one_sentence(tmp_path: Path, python: str, told: str) -> None:
    root = project(tmp_path / "project")
    failed = launch(root, path=tools_only(tmp_path / "tools", python3=python))
    assert failed.returncode == 9
    assert told in failed.stderr
    assert failed.stderr.count("reelchain: ") == 1
    assert failed.stdout == ""


def test_an_older_python_is_passed_over_for_a_newer_one(tmp_path: Path) -> None:
    root = project(tmp_path / "project")
    path = tools_only(
        tmp_path / "tools", python3="exit 1", **{"python3.12": 'echo "$2" >>used; exit 1'}
    )
    (tmp_path / "tools" / "python3.12").write_text(
        '#!/bin/sh\ncase "$2" in *ensurepip*) echo chosen >&2; exit 1 ;; esac\n'
    )
    assert "tools/python3.12 has no venv module" in launch(root, path=path).stderr


def test_it_is_plain_posix_shell() -> None:
    subprocess.run([SHELL, "-n", LAUNCHER], check=True)
    assert LAUNCHER.stat().st_mode & 0o111
    assert LAUNCHER.read_text().startswith("#!/bin/sh\n")
