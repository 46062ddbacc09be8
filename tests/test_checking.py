"""The command `check` as a user meets it: what can't be measured, and the outcome's exit code."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from _finished import finished
from app import checking, cli, pipeline, settings
from app.errors import InputError, MediaError
from app.media import checks
from app.media.checks import Row
from app.tasks import dispatch

pytestmark = pytest.mark.ffmpeg


def test_what_has_no_film_of_today_is_refused_with_what_to_do() -> None:
    new = pipeline.create_project({"topic": "the tides"})
    with pytest.raises(InputError, match=f"reelchain run {new.id}") as missing:
        checking.check(new)
    assert missing.value.code == "film_missing"
    with pytest.raises(InputError, match="sound, picture") as unknown:
        checking.check(new, only=("sonnd",))
    assert unknown.value.code == "check_unknown"
    old = finished()
    with pytest.raises(MediaError, match=r"video\.mp4"):  # bytes that are no film
        checking.check(old)
    with old.transaction() as state:
        state.spec = state.spec.model_copy(update={"music": "none"})
    with pytest.raises(InputError) as outdated:
        checking.check(old)
    assert outdated.value.code == "film_outdated"


def test_a_film_is_outdated_once_the_users_own_style_says_something_else() -> None:
    written = settings.get().styles_folder / "harbour.yaml"
    written.parent.mkdir(parents=True)
    written.write_text("base: night\n", encoding="utf-8")
    project = finished(style="harbour")
    assert pipeline.finished(project.id)
    assert dispatch.first_to_make(project, project.state()) is None
    written.write_text("base: paper\n", encoding="utf-8")
    assert pipeline.finished(project.id) is None
    assert dispatch.first_to_make(project, project.state()) == "asset_generation"
    with pytest.raises(InputError) as outdated:
        checking.check(project)
    assert outdated.value.code == "film_outdated"
    written.write_text("base: night\n", encoding="utf-8")
    assert dispatch.first_to_make(project, project.state()) is None, "nothing is published anew"


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("warn", 0), ("fail", 14)])
def test_a_failure_has_an_exit_code_and_a_warning_has_none(
    monkeypatch: pytest.MonkeyPatch, verdict: checks.Verdict, code: int
) -> None:
    """The measuring has tests of its own; here is what becomes of a row."""
    project = finished()
    row = Row("sound", "loudness", -11.2, "LUFS", "-14 ± 0.5", verdict, "Turn it down.")

    def checked(*_: object, **__: object) -> dict[str, object]:
        return {
            "project_id": project.id,
            "video": "video.mp4",
            "size": [320, 180],
            "draft": True,
            "verdict": verdict,
            "rows": [vars(row)],
        }

    monkeypatch.setattr(checking, "check", checked)
    ran = CliRunner().invoke(cli.app, ["check", str(project.id), "--json"])
    assert ran.exit_code == code
    assert json.loads(ran.stdout)["rows"][0]["says"] == "Turn it down."
    shown = CliRunner().invoke(cli.app, ["check", str(project.id)])
    assert shown.exit_code == code
    assert "-11.2 LUFS" in shown.stdout
    assert ("[check_failed]" in shown.stderr) == (verdict == "fail")
    found = {**checked(), "rows": []}
    monkeypatch.setattr(checking, "check", lambda *_, **__: found)
    nothing = CliRunner().invoke(cli.app, ["check", str(project.id), "--only", "motion"])
    assert nothing.exit_code == 0
    assert "All is well" not in nothing.stdout
    assert "nothing to measure" in nothing.stdout
