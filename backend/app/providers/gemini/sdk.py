"""Gemini by google-genai, the SDK that Google maintains."""

from __future__ import annotations

import logging
import math
import ssl
import time
import weakref
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx2
from google import genai
from google.genai import errors, types

from app.providers.gemini import _requests, refusals
from app.providers.gemini.config import GeminiSettings
from app.providers.gemini.port import ANSWERED, Answer, Ask, GeminiPort, Media
from app.providers.gemini.refusals import Refusal, RefusedError
from app.spending import Usage

for _logger in ("google_genai", "httpx2"):  # a line a call, and one for each picture
    logging.getLogger(_logger).setLevel(logging.ERROR)

VERSION = "v1"
MOST_BYTES = 64_000_000
"""Above this an answer is given up; a picture of 4K takes half of it."""
_LOST = (httpx2.HTTPError, httpx2.InvalidURL, OSError)


def make(config: GeminiSettings) -> GeminiPort:
    """Return the port, with a connection pool of its own."""
    return GenaiPort(config)


class GenaiPort:
    """The client, held for as long as its settings are in force: it closes itself when it goes."""

    def __init__(self, config: GeminiSettings) -> None:
        self._key = config.gemini_api_key.get_secret_value() if config.gemini_api_key else ""
        trust = _trust()
        # one that follows no redirects: they would take the key along
        http = _Client(verify=trust, timeout=config.gemini_timeout)
        weakref.finalize(self, http.close)
        self._client = genai.Client(
            api_key=self._key,
            enterprise=False,  # whatever the environment says: the key is of the Developer API
            http_options=types.HttpOptions(
                base_url=config.gemini_base_url,
                api_version=VERSION,
                timeout=_milliseconds(config.gemini_timeout),
                retry_options=None,  # who tries again is the stage
                httpx_client=http,
                # without these it reads the certificates twice more, for calls we do not make
                async_client_args={"verify": trust, "ssl": trust},
            ),
        )

    def generate(self, ask: Ask, *, timeout: float) -> Answer:
        """Ask once, see `GeminiPort`."""
        contents, config = _contents(ask), _config(ask, timeout)
        try:
            response = self._client.models.generate_content(
                model=ask.model, contents=contents, config=config
            )
        except errors.APIError as error:
            headers = getattr(error.response, "headers", None) or {}
            found = refusals.read(error.code or 0, error.details, headers, secret=self._key)
            raise RefusedError(found) from None
        except _LOST as error:
            raise RefusedError(refusals.lost(error, secret=self._key)) from None
        except _GivenUp as error:
            raise RefusedError(Refusal(ANSWERED, message=str(error))) from None
        # no JSON, of another shape, or nested without end
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise RefusedError(refusals.garbled(error)) from None
        return _answer(response, ask)


class _GivenUp(Exception):  # noqa: N818 - never leaves this file
    """An answer that began as one, and was given up; Google counts it all the same."""


class _Client(httpx2.Client):
    """A client whose time-out is that of a whole answer, and whose answers have an end.

    httpx means the time between two pieces, so who drips would never be done.
    """

    def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,  # noqa: ARG002 - the base class's; nobody here reads by pieces
        **more: Any,
    ) -> httpx2.Response:
        """Return the whole answer, also where a stream is asked for.

        Raises:
            httpx2.HTTPError: None came, or no whole one.
            _GivenUp: The same of one that Google counts.
        """
        patience = request.extensions.get("timeout", {}).get("read")
        end = math.inf if patience is None else time.monotonic() + patience
        answer = super().send(request, stream=True, **more)
        try:
            body = b"".join(_pieces(answer, end))
        except httpx2.HTTPError as error:
            if answer.status_code != ANSWERED:
                raise
            raise _GivenUp(str(error) or type(error).__name__) from None
        finally:
            answer.close()
        headers = [fact for fact in answer.headers.multi_items() if fact[0] not in _OF_THE_WIRE]
        return httpx2.Response(answer.status_code, headers=headers, content=body, request=request)


