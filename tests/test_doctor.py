"""The doctor: each part is a line; a broken one never hides the others."""

from __future__ import annotations

import base64
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from _redis import begin, free_port, until
from app import embedded, records, settings
from app.doctor import Check
from app.doctor import machine as doctor
from app.doctor.checks import asked
from app.embedded import server
from app.errors import MediaError


@pytest.fixture(autouse=True)
def data(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Settings at their defaults, but for a data folder and a default address of our own."""
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    port = free_port()
    monkeypatch.setattr(settings, "DEFAULT_REDIS", ("localhost", port, 0))
    monkeypatch.setenv("REDIS_PORT", str(port))
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    settings.get.cache_clear()
    records.close()
    yield data_dir
    records.close()
    settings.get.cache_clear()


def one(probe: Callable[[], Any]) -> Check:
    (check,) = asked("Part", probe)
    return check


def test_it_looks_at_every_part_and_starts_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(doctor.PROBES, "Voices")  # by hand below: it reads a hundred megabytes
    checks = doctor.examine()
    assert {*doctor.PROBES, "ffprobe"} == {check.name for check in checks}
    assert not [check for check in checks if check.status == "fail"], checks
    assert all(check.what for check in checks)
    assert all(bool(check.hint) is (check.status != "ok") for check in checks)
    assert not embedded.status()["running"]
    assert set(checks[0].facts()) == {"name", "status", "what", "hint"}


def test_the_voices_are_intact() -> None:
    check = one(doctor._voices)
    assert check.status == "ok"
    assert "zh-TW" in check.what


def test_what_breaks_or_is_silent_is_a_line() -> None:
    def breaks() -> list[Check]:
        raise MediaError(
            "ffmpeg_missing", "There is no FFmpeg at redis://:sesame@host.", "Install it."
        )

    def surprises() -> list[Check]:
        raise ZeroDivisionError("password=sesame")

    def lacks() -> list[Check]:
        raise ModuleNotFoundError("No module named 'x'")

    found = [one(probe) for probe in (breaks, surprises, lacks)]
    assert {check.status for check in found} == {"fail"}
    assert found[0] == Check(
        "Part", "fail", "There is no FFmpeg at redis://***@host.", "Install it."
    )
    assert "sesame" not in found[1].what
    assert "ZeroDivisionError" in found[1].what
    assert found[2].hint == "Install the requirements again."

    began = time.monotonic()
    (silent,) = asked("Part", lambda: time.sleep(1.5) or [], seconds=0.05)
    assert time.monotonic() - began < 1.4
    assert "No answer" in silent.what


def test_packages_are_compared_with_the_requirements(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(
        "# a comment\npytest>=1\npydantic<1  # too old\nno-such-package\n-r other.txt\nredis[extra]>=6\n"
        "no-such-either; python_version < '3'\n"
    )
    unmet = list(doctor._unmet(tmp_path / "requirements.txt"))
    assert unmet[0].startswith("pydantic ")
    assert unmet[1:] == ["no-such-package"]
    assert list(doctor._unmet(settings.ROOT / "requirements.txt")) == []


def test_settings_in_force_are_shown_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "sesame")
    monkeypatch.setenv("X264_CRF", "21")
    settings.get.cache_clear()
    told = one(doctor._settings).what
    assert "X264_CRF=21" in told
    assert "REDIS_PASSWORD=***" in told
    monkeypatch.setenv("X264_CRF", "99")
    settings.get.cache_clear()
    wrong = one(doctor._settings)
    assert wrong.status == "fail"
    assert "X264_CRF" in wrong.what


def test_a_data_folder_that_can_not_be_written(data: Path) -> None:
    assert one(doctor._data_folder).status == "ok"
    shutil.rmtree(data)
    data.write_text("a file in its place")
    assert one(doctor._data_folder).status == "fail"


@pytest.mark.parametrize(("free", "status"), [(9e9, "ok"), (2e9, "warn"), (1e8, "fail")])
def test_little_space(monkeypatch: pytest.MonkeyPatch, free: float, status: str) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert one(doctor._data_folder).status == status


def test_a_damaged_or_missing_file_of_a_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    info = tmp_path / "voice-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: voice\nVersion: 1.0\n")
    size = doctor.BIG_FILE
    digest = hashlib.sha256(bytes(size)).digest()
    hashed = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    (info / "RECORD").write_text(f"voice.bin,sha256={hashed},{size}\nsmall.py,sha256=x,5\n")
    file = tmp_path / "voice.bin"
    file.write_bytes(bytes(size))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert one(lambda: doctor._intact("Voices", "fine", ("voice",))).what == "fine; 1 files intact"
    file.write_bytes(bytes(size - 1) + b"x")
    damaged = one(lambda: doctor._intact("Voices", "fine", ("voice",)))
    assert damaged.status == "fail"
    assert "voice: voice.bin" in damaged.what
    file.unlink()
    assert one(lambda: doctor._intact("Voices", "fine", ("voice",))).status == "fail"


def test_a_clock_in_the_past_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(doctor._clock).status == "ok"
    monkeypatch.setattr(doctor.time, "time", lambda: 0.0)
    assert one(doctor._clock).status == "warn"


@pytest.mark.redis
def test_a_redis_of_the_users_own_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = settings.get().redis_port
    with begin(tmp_path, port, "--maxmemory-policy", "allkeys-lru") as redis:
        until(lambda: server.probe("127.0.0.1", port) == "redis")
        try:
            found = one(doctor._redis)
            assert found.status == "warn"
            assert "append-only" in found.what
            assert "allkeys-lru" in found.what
            with server.Wire("127.0.0.1", port) as wire:
                wire.ask("CONFIG", "SET", "appendonly", "yes")
                wire.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
            assert one(doctor._redis).status == "ok"
            alone = one(doctor._workers)
            assert alone.status == "fail"
            assert "nobody serves video_generation" in alone.what
            with server.Wire("127.0.0.1", port) as wire:
                wire.ask("CONFIG", "SET", "requirepass", "sesame")
            closed = one(doctor._redis)
            assert closed.status == "fail"
            assert "REDIS_PASSWORD" in closed.hint
        finally:
            redis.terminate()


def test_a_named_redis_that_is_not_there_fails_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "CELERY_BROKER_URL", f"redis://:sesame@127.0.0.1:{settings.get().redis_port}/0"
    )
    settings.get.cache_clear()
    found = one(doctor._redis)
    assert found.status == "fail"
    assert "sesame" not in str(found)


def test_a_database_that_can_not_be_used_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/file/x.db")
    settings.get.cache_clear()
    assert one(doctor._database).status == "warn"
