"""The command line as a user meets it: documents, exit codes, clear errors, nothing lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from _workers import ROOT
from app import cli, settings

NO_REDIS = "redis://127.0.0.1:1/0"


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run commands in this process: a start of Python for each has its price."""
    monkeypatch.setenv("CELERY_BROKER_URL", NO_REDIS)
    monkeypatch.chdir(tmp_path)
    settings.get.cache_clear()

    def call(*arguments: str) -> Ran:
        out, err, code = io.StringIO(), io.StringIO(), 0
        monkeypatch.setattr(sys, "argv", ["reelchain", *arguments])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                cli.main()
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Ran(code, out.getvalue(), err.getvalue())

    return call


def started(folder: Path, *arguments: str, **extra: str) -> Ran:
    """Run a command as a process of its own, as the launcher does."""
    foreign = ("CELERY_", "REDIS_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
        "CELERY_BROKER_URL": NO_REDIS,
        "PYTHONPATH": str(ROOT / "backend"),
        **extra,
    }
    done = subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def document(ran: Ran) -> Any:
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_help_names_every_command(tmp_path: Path) -> None:
    shown = started(tmp_path, "--help").stdout
    for command in [
        "demo",
        "make",
        "new",
        "run",
        "watch",
        "show",
        "ls",
        "up",
        "worker",
        "beat",
        "auth",
        "quota",
        "flower",
        "doctor",
        "bench",
        "test",
        "batch",
    ]:
        assert f" {command} " in shown, command


def test_new_show_ls_tell_facts_as_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "story.md").write_text("# Ants\n\nAnts are strong. They carry leaves.\n")
    made = document(run("new", "story.md", "--shape", "9:16", "--json"))
    shown = document(run("show", str(made["project_id"]), "--json"))
    assert shown["spec"]["shape"] == "9:16"
    assert shown["status"] == "pending"
    assert set(shown["stages"]) == {
        "script_generation", "asset_generation", "video_rendering", "thumbnail_generation", "youtube_upload",
    }  # fmt: skip
    rows = document(run("ls", "--json"))
    assert [(row["project_id"], row["status"]) for row in rows] == [(made["project_id"], "pending")]


def test_ids_count_from_one(run: Run) -> None:
    made = [document(run("new", f"topic {n}", "--json"))["project_id"] for n in range(3)]
    assert made == [1, 2, 3]


@pytest.mark.parametrize("command", ["show", "run", "watch"])
@pytest.mark.parametrize(
    ("project_id", "code", "exit_code"),
    [
        ("7", "project_not_found", 3),
        ("0", "project_id_invalid", 2),
        ("../x", "project_id_invalid", 2),
    ],
)
def test_a_wrong_id(run: Run, command: str, project_id: str, code: str, exit_code: int) -> None:
    ran = run(command, project_id)
    assert ran.returncode == exit_code
    assert f"[{code}]" in ran.stderr
    assert "Traceback" not in ran.stderr


STORIES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("s.md", b"", "story_empty"),
    "only white space": ("s.txt", b" \n\n\t\n", "story_empty"),
    "not text": ("s.md", b"\x89PNG\r\n\x1a\n\x00\x00", "not_text"),
    "too large": ("s.md", b"word " * 500_000, "story_too_large"),
    "right to left": ("s.md", "# שלום\n\nשלום עולם.\n".encode(), "script_unsupported"),
    "a glyph no font has": ("s.md", "# T \U000323af\n\nHello.\n".encode(), "script_undrawable"),
    "unknown card": ("s.yaml", b"scenes:\n- narration: Hi.\n  card: big\n", "card_unknown"),
    "unknown language": ("s.md", b"---\nlanguage: tlh\n---\n# T\n\nHello.\n", "language_unknown"),
    "wrong shape": ("s.yaml", b"- a\n- b\n", "yaml_shape"),
    "broken YAML": ("s.yaml", b"title: [a\n", "yaml_invalid"),
    "unknown setting": ("s.md", b"---\nvoise: x\n---\n# T\n\nHello.\n", "story_setting_unknown"),
    "missing picture": ("s.md", b"# T\n\n![x](nowhere.png)\n\nHello.\n", "picture_missing"),
    "picture outside": ("s.md", b"# T\n\n![x](../../etc/passwd)\n\nHello.\n", "picture_outside"),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_that_cannot_be_used(run: Run, tmp_path: Path, name: str) -> None:
    file, content, code = STORIES[name]
    (tmp_path / file).write_bytes(content)
    ran = run("new", file, "--json")
    assert ran.returncode == 2, ran.stderr
    assert json.loads(ran.stdout)["error"]["code"] == code
    assert "Traceback" not in ran.stderr
    assert not list((tmp_path / "data").glob("projects/*")), "a project was left behind"


