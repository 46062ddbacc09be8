"""Gemini by google-genai, over real HTTP: what is sent, what comes back, what every refusal becomes."""

from __future__ import annotations

import http.client
import io
import json
import logging
import re
import threading
import time
import traceback
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

import _gemini
import _gemini_cases as cases
from _gemini import Gemini, environment
from _gemini_cases import INLINE, SCHEMA, WISH
from app import errors, prices, settings, spending, throttle
from app.errors import BudgetError, InputError, QuotaError, TransientError
from app.providers.gemini import port, refusals
from app.providers.gemini._older_schema import older_schema
from app.providers.gemini.config import GeminiSettings
from app.providers.gemini.port import Answer, Ask
from app.spending import Usage

pytestmark = pytest.mark.redis


@pytest.fixture
def gemini(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gemini]:
    """A Gemini of our own that the settings lead to, and a Redis without memories."""
    with Gemini() as server:
        for setting, value in environment(server).items():
            monkeypatch.setenv(setting, value)
        yield server
        assert not server.violations


def refused(ask: Ask) -> errors.ReelchainError:
    with pytest.raises(errors.ReelchainError) as caught:
        port.generate(ask)
    return caught.value


def midnight() -> float:
    return refusals.until_midnight()


# What is sent, what comes back ----------------------------------------------------------------


def test_a_text_follows_its_schema(gemini: Gemini) -> None:
    answer = port.generate(Ask(text=WISH, system="You write.", schema=INLINE, most_tokens=4000))
    document = json.loads(answer.text)
    assert set(document) == {"title", "scenes"}
    assert 95 <= sum(len(scene["narration"].split()) for scene in document["scenes"]) <= 105
    assert (answer.finish, answer.model, answer.media) == ("STOP", "gemini-3.8-flash", ())
    (call,) = gemini.calls
    assert call.path == "/v1/models/gemini-3.8-flash:generateContent"
    assert (call.system, call.prompt) == ("You write.", WISH)
    assert call.body["generationConfig"]["responseJsonSchema"] == INLINE
    assert call.body["generationConfig"]["maxOutputTokens"] == 4000
    assert answer.usage == Usage(
        service="gemini",
        model="gemini-3.8-flash",
        input_tokens=call.paid["promptTokenCount"],
        output_tokens=call.paid["candidatesTokenCount"],
    )


def test_a_picture_has_the_sides_that_were_asked_for(gemini: Gemini) -> None:
    reference = b"\x89PNG\r\n\x1a\nreference"
    ask = Ask(
        text="a hill", want="picture", aspect="9:16", seed=7, pictures=(reference, b"\xff\xd8")
    )
    answer = port.generate(ask)
    (picture,) = answer.media
    assert picture.mime == "image/png"
    assert Image.open(io.BytesIO(picture.data)).size == (768, 1344)
    assert answer.usage.pictures == 1
    (call,) = gemini.calls
    assert (call.model, call.pictures) == ("gemini-3.1-flash-image", 2)
    kinds = [p["inlineData"]["mimeType"] for p in call.body["contents"][0]["parts"][:2]]
    assert kinds == ["image/png", "image/jpeg"]
    assert call.body["generationConfig"]["seed"] == 7


