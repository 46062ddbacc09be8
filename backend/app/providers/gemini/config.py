"""The settings of Gemini."""

from __future__ import annotations

import importlib.util
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr

from app import settings
from app.errors import InputError

Want = Literal["text", "picture", "speech"]
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def models(text: str) -> tuple[str, ...]:
    """Return the models that a setting names, the first choice first."""
    return tuple(part.strip().removeprefix("models/") for part in text.split(",") if part.strip())


def _named(text: str) -> str:
    found = models(text)
    if not found or not all(_MODEL.fullmatch(model) for model in found):
        raise ValueError("names of models, with commas between them")
    return text


Models = Annotated[str, AfterValidator(_named)]
"""One model, or several with commas between them: the next is used when one can't be."""


class GeminiSettings(settings.Base):
    """What `.env.example` explains, field for field."""

    gemini_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("gemini_api_key", "google_api_key")
    )
    gemini_base_url: str = Field(
        default="https://generativelanguage.googleapis.com/", pattern=r"^https?://[^\s?#]+$"
    )
    gemini_sdk: Literal["google-genai", "google-generativeai"] = "google-genai"
    gemini_text_model: Models = "gemini-3.8-flash"
    gemini_image_model: Models = "gemini-3.1-flash-image"
    gemini_speech_model: Models = "gemini-3.8-flash-tts"
    gemini_voice: str = Field(default="Kore", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    gemini_timeout: float = Field(default=120, gt=0, le=3600)
    """Seconds after which a call is given up."""
    gemini_at_once: int = Field(default=5, ge=1, le=100)
    """Calls of one model that all workers together may have on their way."""
    gemini_per_minute: int = Field(default=0, ge=0)
    """Calls of one model that all workers together may begin in a minute; 0 is no limit."""

    def models_for(self, want: Want) -> str:
        """Return the models for what is wanted, as the setting has them."""
        return {
            "text": self.gemini_text_model,
            "picture": self.gemini_image_model,
            "speech": self.gemini_speech_model,
        }[want]


def get() -> GeminiSettings:
    """Return the settings.

    Raises:
        InputError: `setting_invalid`.
    """
    return settings.load(GeminiSettings)


def ready() -> None:
    """Make sure there are a key and the SDK; sends nothing, and does not load the SDK.

    Raises:
        InputError: `gemini_key_missing`, `gemini_sdk_missing`.
    """
    config = get()
    check_key(config)
    try:
        found = importlib.util.find_spec(config.gemini_sdk.replace("-", ".", 1))
    except ImportError:  # there is nothing of Google's at all
        found = None
    if found is None:
        raise sdk_missing(config)


def check_key(config: GeminiSettings) -> None:
    """Make sure there is a key.

    Raises:
        InputError: `gemini_key_missing`.
    """
    if config.gemini_api_key is None or not config.gemini_api_key.get_secret_value().strip():
        raise InputError(
            "gemini_key_missing",
            "There is no key for Gemini.",
            "Get one at aistudio.google.com/apikey and set GEMINI_API_KEY.",
        )
    key = config.gemini_api_key.get_secret_value()
    if not key.isascii() or not key.isprintable():
        raise InputError(
            "gemini_key_missing",
            "GEMINI_API_KEY holds characters that no key has.",
            "Copy it again from aistudio.google.com/apikey.",
        )


def sdk_missing(config: GeminiSettings) -> InputError:
    """Return the error of an SDK that is not installed."""
    return InputError(
        "gemini_sdk_missing",
        f"{config.gemini_sdk} is not installed (GEMINI_SDK).",
        "Leave GEMINI_SDK at google-genai, or install the extra gemini-legacy: "
        "docs/dependencies.md has how.",
    )
