"""What the calls of the chosen providers would be paid for, before any is made: for estimates."""

from __future__ import annotations

from typing import Literal

from app.models import Language
from app.spending import Usage

Kind = Literal["script", "speech", "picture"]

FREE = frozenset(("template", "kokoro", "hibari", "openjtalk", "cards", "pexels", "pixabay"))
"""Providers that take no money."""
WORDS_IN, WORDS_OUT = 2000, 2000
"""Tokens of a script's prompt, and of what is thought and written beside its narration."""
PROMPT = 150
"""Tokens of what a picture's or a voice's model is told beside the text itself."""
LETTERS: dict[Language, float] = {"en": 4.0, "zh-TW": 1.2, "ja": 1.2}
"""Characters of narration to a token."""
PACE: dict[Language, float] = {"en": 15.0, "zh-TW": 4.5, "ja": 5.5}
"""Characters of narration to a second."""
SOUND = 25
"""Tokens to a second of speech."""


def first(chain: str) -> str:
    """Return the provider that is asked first, of a setting that may name several."""
    return chain.split(",", maxsplit=1)[0].strip()


def model(kind: Kind, name: str) -> str:
    """Return the model that a provider asks first; empty where it has none."""
    if name == "gemini":
        from app.providers.gemini import config

        want: dict[Kind, config.Want] = {
            "script": "text",
            "speech": "speech",
            "picture": "picture",
        }
        return config.models(config.get().models_for(want[kind]))[0]
    if name == "openai":
        from app.providers import openai

        return openai.get().openai_model
    return ""


def usage(
    kind: Kind, chain: str, *, calls: int, seconds: float, language: Language
) -> Usage | None:
    """Return about what the calls of one kind use; None where none of them costs money.

    Args:
        kind: What is asked for.
        chain: The setting that names the providers.
        calls: How many calls.
        seconds: Of speech, in all.
        language: The project's.
    """
    name = first(chain)
    if name in FREE or not calls:
        return None
    letters = round(seconds * PACE[language])
    words = round(letters / LETTERS[language])
    spent: dict[str, int] = {
        "script": {"input_tokens": WORDS_IN, "output_tokens": WORDS_OUT + 2 * words},
        "speech": {
            "input_tokens": calls * PROMPT + words,
            "output_tokens": round(SOUND * seconds),
            "characters": letters,
        },
        "picture": {"input_tokens": calls * PROMPT, "pictures": calls},
    }[kind]
    return Usage(service=name, model=model(kind, name), calls=calls, **spent)