def test_the_voices_of_today_answer_with_a_wav_file_and_take_the_style_apart(
    gemini: Gemini,
) -> None:
    ask = Ask(text="Good morning.", want="speech", style="warm", temperature=1.0)
    answer = port.generate(ask)
    (sound,) = answer.media
    with wave.open(io.BytesIO(sound.data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
    assert answer.usage.characters == len(ask.text)
    (part,) = gemini.calls[0].body["contents"][0]["parts"]
    assert part == {"text": "Good morning.", "speechMetadata": {"style": "warm"}}
    voice = gemini.calls[0].body["generationConfig"]["speechConfig"]["voiceConfig"]
    assert voice == {"prebuiltVoiceConfig": {"voiceName": "Kore"}}


def test_older_voices_answer_with_samples_and_are_told_the_style_in_front(gemini: Gemini) -> None:
    model = "gemini-2.5-flash-preview-tts"
    answer = port.generate(
        Ask(text="Hello.", want="speech", style="Say cheerfully:", voice="Puck", model=model)
    )
    assert answer.media[0].mime == "audio/L16;codec=pcm;rate=24000"
    assert gemini.calls[0].prompt == "Say cheerfully: Hello."


@pytest.mark.filterwarnings("ignore:SOMETHING_NEW is not a valid FinishReason")
def test_thoughts_and_what_nobody_has_heard_of_do_no_harm(gemini: Gemini) -> None:
    gemini.answers, gemini.fault = ["the answer"], lambda *_: "think"
    answer = port.generate(Ask(text="think"))
    assert answer.text == "the answer"
    assert answer.usage.output_tokens == gemini.calls[0].paid["candidatesTokenCount"] + 40


@pytest.mark.parametrize(("fault", "text"), [("cut", "half"), ("cut:0", "")])
def test_a_text_that_was_cut_is_the_callers_business(gemini: Gemini, fault: str, text: str) -> None:
    gemini.answers, gemini.fault = ["halfhalf"], lambda *_: fault
    answer = port.generate(Ask(text="go on"))
    assert (answer.finish, answer.text) == ("MAX_TOKENS", text)


def test_the_words_of_the_environment_lead_nowhere_else(
    gemini: Gemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "GOOGLE_API_KEY": "another",
        "GOOGLE_GENAI_USE_VERTEXAI": "true",
        "GOOGLE_GENAI_USE_ENTERPRISE": "true",
        "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9/",
        "GOOGLE_GENAI_API_VERSION": "beta",
        "GOOGLE_CLOUD_PROJECT": "p",
    }.items():
        monkeypatch.setenv(name, value)
    port._made.cache_clear()
    assert port.generate(Ask(text="hello")).text
    assert gemini.calls[0].path.startswith("/v1/models/")


# What refusals become -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared() -> Iterator[Gemini]:
    """One server for all cases: each asks a model of its own."""
    with Gemini() as server:
        server.models = tuple(cases.model(c, n) for n, c in enumerate(cases.CASES))
        yield server


@pytest.mark.parametrize(
    "number", range(len(cases.CASES)), ids=[cases.name(c) for c in cases.CASES]
)
def test_every_refusal_has_its_error_and_one_try(
    shared: Gemini,
    redis_url: str,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    case = cases.CASES[number]
    for setting, value in environment(shared).items():
        monkeypatch.setenv(setting, value)
    if case.fault.startswith("slow"):
        monkeypatch.setenv("GEMINI_TIMEOUT", "0.5")
    shared.fault = lambda *_: case.fault
    caplog.set_level(logging.DEBUG)
    before = len(shared.calls)
    error = refused(Ask(text="a prompt", want=case.want, model=cases.model(case, number)))  # type: ignore[arg-type]
    assert (type(error).__name__, error.code) == (case.kind, case.code)
    assert error.retry_after == pytest.approx(midnight() if case.wait == -1 else case.wait, abs=5)
    assert case.says in error.message
    assert cases.model(case, number) in error.message
    assert error.hint
    assert len(shared.calls) == before + 1
    told = "".join(traceback.format_exception(error)) + caplog.text + repr(error)
    assert not [secret for secret in shared.secrets() if secret in told]


@pytest.mark.parametrize(
    ("fault", "code", "paid"),
    [("drip", "gemini_malformed", 1), ("503:drip", "gemini_unavailable", 0)],
)
def test_an_answer_that_drips_is_given_up_in_time(
    gemini: Gemini, monkeypatch: pytest.MonkeyPatch, fault: str, code: str, paid: int
) -> None:
    monkeypatch.setenv("GEMINI_TIMEOUT", "0.3")
    asked: list[float] = []

    def drip(*_: object) -> str:
        asked.append(time.monotonic())
        return fault

    gemini.fault = drip
    book = Book()
    with spending.listening(book):
        error = refused(Ask(text="a prompt"))
    assert time.monotonic() - asked[-1] < 3
    assert (type(error), error.code) == (TransientError, code)
    assert "took too long" in error.message
    assert len(book.had) == paid


def test_an_answer_has_an_end_however_small_it_is_packed(
    gemini: Gemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    gemini.fault = lambda *_: "packed"
    gemini.answers = ["a" * 100_000, "b" * 200_000]
    monkeypatch.setattr("app.providers.gemini.sdk.MOST_BYTES", 150_000)
    assert port.generate(Ask(text="a prompt", most_tokens=65_536)).text == "a" * 100_000
    error = refused(Ask(text="a prompt", most_tokens=65_536))
    assert (type(error), error.code) == (TransientError, "gemini_malformed")
    assert "too large" in error.message


def test_the_key_is_nowhere_to_be_seen(gemini: Gemini) -> None:
    shown = repr(settings.load(GeminiSettings)) + repr(port.port())
    assert gemini.key not in shown


def test_without_a_key_nothing_is_asked(gemini: Gemini, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "  "):
        monkeypatch.setenv("GEMINI_API_KEY", value)
        error = refused(Ask(text="hello"))
        assert (type(error), error.code) == (InputError, "gemini_key_missing")
    assert not gemini.calls


def test_googles_name_for_the_key_does_as_well(
    gemini: Gemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_API_KEY", gemini.key)
    assert port.generate(Ask(text="hello")).text


def test_the_other_sdk_is_an_extra(gemini: Gemini, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_SDK", "google-generativeai")
    error = refused(Ask(text="hello"))
    assert (type(error), error.code) == (InputError, "gemini_sdk_missing")


@pytest.mark.parametrize("value", ["", "a b", "../x", "a,,b/c", ","])
def test_a_model_is_a_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GEMINI_TEXT_MODEL", value or " ")
    with pytest.raises(InputError, match="GEMINI_TEXT_MODEL"):
        settings.load(GeminiSettings)


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        ("2026-11-22T07:59:00+00:00", 60),  # 23:59 PST
        ("2026-11-22T08:00:00+00:00", 24 * 3600),
        ("2026-03-08T08:00:00+00:00", 23 * 3600),  # the clock goes forward that night
        ("2026-11-01T07:00:00+00:00", 25 * 3600),
    ],
)
def test_a_day_of_quota_ends_at_midnight_in_california(now: str, seconds: float) -> None:
    moment = datetime.fromisoformat(now).astimezone(UTC)
    assert refusals.until_midnight(moment) == seconds + 60


# More than one model --------------------------------------------------------------------------

TWO = "gemini-3.8-flash, gemini-2.5-flash"


def only(model: str, fault: str) -> Callable[[str, dict[str, Any]], str | None]:
    return lambda _point, facts: fault if facts["model"] == model else None


def models_of(gemini: Gemini) -> list[str]:
    return [call.model for call in gemini.calls]


@pytest.mark.parametrize("fault", ["429:day", "429:none", "404"])
def test_a_model_that_is_spent_or_gone_makes_room_for_the_next(gemini: Gemini, fault: str) -> None:
    gemini.fault = only("gemini-3.8-flash", fault)
    assert port.generate(Ask(text="hello", model=TWO)).model == "gemini-2.5-flash"
    assert models_of(gemini) == ["gemini-3.8-flash", "gemini-2.5-flash"]


def test_a_spent_model_is_not_asked_again_that_day_but_with_another_key(
    gemini: Gemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    gemini.fault = only("gemini-3.8-flash", "429:day")
    for _ in range(2):
        port.generate(Ask(text="hello", model=TWO))
    throttle.forget()  # another process knows it, too
    port.generate(Ask(text="hello", model=TWO))
    assert models_of(gemini).count("gemini-3.8-flash") == 1
    gemini.fault = only("gemini-2.5-flash", "429:day")
    error = refused(Ask(text="hello", model=TWO))
    assert isinstance(error, QuotaError)
    assert error.retry_after == pytest.approx(midnight(), abs=5)
    asked = len(gemini.calls)
    assert isinstance(refused(Ask(text="hello", model=TWO)), QuotaError)
    assert len(gemini.calls) == asked
    gemini.key, gemini.fault = "AIza-another", None
    monkeypatch.setenv("GEMINI_API_KEY", gemini.key)
    assert port.generate(Ask(text="hello", model=TWO)).model == "gemini-3.8-flash"


def test_an_overloaded_model_makes_room_after_its_retries(gemini: Gemini) -> None:
    gemini.fault = only("gemini-3.8-flash", "503")
    ask = Ask(text="hello", model=TWO)
    assert [refused(ask).code for _ in range(3)] == ["gemini_unavailable"] * 3
    assert port.generate(ask).model == "gemini-2.5-flash"
    assert models_of(gemini) == ["gemini-3.8-flash"] * 4 + ["gemini-2.5-flash"]
    assert port.generate(Ask(text="another", model=TWO)).model == "gemini-2.5-flash"
    assert len(gemini.calls) == 6


def test_an_answer_begins_the_count_anew(gemini: Gemini) -> None:
    down = {"hello": True}
    first = only("gemini-3.8-flash", "503")
    gemini.fault = lambda point, facts: first(point, facts) if down["hello"] else None
    ask = Ask(text="hello", model=TWO)
    for _ in range(3):
        refused(ask)
    down["hello"] = False
    assert port.generate(ask).model == "gemini-3.8-flash"
    down["hello"] = True
    assert [refused(ask).code for _ in range(3)] == ["gemini_unavailable"] * 3


@pytest.mark.parametrize("fault", ["400", "403", "block:SAFETY", "finish:SAFETY", "429", "drop"])
def test_what_another_model_would_not_mend_is_said_at_once(gemini: Gemini, fault: str) -> None:
    gemini.fault = only("gemini-3.8-flash", fault)
    refused(Ask(text="hello", model=TWO))
    assert models_of(gemini) == ["gemini-3.8-flash"]


def test_where_all_models_fail_the_one_that_comes_back_first_is_told(gemini: Gemini) -> None:
    faults = {"gemini-3.8-flash": "429:day", "gemini-2.5-flash": "404"}
    gemini.fault = lambda _point, facts: faults[facts["model"]]
    assert isinstance(refused(Ask(text="hello", model=TWO)), QuotaError)
    faults["gemini-2.5-flash"] = "503"
    assert isinstance(refused(Ask(text="hello", model=TWO)), TransientError)
    faults["gemini-3.8-flash"] = faults["gemini-2.5-flash"] = "404"
    throttle.forget()


# All workers together -------------------------------------------------------------------------


def test_no_more_calls_at_once_than_the_setting_says(
    gemini: Gemini, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_AT_ONCE", "2")
    gemini.at_once, gemini.delay = 2, 0.05
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: port.generate(Ask(text=f"hello {n}")), range(8)))
    assert len(answers) == 8
    assert gemini.peak == 2
    assert {call.status for call in gemini.calls} == {200}


def test_a_refusal_for_the_minute_is_heard_by_all(gemini: Gemini) -> None:
    gemini.fault = lambda _point, facts: "429:minute:9" if facts["call"] == 1 else None
    assert refused(Ask(text="hello")).retry_after == 9
    assert throttle.closed("gemini:gemini-3.8-flash") == pytest.approx(9, abs=1)
    assert not throttle.closed("gemini:gemini-2.5-flash")


# Money ----------------------------------------------------------------------------------------


class Book:
    """A purse that writes everything down."""

    def __init__(self, *, shut: bool = False) -> None:
        self.asked: list[Usage] = []
        self.had: list[Usage] = []
        self.over = 0
        self._shut = shut

    def ask(self, usage: Usage) -> None:
        self.asked.append(usage)
        if self._shut:
            raise BudgetError("budget_reached", "No more.", "Raise it.")

    def paid(self, usage: Usage) -> None:
        self.had.append(usage)

    def released(self) -> None:
        self.over += 1


@pytest.mark.parametrize(
    "ask",
    [
        Ask(text=WISH, schema=INLINE, system="You write."),
        Ask(text="一座山與一條河。" * 40),
        Ask(text="a hill", want="picture", pictures=(b"\x89PNG",) * 2),
        Ask(text="Good morning to everybody here. " * 9, want="speech"),
        Ask(text="各位早安，今天天氣很好。" * 9, want="speech"),
    ],
    ids=["script", "chinese", "picture", "speech", "chinese speech"],
)
def test_a_call_never_uses_more_than_it_was_asked_for(gemini: Gemini, ask: Ask) -> None:
    book = Book()
    with spending.listening(book):
        answer = port.generate(ask)
    assert book.had == [answer.usage]
    (most,) = book.asked
    numbers = ("calls", "input_tokens", "output_tokens", "pictures", "characters")
    assert all(getattr(most, name) >= getattr(answer.usage, name) for name in numbers)
    assert (most.service, most.model) == ("gemini", answer.model)


def test_a_call_that_would_pass_the_budget_is_not_made(gemini: Gemini) -> None:
    with spending.listening(Book(shut=True)):
        assert isinstance(refused(Ask(text="hello", model=TWO)), BudgetError)
    assert not gemini.calls


@pytest.mark.parametrize("fault", ["block:SAFETY", "finish:SAFETY", "finish:MALFORMED_RESPONSE"])
def test_what_was_answered_is_paid_whatever_it_is_worth(gemini: Gemini, fault: str) -> None:
    gemini.fault = lambda *_: fault
    book = Book()
    with spending.listening(book):
        refused(Ask(text="hello"))
    (paid,) = book.had
    assert paid.input_tokens == gemini.calls[0].paid["promptTokenCount"]


def test_what_was_asked_for_an_answer_that_never_came_is_released(gemini: Gemini) -> None:
    gemini.fault = lambda *_: "503"
    book = Book()
    with spending.listening(book):
        refused(Ask(text="hello"))
    assert (len(book.asked), book.had, book.over) == (1, [], 1)


@pytest.mark.parametrize("told", [{}, {"promptTokenCount": 9, "totalTokenCount": 9}])
@pytest.mark.parametrize("want", ["text", "speech"])
def test_an_answer_that_does_not_say_what_it_used_tells_nothing(
    gemini: Gemini, monkeypatch: pytest.MonkeyPatch, want: Any, told: dict[str, int]
) -> None:
    monkeypatch.setattr(_gemini, "_usage", lambda *_: told)
    book = Book()
    with spending.listening(book):
        port.generate(Ask(text="Good morning.", want=want))
    (paid,) = book.had
    assert prices.silent(paid)


# The older SDK's schema ---------------------------------------------------------------------------


def test_references_and_choices_of_null_are_resolved_for_the_older_sdk() -> None:
    scene = {"type": "object", "properties": {"narration": {"type": "string"}}}
    assert older_schema(SCHEMA)["properties"]["scenes"] == {"type": "array", "items": scene}
    nullable = {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}], "title": "T"}
    assert older_schema(nullable) == {"type": "string", "nullable": True}
    assert older_schema({"type": ["integer", "null"]}) == {"type": "integer", "nullable": True}
    assert older_schema({"const": 4}) == {"type": "string", "enum": ["4"]}
    assert older_schema({"type": "array", "items": {"type": "string"}, "minItems": 2}) == {
        "type": "array",
        "items": {"type": "string"},
        "min_items": 2,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [{"type": "string"}]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": ["string", "integer"]},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"$ref": "#", "properties": {}},
        {"properties": {"a": {"$ref": "#"}}},
        {"properties": {"a": True}},
    ],
)
def test_what_the_older_sdk_has_no_words_for_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        older_schema(schema)
    assert caught.value.code == "gemini_sdk_limited"


# The local server itself ------------------------------------------------------------------------


def post(gemini: Gemini, model: str, body: Any, *, method: str = "generateContent") -> Any:
    address = gemini.root.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(address, timeout=10)
    head = {"x-goog-api-key": gemini.key, "Content-Type": "application/json"}
    connection.request("POST", f"/v1beta/models/{model}:{method}", json.dumps(body), head)
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()
    return document if response.status == 200 else document["error"]["message"]


def said(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"contents": [{"parts": [{"text": "hello"}]}], "generationConfig": config, **more}


FLASH, TTS, OLD_TTS, IMAGE = (
    "gemini-3.8-flash",
    "gemini-3.8-flash-tts",
    "gemini-2.5-flash-preview-tts",
    "gemini-3.1-flash-image",
)
AUDIO = {"response_modalities": ["AUDIO"]}


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (FLASH, said({"temprature": 1}), 'Unknown name "temprature"'),
        (FLASH, said({}, tools=[]), 'Unknown name "tools"'),
        (FLASH, {"contents": []}, "contents is not specified"),
        (FLASH, said({"responseSchema": {}}), "response mime type"),
        (FLASH, said({"responseJsonSchema": {}, "responseSchema": {}}), "Only one of"),
        (FLASH, said({"response_modalities": ["IMAGE"]}), "is not supported by the model"),
        (FLASH, {"contents": [{"role": "robot", "parts": [{"text": "x"}]}]}, "valid role"),
        (
            FLASH,
            said(
                {
                    "responseMimeType": "application/json",
                    "responseSchema": {"type": "OBJECT", "additionalProperties": False},
                }
            ),
            'Unknown name "additionalProperties"',
        ),
        (TTS, said({}), "response modalities"),
        (TTS, said({**AUDIO, "temperature": 1}), "not supported by this model"),
        (
            TTS,
            said(
                {
                    **AUDIO,
                    "speech_config": {
                        "voice_config": {"prebuilt_voice_config": {"voice_name": "Bob"}}
                    },
                }
            ),
            "Voice name Bob",
        ),
        (
            OLD_TTS,
            {
                "contents": [{"parts": [{"text": "x", "speech_metadata": {"style": "sad"}}]}],
                "generation_config": AUDIO,
            },
            "speech_metadata is not supported",
        ),
        (IMAGE, said({"image_config": {"aspect_ratio": "2:1"}}), "aspect_ratio"),
    ],
)
def test_the_local_gemini_is_strict(model: str, body: Any, words: str) -> None:
    with Gemini() as server:
        assert words in post(server, model, body)
        assert len(server.violations) == 1


