"""Whether a script can be said: asked before anything is made, and without a voice's model."""

from __future__ import annotations

import re
from collections.abc import Mapping

from app import language
from app.errors import InputError
from app.models import Language, Script

_PLAIN = re.compile(r"[A-Za-z0-9]")
_COMMON: dict[Language, tuple[str, int, int]] = {
    "zh-TW": ("big5", 0xA4, 0xC0),
    "ja": ("euc_jp", 0xB0, 0xCF),
}
"""Where a language's common Han characters stand: an encoding and the first bytes they have in it
(Big5's first plane but for its last rows, JIS level 1). Its reader has a sound for each of them.
"""


def check(script: Script, pronunciations: Mapping[str, str]) -> None:
    """Refuse a script with a sentence of which no voice of its language can say anything.

    Args:
        script: What is to be said, sentence by sentence.
        pronunciations: Words as written → how they are said.

    Raises:
        InputError: `speech_empty`, naming the scene and the sentence.
    """
    for scene in script.scenes:
        for start, end in language.sentences(scene.narration, script.language):
            text = scene.narration[start:end]
            if not can(text, script.language, pronunciations):
                raise InputError(
                    "speech_empty",
                    f"Scene {scene.id}: no voice for {script.language} can say {text[:60]!r}.",
                    "Write it in the language of the project, or give the words that it is said "
                    "with under `pronunciations`.",
                )


def can(text: str, spoken: Language, pronunciations: Mapping[str, str]) -> bool:
    """Tell whether a voice of a language can say anything of a sentence.

    Args:
        text: The sentence.
        spoken: The language.
        pronunciations: Words as written → how they are said.
    """
    listed = any(word.casefold() in text.casefold() for word in pronunciations)
    if not listed and (_PLAIN.search(text) or any(_is_common(c, spoken) for c in text)):
        return True
    from app.providers import kokoro  # costs the dictionaries; few sentences need them

    return bool(kokoro.READERS[spoken](text, pronunciations).spans)


def _is_common(character: str, spoken: Language) -> bool:
    if spoken not in _COMMON:
        return False
    encoding, first, last = _COMMON[spoken]
    code = character.encode(encoding, "ignore")
    return len(code) == 2 and first <= code[0] <= last
