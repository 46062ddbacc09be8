"""What the house asks of Gemini, whichever SDK carries it: one question, one answer."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

from app import spending
from app.errors import ReelchainError
from app.models import Value
from app.providers.gemini import _models, refusals
from app.providers.gemini import config as configuration
from app.providers.gemini.config import GeminiSettings, Want
from app.providers.gemini.refusals import RefusedError
from app.spending import Usage

log = logging.getLogger(__name__)

ANSWERED = 200

_ADAPTERS = {
    "google-genai": "app.providers.gemini.sdk",
    "google-generativeai": "app.providers.gemini.legacy",
}
"""GEMINI_SDK → the module that speaks by it; both have `make(config)`."""
_making = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One question.

    Attributes:
        text: What is asked, drawn or said.
        model: One model, or several with commas between them, the first choice first; empty is
            what the settings name for what is wanted.
        system: Who the model is to be.
        schema: A JSON Schema that the text of the answer is to follow.
        want: What is to come back.
        aspect: A picture's sides, such as 16:9.
        voice: Who speaks; empty is GEMINI_VOICE.
        style: How it is spoken.
        most_tokens: Most tokens of a text; what the model thinks counts as well.
        temperature: None is the model's own; speech takes none.
        seed: The same for answers that are to be alike.
        pictures: PNG or JPEG, for the model to look at.
    """

    text: str
    model: str = ""
    system: str = ""
    schema: dict[str, Any] | None = None
    want: Want = "text"
    aspect: str = "16:9"
    voice: str = ""
    style: str = ""
    most_tokens: int = 8192
    temperature: float | None = None
    seed: int | None = None
    pictures: tuple[bytes, ...] = ()


class Media(Value):
    """A picture or a recording."""

    mime: str
    data: bytes


class Answer(Value):
    """What came back.

    Attributes:
        text: Its words, without the model's thoughts.
        media: Its pictures or recordings.
        finish: Why it ended, as Google says it: STOP; MAX_TOKENS where it was cut.
        block: Why the prompt was not answered; `generate` makes an error of it.
        usage: What it cost.
        model: Who was asked.
    """

    text: str = ""
    media: tuple[Media, ...] = ()
    finish: str = ""
    block: str = ""
    usage: Usage
    model: str


class GeminiPort(Protocol):
    """One SDK."""

    def generate(self, ask: Ask, *, timeout: float) -> Answer:
        """Ask the one model that `ask` names, once, and return whatever it answers.

        Raises:
            RefusedError: There is no answer.
            InputError: `gemini_sdk_limited`, before anything is sent.
        """
        ...


def port() -> GeminiPort:
    """Return the SDK that the settings name, made on first use.

    Raises:
        InputError: `gemini_key_missing`, `gemini_sdk_missing`.
    """
    return _port(configuration.get())


def _port(config: GeminiSettings) -> GeminiPort:
    configuration.check_key(config)
    with _making:  # two threads that come first shall not make one each
        return _made(config)


@lru_cache(maxsize=4)
def _made(config: GeminiSettings) -> GeminiPort:
    try:
        module = importlib.import_module(_ADAPTERS[config.gemini_sdk])
    except ImportError:
        raise configuration.sdk_missing(config) from None
    make: Callable[[GeminiSettings], GeminiPort] = module.make
    return make(config)


def generate(ask: Ask) -> Answer:
    """Ask a model, or the next of those named where one is spent, gone or overloaded for long.

    One try of one model is made a call: whoever calls tries again what is worth it.

    Raises:
        ReelchainError: What the refusal means; `BudgetError` before a call that may pass the
            budget; `InputError` where a key or the SDK is missing.
    """
    config = configuration.get()
    sdk = _port(config)
    ask = replace(ask, voice=ask.voice or config.gemini_voice)
    names = configuration.models(ask.model or config.models_for(ask.want))
    refused: list[ReelchainError] = []
    for number, name in enumerate(names):
        model = _models.Model(name, config, last=number == len(names) - 1)
        try:
            model.ready()
            return _asked(sdk, model, replace(ask, model=name))
        except _models.NextError as error:
            refused.append(error.why)
            log.warning("gemini: %s is passed over: %s", name, error.why)
    raise _models.soonest(refused)


def _asked(sdk: GeminiPort, model: _models.Model, ask: Ask) -> Answer:
    try:
        with model.slot(), spending.call(_most(ask)):  # not before: the turn may be waited for
            answer = _answered(sdk, ask, model.config.gemini_timeout)
    except RefusedError as refused:
        # the SDK's own words may hold what is secret
        raise model.refused(refused.refusal, hash((ask.want, ask.system, ask.text))) from None
    model.worked(hash((ask.want, ask.system, ask.text)))
    whole = bool(answer.media) if ask.want != "text" else bool(answer.text)
    fault = refusals.judged(
        model=ask.model,
        block=answer.block,
        finish=answer.finish,
        whole=whole or (ask.want == "text" and answer.finish == "MAX_TOKENS"),
    )
    if fault is not None:
        raise fault
    return answer


def _answered(sdk: GeminiPort, ask: Ask, timeout: float) -> Answer:
    untold = Usage(service="gemini", model=ask.model)
    try:
        answer = sdk.generate(ask, timeout=timeout)
    except RefusedError as refused:
        if refused.refusal.code == ANSWERED:  # it can't be read, and is paid for all the same
            spending.paid(untold)
        raise
    used = answer.usage
    # tokens are what is paid for: characters alone, or a prompt's tokens alone, tell no price
    told = used.output_tokens or used.pictures or not (answer.text or answer.media)
    spending.paid(used if told else untold)
    return answer


def _most(ask: Ask) -> Usage:
    """Return the most that an answer may use."""
    asked = tokens(ask.system + ask.text + (str(ask.schema) if ask.schema else ""))
    spoken = len(ask.text) if ask.want == "speech" else 0
    return Usage(
        service="gemini",
        model=ask.model,
        input_tokens=asked + _TOKENS_OF_A_PICTURE * len(ask.pictures),
        output_tokens={
            "text": ask.most_tokens,
            "picture": _TOKENS_OF_A_PICTURE,
            "speech": _TOKENS_A_SPOKEN_CHARACTER * spoken + 50,
        }[ask.want],
        pictures=1 if ask.want == "picture" else 0,
        characters=spoken,
    )


_TOKENS_OF_A_PICTURE = 2520
"""The most that one of 4K counts for; smaller ones take half of it."""
_TOKENS_A_SPOKEN_CHARACTER = 10
"""Speech counts 25 tokens a second; the slowest language says three characters in it."""


def tokens(text: str) -> int:
    """Return about how many tokens a text has, rather too many than too few."""
    plain = sum(character.isascii() for character in text)
    return plain // 3 + 2 * (len(text) - plain) + 16