_OF_THE_WIRE = frozenset(("content-encoding", "content-length", "transfer-encoding"))
"""Headers that say how an answer came, and nothing of what it is."""


def _pieces(answer: httpx2.Response, end: float) -> Iterator[bytes]:
    size = 0
    for piece in answer.iter_bytes():
        size += len(piece)
        if size > MOST_BYTES:
            raise httpx2.ReadError("the answer is too large", request=answer.request)
        if time.monotonic() > end:
            raise httpx2.ReadTimeout("the answer took too long", request=answer.request)
        yield piece


@cache
def _trust() -> ssl.SSLContext:
    """Return the certificates, which take a tenth of a second to read."""
    return httpx2.create_ssl_context()


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _contents(ask: Ask) -> Any:
    parts = [
        types.Part(inline_data=types.Blob(mime_type=_requests.picture_mime(data), data=data))
        for data in ask.pictures
    ]
    if ask.want != "speech":
        parts.append(types.Part(text=ask.text))
    else:
        styled = bool(ask.style) and _requests.takes_style(ask.model)
        parts.append(
            types.Part(
                text=_requests.spoken(ask.model, ask.text, ask.style),
                speech_metadata=types.SpeechMetadata(style=ask.style) if styled else None,
            )
        )
    return [types.Content(role="user", parts=parts)]


def _config(ask: Ask, timeout: float) -> types.GenerateContentConfig:
    facts: dict[str, Any] = {
        "http_options": types.HttpOptions(timeout=_milliseconds(timeout)),
        "automatic_function_calling": types.AutomaticFunctionCallingConfig(disable=True),
        "system_instruction": ask.system or None,
        "seed": ask.seed,
    }
    if ask.want != "speech":  # newer voices refuse a temperature
        facts["temperature"] = ask.temperature
    if ask.want == "text":
        facts["max_output_tokens"] = ask.most_tokens
        if ask.schema is not None:
            facts |= {"response_mime_type": "application/json", "response_json_schema": ask.schema}
    elif ask.want == "picture":
        facts["response_modalities"] = ["IMAGE"]
        facts["image_config"] = types.ImageConfig(aspect_ratio=ask.aspect)
    else:
        voice = types.PrebuiltVoiceConfig(voice_name=ask.voice)
        facts["response_modalities"] = ["AUDIO"]
        facts["speech_config"] = types.SpeechConfig(
            voice_config=types.VoiceConfig(prebuilt_voice_config=voice)
        )
    return types.GenerateContentConfig(**facts)


def _answer(response: types.GenerateContentResponse, ask: Ask) -> Answer:
    candidate = (response.candidates or [types.Candidate()])[0]
    parts = (candidate.content.parts if candidate.content else None) or []
    said = [part for part in parts if not part.thought]
    media = tuple(
        Media(mime=part.inline_data.mime_type or "", data=part.inline_data.data)
        for part in said
        if part.inline_data is not None and part.inline_data.data
    )
    feedback = response.prompt_feedback
    return Answer(
        text="".join(part.text or "" for part in said),
        media=media,
        finish=_name(candidate.finish_reason),
        block=_name(feedback.block_reason) if feedback else "",
        usage=_usage(response.usage_metadata, ask, len(media)),
        model=ask.model,
    )


def _name(value: Any) -> str:
    name = str(getattr(value, "value", value) or "")
    return "" if name.endswith("_UNSPECIFIED") else name


def _usage(
    counted: types.GenerateContentResponseUsageMetadata | None, ask: Ask, media: int
) -> Usage:
    counted = counted or types.GenerateContentResponseUsageMetadata()
    return Usage(
        service="gemini",
        model=ask.model,
        input_tokens=counted.prompt_token_count or 0,
        output_tokens=(counted.candidates_token_count or 0) + (counted.thoughts_token_count or 0),
        pictures=media if ask.want == "picture" else 0,
        characters=len(ask.text) if ask.want == "speech" and media else 0,
    )
