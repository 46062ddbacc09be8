"""What the program knows about written language: tags, sentences, line breaks, reading time.

Spans are half-open ranges of code points. Every function takes linear time in its text, and
importing this package loads no data: the BudouX models are read on first use.
"""

from __future__ import annotations

from app.language._clusters import width
from app.language._phrases import LEANING, OPENING, phrases, shortened
from app.language._reading import (
    CHARACTERS_PER_SECOND,
    KANJI_MORAE,
    LANGUAGES,
    LEGIBLE_SPEED,
    LETTERS_PER_SECOND,
    MORAE_PER_SECOND,
    PAUSE_SECONDS,
    detect,
    normalise,
    reading_seconds,
    speakable,
)
from app.language._scripts import emoji_spans, strip_emoji, unsupported, visible
from app.language._sentences import SENTENCE_COLUMNS, sentences
from app.models import Language

__all__ = [
    "CHARACTERS_PER_SECOND",
    "KANJI_MORAE",
    "LANGUAGES",
    "LEANING",
    "LEGIBLE_SPEED",
    "LETTERS_PER_SECOND",
    "MORAE_PER_SECOND",
    "OPENING",
    "PAUSE_SECONDS",
    "SENTENCE_COLUMNS",
    "Language",
    "detect",
    "emoji_spans",
    "normalise",
    "phrases",
    "reading_seconds",
    "sentences",
    "shortened",
    "speakable",
    "strip_emoji",
    "unsupported",
    "visible",
    "width",
]
