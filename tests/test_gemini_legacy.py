"""Gemini by google-generativeai, in an environment of its own: GEMINI_LEGACY_PYTHON is its Python.

It can't be in the environment of the other tests: it holds protobuf below 6. Where the variable is
not set this file is not collected; `.ci/run` makes the environment and runs it.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import _gemini_cases as cases
from _gemini import Gemini, environment
from _gemini_cases import SCHEMA, WISH
from app import settings
from app.providers.gemini import refusals

pytestmark = [pytest.mark.slow, pytest.mark.redis]

DRIVER = Path(__file__).with_name("_gemini_driver.py")
PYTHON = os.environ.get("GEMINI_LEGACY_PYTHON", "")


def ask(gemini: Gemini, redis_url: str, *asks: dict[str, Any], **more: str) -> list[dict[str, Any]]:
    """Let the other Python ask, one after the other; return what became of each."""
    given = {
        **settings.child_environment(),
        **environment(gemini),
        "GEMINI_SDK": "google-generativeai",
        "CELERY_BROKER_URL": redis_url,
        "PYTHONPATH": str(settings.ROOT / "backend"),
        **more,
    }
    done = subprocess.run(
        [PYTHON, DRIVER],
        input=json.dumps(asks),
        env=given,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [secret for secret in gemini.secrets() if secret in done.stdout + done.stderr]
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@pytest.fixture
def gemini() -> Iterator[Gemini]:
    with Gemini() as server:
        yield server
        assert not server.violations


def test_the_other_python_has_the_older_sdk_and_what_it_holds_back() -> None:
    look = (
        "import importlib.util as u, json, google.protobuf as p;"
        "print(json.dumps([bool(u.find_spec('google.generativeai')), p.__version__]))"
    )
    told = subprocess.run(
        [PYTHON, "-W", "ignore", "-c", look], capture_output=True, text=True, check=True
    )
    found, version = json.loads(told.stdout)
    assert found
    assert int(version.partition(".")[0]) < 6


def test_it_writes_draws_and_speaks(gemini: Gemini, redis_url: str) -> None:
    reference = base64.b64encode(b"\x89PNG\r\n\x1a\nreference").decode()
    text, picture, new_voice, old_voice = ask(
        gemini,
        redis_url,
        {"text": WISH, "system": "You write.", "schema": SCHEMA, "temperature": 0.5, "seed": 4},
        {"text": "a hill", "want": "picture", "aspect": "9:16", "pictures": [reference]},
        {"text": "Good morning.", "want": "speech"},
        {
            "text": "Hello.",
            "want": "speech",
            "style": "Say cheerfully:",
            "voice": "Puck",
            "model": "gemini-2.5-flash-preview-tts",
        },
    )
    document = json.loads(text["text"])
    assert 95 <= sum(len(scene["narration"].split()) for scene in document["scenes"]) <= 105
    assert text["finish"] == "STOP"
    assert [mime for mime, _ in picture["media"]] == ["image/png"]
    with wave.open(io.BytesIO(base64.b64decode(new_voice["media"][0][1]))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
    assert old_voice["media"][0][0] == "audio/L16;codec=pcm;rate=24000"

    calls = gemini.calls
    assert {call.path.split("/")[1] for call in calls} == {"v1beta"}
    assert (calls[0].system, calls[0].prompt) == ("You write.", WISH)
    assert calls[0].body["generationConfig"]["responseSchema"]["properties"]["scenes"]["items"]
    assert calls[1].prompt == "a hill\n\nAspect ratio: 9:16."
    assert calls[1].pictures == 1
    assert calls[3].prompt == "Say cheerfully: Hello."
    for call, answer in zip(calls, (text, picture, new_voice, old_voice), strict=True):
        assert answer["usage"]["input_tokens"] == call.paid["promptTokenCount"]
        assert answer["usage"]["output_tokens"] == call.paid["candidatesTokenCount"]


def test_thoughts_are_paid_and_what_nobody_has_heard_of_does_no_harm(
    gemini: Gemini, redis_url: str
) -> None:
    gemini.answers, gemini.fault = ["the answer"], lambda *_: "think"
    (answer,) = ask(gemini, redis_url, {"text": "think"})
    assert answer["text"].endswith("the answer")
    assert answer["usage"]["output_tokens"] == gemini.calls[0].paid["candidatesTokenCount"] + 40


def test_a_text_that_was_cut_is_the_callers_business(gemini: Gemini, redis_url: str) -> None:
    gemini.answers, gemini.fault = ["halfhalf"], lambda *_: "cut"
    (answer,) = ask(gemini, redis_url, {"text": "go on"})
    assert (answer["finish"], answer["text"]) == ("MAX_TOKENS", "half")


@pytest.fixture(scope="module")
def refusals_met(redis_server: Any) -> Iterator[tuple[list[dict[str, Any]], Gemini]]:
    """Ask for every refusal in one go, each of a model of its own."""
    with Gemini() as server:
        models = [cases.model(case, n) for n, case in enumerate(cases.CASES)]
        server.models = tuple(models)
        faults = dict(zip(models, (case.fault for case in cases.CASES), strict=True))
        server.fault = lambda _point, facts: faults[facts["model"]]
        asks = [
            {"text": "a prompt", "want": case.want, "model": model}
            for case, model in zip(cases.CASES, models, strict=True)
        ]
        redis_server.client.flushall()
        # longer than any answer takes that is not slow on purpose, on a busy machine, too
        yield ask(server, redis_server.url, *asks, GEMINI_TIMEOUT="10"), server


@pytest.mark.parametrize(
    "number", range(len(cases.CASES)), ids=[cases.name(c) for c in cases.CASES]
)
def test_every_refusal_has_its_error_and_one_try(
    refusals_met: tuple[list[dict[str, Any]], Gemini], number: int
) -> None:
    case, (met, server) = cases.CASES[number], refusals_met
    error, model = met[number], cases.model(case, number)
    assert sum(call.model == model for call in server.calls) == 1
    if case.alone:
        assert error.get("code") in {
            "gemini_blocked",
            "gemini_malformed",
            "gemini_unavailable",
            None,
        }
        return
    assert (error["kind"], error["code"]) == (case.kind, case.code)
    wait = refusals.until_midnight() if case.wait == -1 else case.wait
    assert error["retry_after"] == pytest.approx(wait, abs=60)
    assert case.says in error["message"]
    assert model in error["message"]
    assert error["hint"]


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "x", "schema": {"oneOf": [{"type": "string"}]}},
        {"text": "x", "want": "speech", "style": "sad"},
    ],
    ids=["schema", "style"],
)
def test_what_it_can_not_do_is_said_before_anything_is_sent(
    gemini: Gemini, redis_url: str, fields: dict[str, Any]
) -> None:
    (error,) = ask(gemini, redis_url, fields)
    assert (error["kind"], error["code"]) == ("InputError", "gemini_sdk_limited")
    assert not gemini.calls