def test_words_are_said_as_the_options_and_the_file_have_it(run: Run, tmp_path: Path) -> None:
    text = "---\npronunciations: {FFmpeg: eff eff em peg, GIF: jiff}\n---\nFFmpeg makes a GIF.\n"
    (tmp_path / "s.md").write_text(text)
    ran = run("new", "s.md", "--say", "GIF=ghif", "--say", "k = v", "--framing", "blur", "--json")
    assert ran.returncode == 0, ran.stderr
    assert "faster than one reads" not in ran.stderr
    assert "at most 1.35" in run("new", "s.md", "--speed", "1.6").stderr
    state = json.loads((tmp_path / "data/projects/1/project_state.json").read_text())
    assert state["spec"]["pronunciations"] == {"FFmpeg": "eff eff em peg", "GIF": "ghif", "k": "v"}
    assert state["spec"]["framing"] == "blur"
    assert "[pronunciation_invalid]" in run("new", "s.md", "--say", "GIF").stderr
    wrong = run("new", "s.md", "--caption-style", "huge").stderr
    assert "'karaoke', 'phrase', 'boxed' or 'clean'" in wrong
    assert "[script_unsupported]" in run("new", "s.md", "--title", "Привет").stderr


def test_a_missing_story(run: Run) -> None:
    ran = run("new", "nowhere.md")
    assert ran.returncode == 3
    assert "story_not_found" in ran.stderr


def test_a_picture_that_is_text(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("I am not a picture")
    (tmp_path / "s.md").write_text("# T\n\n![x](x.png)\n\nHello.\n")
    ran = run("new", "s.md", "--json")
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["error"]["code"].startswith("picture_")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["new", "x", "--shape", "4:3"], "spec_invalid"),
        (["new", "x", "--language", "klingon"], "language_unknown"),
        (["new", "x", "--length", "1"], "spec_invalid"),
        (["bench", "nonsense"], "bench_unknown"),
    ],
)
def test_a_wrong_option(run: Run, arguments: list[str], code: str) -> None:
    ran = run(*arguments)
    assert ran.returncode == 2
    assert code in ran.stderr


def test_a_wrong_setting_stops_the_start_with_the_allowed_values(tmp_path: Path) -> None:
    ran = started(tmp_path, "ls", X264_PRESET="warp")
    assert ran.returncode == 2
    assert "X264_PRESET" in ran.stderr
    assert "veryfast" in ran.stderr


def test_a_redis_that_does_not_answer_is_said_in_one_sentence(run: Run, tmp_path: Path) -> None:
    document(run("new", "Bees", "--json"))
    ran = started(tmp_path, "run", "1", CELERY_BROKER_URL="redis://:hunter2@127.0.0.1:1/0")
    assert ran.returncode == 9, ran.stderr
    assert "redis_unreachable" in ran.stderr
    assert "hunter2" not in ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr


def test_a_damaged_state_is_named_and_left_alone(run: Run, tmp_path: Path) -> None:
    document(run("new", "Bees", "--json"))
    state = tmp_path / "data" / "projects" / "1" / "project_state.json"
    state.write_text("{")
    ran = run("show", "1")
    assert ran.returncode == 4
    assert str(state) in ran.stderr
    assert state.read_text() == "{"
    rows = document(run("ls", "--json"))
    assert rows[0]["status"] == "unreadable"
