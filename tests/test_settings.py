"""Settings: read once, checked loudly, explained in .env.example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from app import settings
from app.errors import InputError
from app.providers._stock import StockSettings
from app.providers.gemini.config import GeminiSettings
from app.providers.openai import OpenAISettings
from app.providers.youtube.config import YouTubeSettings
from app.settings import Base, Settings, load

EXAMPLE = settings.ROOT / ".env.example"
KINDS: tuple[type[Base], ...] = (
    Settings,
    GeminiSettings,
    YouTubeSettings,
    OpenAISettings,
    StockSettings,
)
"""Whatever reads settings: the house's own, and each provider's for its keys."""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No setting comes from the machine the tests run on."""
    for kind in KINDS:
        for name in kind.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setitem(kind.model_config, "env_file", None)
    settings.get.cache_clear()
    yield
    settings.get.cache_clear()


def example() -> dict[str, str]:
    return dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE.read_text("utf-8"), re.MULTILINE))


def test_the_example_names_each_setting_and_no_other() -> None:
    assert set(example()) == {name.upper() for kind in KINDS for name in kind.model_fields}


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_with_every_line_in_force_is_the_defaults(
    tmp_path: Path, kind: type[Base]
) -> None:
    (tmp_path / ".env").write_text("".join(f"{n}={v}\n" for n, v in example().items()))
    assert load(kind, _env_file=tmp_path / ".env") == load(kind, _env_file=None)


def test_each_setting_of_the_example_is_explained_above_it() -> None:
    blocks = re.split(r"\n\s*\n", EXAMPLE.read_text("utf-8"))
    for block in blocks:
        if re.search(r"^#[A-Z_0-9]+=", block, re.MULTILINE):
            assert block.startswith("# ") or "LIMIT" in block, f"unexplained: {block}"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("REDIS_PORT", "70000", "65535"),
        ("REDIS_PORT", "many", "integer"),
        ("X264_PRESET", "warp", "'veryfast'"),
        ("LOG_LEVEL", "LOUD", "'WARNING'"),
        ("VIDEO_CONCURRENCY", "0", "greater than or equal to 1"),
        ("STACK_IDLE_SECONDS", "-1", "greater than 0"),
    ],
)
def test_a_wrong_value_names_the_setting_and_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        settings.get()
    assert caught.value.code == "setting_invalid"
    assert name in caught.value.message
    assert allowed in caught.value.message
    assert caught.value.exit_code == 2


def test_a_wrong_value_of_a_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "sesame")
    monkeypatch.setenv("REDIS_PORT", "sesame-port")
    with pytest.raises(InputError) as caught:
        settings.get()
    assert "sesame" not in str(caught.value)


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "sesame")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:sesame@db/x")
    read = settings.get()
    assert isinstance(read.redis_password, SecretStr)
    assert "sesame" not in repr(read) + str(read) + str(read.model_dump())
    assert read.redis_url == "redis://:sesame@localhost:6379/0"


def test_relative_paths_start_at_the_root_from_any_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.get().data_dir == settings.ROOT / "data"
    assert load(Settings, data_dir="elsewhere").data_dir == settings.ROOT / "elsewhere"
    assert load(Settings, data_dir=str(tmp_path)).data_dir == tmp_path
    assert load(Settings, data_dir="~/films").data_dir == Path("~/films").expanduser()


@pytest.mark.parametrize(
    ("given", "default"),
    [
        ({}, True),
        ({"REDIS_HOST": "localhost", "REDIS_PORT": "6379"}, True),
        ({"REDIS_PORT": ""}, True),
        ({"REDIS_PORT": "6380"}, False),
        ({"REDIS_DB": "1"}, False),
        ({"REDIS_PASSWORD": "x"}, False),
        ({"CELERY_BROKER_URL": "redis://localhost:6379/0"}, True),
        (
            {
                "CELERY_BROKER_URL": "redis://localhost:6379/0",
                "CELERY_RESULT_BACKEND": "redis://localhost:6379/0",
            },
            True,
        ),
        ({"CELERY_BROKER_URL": "redis://localhost:6379/1"}, False),
        ({"CELERY_RESULT_BACKEND": "redis://elsewhere:6379/0"}, False),
    ],
)
def test_a_stack_of_our_own_only_where_no_redis_was_named(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], default: bool
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert settings.get().default_redis is default


def test_a_child_gets_the_environment_and_what_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING", "kept")
    assert (
        settings.child_environment(ADDED="too").items()
        >= {"SOMETHING": "kept", "ADDED": "too"}.items()
    )
