"""Every test on clean ground: no settings from outside, a data folder of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from _redis import RedisServer
from app import settings

_FOREIGN = (
    "REELCHAIN_",
    "CELERY_",
    "REDIS_",
    "GEMINI_",
    "YOUTUBE_",
    "GOOGLE_",
    "OPENAI_",
    "PEXELS_",
    "PIXABAY_",
    "STOCK_",
    "PYTEST_CELERY",
)
LEGACY = "GEMINI_LEGACY_PYTHON"
"""Names a Python that has the extra gemini-legacy, for the tests of it."""


def _scrub() -> None:
    ours = {name.upper() for name in settings.Settings.model_fields}
    for name in list(os.environ):
        if name != LEGACY and (name.startswith(_FOREIGN) or name.upper() in ours):
            del os.environ[name]
    for kind in (settings.Base, settings.Settings):  # the developer's .env is not the tests'
        kind.model_config["env_file"] = None


_scrub()

collect_ignore = [] if LEGACY in os.environ else ["test_gemini_legacy.py"]


ALONE = {"test_launcher", "test_embedded", "test_first_call", "test_demo", "test_throttle"}
"""Files whose slow tests take the machine, the default port, or the clock for themselves."""


PROTOCOLS = {
    "test_auth",
    "test_drawing",
    "test_gemini",
    "test_gemini_speech",
    "test_stock",
    "test_throttle",
    "test_writing",
    "test_youtube_stub",
}
"""Files that go through a whole protocol, answer by answer."""

LONGEST = (
    "test_rescue",
    "test_readme",
    "test_whole_video",
    "test_crashpoints",
    "test_kill",
    "test_paid_workers",
    "test_guide",
    "test_publish_workers",
    "test_chaos",
    "test_speech",
    "test_audio",
    "test_youtube",
    "test_music",
    "test_project_crash",
    "test_pictures",
    "test_cli",
    "test_encode",
    "test_thumbnail",
)
"""Files that take a minute or more, then those that take seconds in the quick suite, the longest
first: begun last, one of them would be waited for alone while the other processes have nothing left."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts real workers, or takes its time, is slow: `test --quick` leaves it out."""
    place = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))
    for item in items:
        if item.path.stem in ALONE:
            item.add_marker("alone")
        if item.get_closest_marker("acceptance") or item.path.stem in PROTOCOLS:
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Nothing is skipped in CI: a missing service is a failure there."""
    report = yield
    if report.skipped and "CI" in os.environ and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test a data folder that nobody else has."""
    folder = tmp_path / "data"
    monkeypatch.setenv("DATA_DIR", str(folder))
    settings.get.cache_clear()
    yield folder
    if (records := sys.modules.get("app.records")) is not None:
        records.flush(10)  # what is recorded late shall not land in the developer's own folder
        records.close()
    if (throttle := sys.modules.get("app.throttle")) is not None:
        throttle.forget()
    settings.get.cache_clear()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real Redis for the whole session, from the wheel, on a free port."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the settings at the session's Redis, emptied."""
    return _use(redis_server, monkeypatch)


@pytest.fixture
def own_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis of this test alone, to kill, freeze and restart."""
    with RedisServer(tmp_path / "redis") as server:
        _use(server, monkeypatch)
        yield server


def _use(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> str:
    server.client.flushall()
    monkeypatch.setenv("CELERY_BROKER_URL", server.url)
    settings.get.cache_clear()
    return server.url
