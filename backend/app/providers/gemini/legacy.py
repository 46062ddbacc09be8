"""Gemini by google-generativeai, Google's first SDK, without support since November 2025.

It knows nothing of pictures' sides and seeds, of thinking and of JSON Schema, and has to be told of
pictures and speech in words that its own classes lack. Sides are asked for in the text, a seed is
left out, a schema is put into the older form; what is left is refused before anything is sent.
"""

from __future__ import annotations

import warnings
from typing import Any

from app.providers.gemini import _requests, refusals
from app.providers.gemini._older_schema import limited, older_schema
from app.providers.gemini.config import GeminiSettings
from app.providers.gemini.port import Answer, Ask, GeminiPort, Media
from app.providers.gemini.refusals import RefusedError
from app.spending import Usage

with warnings.catch_warnings():
    # each import says that support has ended; docs/dependencies.md says it, too
    warnings.simplefilter("ignore")
    import google.generativeai as genai
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from google.generativeai import client
    from google.protobuf import json_format

_LOST = (requests.RequestException, GoogleAuthError, exceptions.GoogleAPIError, OSError)
_ODD = (json_format.Error, ValueError, TypeError, AttributeError)
"""What is raised of an answer that is no JSON, or of another shape."""


def make(config: GeminiSettings) -> GeminiPort:
    """Return the port; the SDK's settings are those of the whole process."""
    return LegacyPort(config)


class LegacyPort:
    """The SDK over REST, its transport over gRPC can't be sent elsewhere by an address."""

    def __init__(self, config: GeminiSettings) -> None:
        self._key = config.gemini_api_key.get_secret_value() if config.gemini_api_key else ""
        genai.configure(
            api_key=self._key.strip(),
            transport="rest",
            client_options={"api_endpoint": config.gemini_base_url.rstrip("/")},
        )
        transport = client.get_default_generative_client().transport
        transport._session.max_redirects = 0  # noqa: SLF001 - they would take the key along
        # else it renews a key that can't be renewed, and sends the same again twice
        transport._session._refresh_status_codes = ()  # noqa: SLF001 - there is no public way

    def generate(self, ask: Ask, *, timeout: float) -> Answer:
        """Ask once, see `GeminiPort`."""
        model = genai.GenerativeModel(ask.model, system_instruction=ask.system or None)
        contents, config = _contents(ask), _config(ask)
        try:
            response = model.generate_content(
                contents,
                generation_config=config,
                # its own retries would go on for ten minutes
                request_options={"retry": None, "timeout": timeout},
            )
        except exceptions.GoogleAPICallError as error:
            raise RefusedError(_refusal(error, self._key)) from None
        except _LOST as error:
            raise RefusedError(refusals.lost(error, secret=self._key)) from None
        except _ODD as error:
            raise RefusedError(refusals.garbled(error)) from None
        return _answer(response, ask)


def _refusal(error: exceptions.GoogleAPICallError, secret: str) -> refusals.Refusal:
    answer = error.response
    if not isinstance(answer, requests.Response):
        return refusals.lost(error, secret=secret)
    try:
        document = answer.json()
    except ValueError:
        document = {"message": answer.text}
    return refusals.read(answer.status_code, document, answer.headers, secret=secret)


def _contents(ask: Ask) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"inline_data": {"mime_type": _requests.picture_mime(data), "data": data}}
        for data in ask.pictures
    ]
    text = ask.text
    if ask.want == "picture":
        text = f"{text}\n\nAspect ratio: {ask.aspect}."
    elif ask.want == "speech":
        if ask.style and _requests.takes_style(ask.model):
            raise limited(f"no style of speech for {ask.model}")
        text = _requests.spoken(ask.model, text, ask.style)
    return [{"role": "user", "parts": [*parts, {"text": text}]}]


def _config(ask: Ask) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if ask.want != "speech" and ask.temperature is not None:
        facts["temperature"] = ask.temperature
    if ask.want == "text":
        facts["max_output_tokens"] = ask.most_tokens
        if ask.schema is not None:
            facts["response_mime_type"] = "application/json"
            facts["response_schema"] = older_schema(ask.schema)
    elif ask.want == "picture":
        facts["response_modalities"] = ["IMAGE"]
    else:
        voice = {"prebuilt_voice_config": {"voice_name": ask.voice}}
        facts["response_modalities"] = ["AUDIO"]
        facts["speech_config"] = {"voice_config": voice}
    return facts


def _answer(response: Any, ask: Ask) -> Answer:
    candidate = response.candidates[0] if response.candidates else None
    parts = list(candidate.content.parts) if candidate is not None else []
    media = tuple(
        Media(mime=part.inline_data.mime_type, data=part.inline_data.data)
        for part in parts
        if part.inline_data.data
    )
    counted = response.usage_metadata
    total = counted.total_token_count - counted.prompt_token_count
    return Answer(
        text="".join(part.text for part in parts),
        media=media,
        finish=_name(candidate.finish_reason) if candidate is not None else "",
        block=_name(response.prompt_feedback.block_reason),
        usage=Usage(
            service="gemini",
            model=ask.model,
            input_tokens=counted.prompt_token_count,
            # what the model thought is in the total only: this SDK has no name for it
            output_tokens=max(counted.candidates_token_count, total),
            pictures=len(media) if ask.want == "picture" else 0,
            characters=len(ask.text) if ask.want == "speech" and media else 0,
        ),
        model=ask.model,
    )


def _name(value: Any) -> str:
    """Return the name of an enum's value; numbers that this SDK does not know stay numbers."""
    name = str(getattr(value, "name", value))
    return "" if name in {"0", ""} or name.endswith("_UNSPECIFIED") else name
