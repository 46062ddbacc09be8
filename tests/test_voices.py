"""`voices` and `voices say`: who can speak, and how it sounds."""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app import cli, settings
from app.errors import InputError
from app.models import Speech


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings.get.cache_clear()
    yield monkeypatch
    settings.get.cache_clear()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["voices", *arguments], env={"COLUMNS": "200"})


def test_each_language_has_two_voices_here_and_one_default(bare: pytest.MonkeyPatch) -> None:
    rows = json.loads(run("--json").stdout)["voices"]
    here = [row for row in rows if row["provider"] != "gemini"]
    for language in ("en", "zh-TW", "ja"):
        speak = [row for row in here if language in row["languages"]]
        assert len({row["description"].split(",")[0] for row in speak}) == 2, "a woman and a man"
        assert [row["name"] for row in rows if language in row["default"]] == [speak[0]["name"]]
    assert {row["needs"] for row in rows} == {None, "gemini_key_missing"}
    bare.setenv("SPEECH_PROVIDER", "hibari,gemini")
    settings.get.cache_clear()
    rows = json.loads(run("--json", "--language", "english").stdout)["voices"]
    assert [row["name"] for row in rows if "en" in row["default"]] == ["heart"]
    assert all("en" in row["languages"] for row in rows)


def test_a_voice_says_a_text_into_a_file(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.chdir(tmp_path)
    said = run("say", "Heart", "Three ships, at sea.", "--speed", "1.5", "--json")
    facts = json.loads(said.stdout)
    target = Path(facts.pop("file"))
    assert target == tmp_path / "heart.wav"
    del facts["credit"]
    speech = Speech.model_validate(facts)
    assert [word.text for word in speech.words] == ["Three", "ships", "at", "sea"]
    with wave.open(str(target)) as file:
        assert file.getnframes() == speech.samples
    assert [path.name for path in tmp_path.iterdir()] == ["heart.wav"]
    shown = run("say", "mei", "はい。", "--to", "sample")
    assert "sample.wav" in shown.stdout
    assert "CC BY 3.0" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nobody"], "voice_unknown", "jf_alpha (ja)"),
        (["jf_alfa"], "voice_unknown", "Did you mean jf_alpha?"),
        (["jf_alpha", "--language", "en"], "voice_language", "af_heart (en)"),
        (["heart", "--to", "no/such/x.wav"], "voice_target", "--to"),
        (["heart", "--speed", "9"], "speech_speed", "0.5"),
        (["heart", "--speed", "0"], "speech_speed", "0.5"),
        (["Kore"], "gemini_key_missing", "GEMINI_API_KEY"),
    ],
)
def test_what_can_not_be_said_is_told(
    bare: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], code: str, told: str
) -> None:
    bare.chdir(tmp_path)
    error = run("say", *arguments).exception
    assert isinstance(error, InputError)
    assert error.code == code
    assert told in error.hint
    assert list(tmp_path.iterdir()) == []


def test_a_service_is_asked_only_after_its_price_is_told(
    bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare.chdir(tmp_path)
    bare.setenv("GEMINI_API_KEY", "a-key")
    bare.setenv("GEMINI_BASE_URL", "http://127.0.0.1:1/")
    facts = json.loads(run("say", "kore", "你好，世界。", "--dry-run", "--json").stdout)
    assert facts["cost"].startswith("about $0.0")
    refused = CliRunner().invoke(cli.app, ["voices", "say", "kore"], input="n\n")
    assert refused.exit_code == 1
    assert "costs about $" in refused.stderr
    assert list(tmp_path.iterdir()) == []