def test_the_local_gemini_takes_both_spellings_and_counts() -> None:
    schema = {"type": 6, "properties": {"min_items": {"type": 1}}}
    config = {"response_mime_type": "application/json", "response_schema": schema}
    with Gemini() as server:
        answer = post(server, FLASH, said(config))
        text = answer["candidates"][0]["content"]["parts"][0]["text"]
        assert set(json.loads(text)) == {"min_items"}
        counted = post(server, FLASH, {"contents": said({})["contents"]}, method="countTokens")
        assert counted == {"totalTokens": 2}
        assert not server.violations


def test_the_local_gemini_keeps_its_limits(gemini: Gemini) -> None:
    gemini.per_minute = 1
    port.generate(Ask(text="hello"))
    error = refused(Ask(text="hello again"))
    assert (error.code, error.retry_after) == ("gemini_rate", 1)


def test_answers_come_in_their_order_and_may_be_made_of_the_prompt(gemini: Gemini) -> None:
    gemini.answers = ["one", lambda prompt, body: prompt.upper()]
    assert [port.generate(Ask(text="hello")).text for _ in range(2)] == ["one", "HELLO"]
    assert re.search(r"\w{4}", port.generate(Ask(text="hello")).text)


def test_many_threads_share_one_client(gemini: Gemini) -> None:
    made = set[int]()

    def one(number: int) -> Answer:
        made.add(id(port.port()))
        return port.generate(Ask(text=f"hello {number}"))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1
    assert len(gemini.calls) == 6
