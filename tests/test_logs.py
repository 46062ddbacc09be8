"""Log lines: which project they belong to, and no secret in them."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Iterator

import pytest

from app import logs

SECRET = "S3cr3t-VALUE_0123456789"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What a handler with our filter and format writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(logs.FORMAT))
    handler.addFilter(logs.ContextFilter())
    logger = logging.getLogger("reelchain-test")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.removeHandler(handler)


log = logging.getLogger("reelchain-test")


@pytest.mark.parametrize(
    "text",
    [
        f"redis://:{SECRET}@127.0.0.1:6379/0",
        f"rediss://user:{SECRET}@host/0?ssl_cert_reqs=none",
        f"redis+socket://:{SECRET}@/run/r.sock?virtual_host=0",
        f"redis://:pass/with@signs{SECRET}@host:6379/0",
        f"postgresql+psycopg://me:{SECRET}@db/reelchain",
        f"Error 111 connecting to 'redis://:{SECRET}@h:1/0'.",
        f"GET https://generativelanguage.googleapis.com/v1/models?key={SECRET}&alt=json",
        f"GEMINI_API_KEY={SECRET}",
        f'{{"api_key": "{SECRET}", "model": "x"}}',
        f"{{'refresh_token': '{SECRET}'}}",
        f"access_token={SECRET}&token_type=x",
        f'"client_secret":"{SECRET} with a space; and more"',
        f"REDIS_PASSWORD={SECRET}",
        f"requirepass {SECRET}".replace(" ", "="),
        f"https://upload.example/videos?uploadType=resumable&upload_id={SECRET}",
        f"x-goog-api-key: {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"{{'Authorization': 'Bearer {SECRET}'}}",
        f"token: Bearer {SECRET}",
        f'api_key="{SECRET}',
    ],
)
def test_a_secret_is_masked(text: str) -> None:
    clean = logs.masked(text)
    assert SECRET not in clean
    assert "***" in clean
    assert logs.masked(clean) == clean


def test_what_is_round_a_secret_stays() -> None:
    text = f"can't reach redis://:{SECRET}@127.0.0.1:6379/0, trying again (key={SECRET}&alt=json)"
    assert (
        logs.masked(text)
        == "can't reach redis://***@127.0.0.1:6379/0, trying again (key=***&alt=json)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "redis://127.0.0.1:6379/0 answers",
        "file:///home/me@work/data/published/1/video.mp4",
        "wrote https://example.com/a to you@example.com",
        "KeyError: 'scene'",
        "5 tokens, 3 keys, a monkey",
        "旁白 1/3：藍色的門",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert logs.masked(text) == text


@pytest.mark.parametrize(
    "text",
    ["a" * 200_000, "key" * 50_000, "a://" * 10_000, "key=" + " " * 50_000],
    ids=["a", "key", "scheme", "spaces"],
)
def test_a_very_long_line_does_not_take_long(text: str) -> None:
    began = time.process_time()
    assert len(logs.masked(text)) > 1000
    assert time.process_time() - began < 2


def test_a_line_says_where_it_belongs(output: io.StringIO) -> None:
    log.info("before")
    with logs.context(project=7, stage="render", task=None, worker=""):
        log.info("outer")
        with logs.context(unit="assets/003.wav"):
            log.info("inner")
        with logs.context():
            log.info("outer again")
    log.info("after")
    lines = [line.partition(" INFO ")[2] for line in output.getvalue().splitlines()]
    assert lines == [
        "reelchain-test: before",
        "project=7 stage=render reelchain-test: outer",
        "project=7 stage=render unit=assets/003.wav reelchain-test: inner",
        "project=7 stage=render reelchain-test: outer again",
        "reelchain-test: after",
    ]


def test_an_exception_ends_the_context(output: io.StringIO) -> None:
    with pytest.raises(ZeroDivisionError), logs.context(project=7):
        1 / 0  # noqa: B018 - it is there to fail
    log.info("after")
    assert "project=7" not in output.getvalue()


def test_threads_do_not_see_each_other_s_context(output: io.StringIO) -> None:
    def other() -> None:
        log.info("from the thread")

    with logs.context(project=7):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "project=7" not in output.getvalue()


def test_no_secret_comes_into_a_line_by_its_arguments_or_its_traceback(output: io.StringIO) -> None:
    log.info("address %s, %d tries", f"redis://:{SECRET}@h/0", 3)

    def fail() -> None:
        raise ConnectionError(f"redis://:{SECRET}@h/0 does not answer")

    try:
        fail()
    except ConnectionError:
        log.exception("lost key=%s", SECRET)
    text = output.getvalue()
    assert SECRET not in text
    assert "redis://***@h/0, 3 tries" in text
    assert "ConnectionError: redis://***@h/0 does not answer" in text


def test_arguments_that_do_not_fit_do_not_stop_the_work(
    output: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    log.info("%d things", "three")
    log.info("%(name)s", {"other": 1})
    log.info("still here")
    assert "still here" in output.getvalue()


def test_the_program_s_log_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    try:
        logs.setup("INFO")
        with logs.context(project=7):
            logging.getLogger("x").info("hello")
            logging.getLogger("x").debug("not this")
    finally:
        root.setLevel(level)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("INFO project=7 x: hello\n")
