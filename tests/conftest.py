"""Every test on clean ground: no settings from outside, a data folder of its own."""

from __future__ import annotations

import gc
import itertools
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
gc.disable()  # until all is collected: hardly any of it is waste, and going through it is a third

collect_ignore = [] if LEGACY in os.environ else ["test_gemini_legacy.py"]


ALONE = {"test_throttle"}
"""Files whose slow tests go by the clock to fractions of a second."""


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
    "test_embedded",
    "test_launcher",
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


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let each of several processes begin with other files: what one rewrote, the next finds done."""
    report = yield
    if isinstance(collector, pytest.Dir) and (worker := os.environ.get("PYTEST_XDIST_WORKER")):
        share = int(worker.removeprefix("gw")) / int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        first = round(share * len(report.result))
        report.result = report.result[first:] + report.result[:first]
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts real workers, or takes its time, is slow: `test --quick` leaves it out."""
    place = {name: at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (place.get(item.path.stem, len(LONGEST)), item.path))
    for item in items:
        if item.path.stem in ALONE:
            item.add_marker("alone")
        if item.get_closest_marker("acceptance") or item.path.stem in PROTOCOLS:
            item.add_marker("slow")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let the collector of waste pass over modules and tests, which stay to the end."""
    gc.freeze()
    gc.enable()


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


@pytest.fixture(scope="session")
def data_dirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Names of folders for the tests that ask for none of their own; few ever make theirs."""
    ground = tmp_path_factory.mktemp("data")
    return (ground / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def data_dir(
    request: pytest.FixtureRequest, data_dirs: Iterator[Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Give the test a data folder that nobody else has."""
    own = "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") / "data" if own else next(data_dirs)
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
