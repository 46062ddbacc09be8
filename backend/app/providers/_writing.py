"""What all writers with a model share: the order, the checks, asking again, the length, the sources.

A service's own file only says how one conversation is put to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from app import keeping
from app import language as lang
from app.errors import PermanentError
from app.models import Scene, Script, Visual
from app.providers import ScriptRequest
from app.providers import _prompt as prompt
from app.providers._answer import (
    MOST_CHARACTERS,
    Unusable,
    Written,
    WrittenScene,
    read,
    within,
)

VERSION = "1"
"""Of the order and the checks: part of each writer's own."""
MOST_ASKED = 3
"""The order, and two corrections."""
FITS, ACCEPTED = 0.15, 0.25
"""Share of the wanted time by which a script may miss it; the second where asking did not help."""
_REPEATED = 20_000
"""Characters of a wrong answer that its writer is shown again."""
_DESCRIPTION = 4500
"""Bytes of a description: what YouTube takes (5,000), less a margin for what it is given besides."""
_SOURCES: dict[lang.Language, str] = {
    "en": "Sources: ",
    "zh-TW": "\u8cc7\u6599\u4f86\u6e90\uff1a",
    "ja": "\u51fa\u5178\uff1a",
}
_JOINT: dict[lang.Language, str] = {"en": "; ", "zh-TW": "\uff1b", "ja": "\u3001"}
_MORE: dict[lang.Language, str] = {
    "en": "; and {count} more",
    "zh-TW": "\uff1b\u53ca\u5176\u4ed6 {count} \u4efd",
    "ja": "\u3001\u307b\u304b {count} \u4ef6",
}


@dataclass(frozen=True)
class Turn:
    """What one side said."""

    role: Literal["user", "model"]
    text: str


@dataclass(frozen=True)
class Conversation:
    """What a model is to answer.

    Attributes:
        system: Its standing orders.
        turns: What was said, the user's last.
        schema: The form of its answer, as a JSON Schema.
        most_tokens: What the answer may take, with room to think.
    """

    system: str
    turns: tuple[Turn, ...]
    schema: dict[str, Any]
    most_tokens: int

    def flat(self) -> str:
        """Return all turns as one text, for services that are asked one question."""
        if len(self.turns) == 1:
            return self.turns[0].text
        names = {"user": "You were asked", "model": "You answered"}
        parts = [f"{names[turn.role]}:\n{turn.text}" for turn in self.turns[:-1]]
        return "\n\n".join((*parts, self.turns[-1].text))

    def answered(self, text: str, then: str) -> Conversation:
        """Return the conversation with an answer and what is said to it."""
        shown = text[:_REPEATED].encode("utf-8", "replace").decode()
        shown += " \u2026" if len(text) > _REPEATED else ""
        turns = (*self.turns, Turn("model", shown or "(nothing)"), Turn("user", then))
        return replace(self, turns=turns)


@dataclass(frozen=True)
class Reply:
    """A model's answer, and which model gave it."""

    text: str
    model: str


def write(request: ScriptRequest, ask: Callable[[Conversation], Reply], *, name: str) -> Script:
    """Return a script by a model, checked; it is asked again, twice at most, where it must be.

    Args:
        request: What is wanted.
        ask: Puts one conversation to the model; its errors go through.
        name: The writer's, as in the table of providers.

    Raises:
        PermanentError: `script_unusable`, `script_length`.
    """
    conversation = _begun(request)
    found: list[tuple[float, Written, str]] = []
    problem = ""
    for _ in range(MOST_ASKED):
        reply = _kept(conversation, ask, name)
        try:
            written = read(reply.text, request)
        except Unusable as error:
            problem = str(error)
            conversation = conversation.answered(reply.text, prompt.correction(problem))
            continue
        seconds = written.seconds(request)
        if _miss(seconds, request) <= FITS:
            return _script(written, request, f"{name} ({reply.model})")
        found.append((seconds, written, reply.model))
        said = "\n".join(scene.narration for scene in written.scenes)
        conversation = conversation.answered(reply.text, prompt.resized(request, said, seconds))
    if not found:
        raise PermanentError(
            "script_unusable",
            f"What {name} wrote can't be used: {problem}.",
            "Run the project again to ask anew, word the topic otherwise, or set another "
            "SCRIPT_PROVIDER or model.",
        )
    return _nearest(found, request, name)


def _begun(request: ScriptRequest) -> Conversation:
    units = prompt.size(request).most
    return Conversation(
        system=prompt.system(request),
        turns=(Turn("user", prompt.order(request)),),
        schema=prompt.schema(request),
        # a word or a character is one or two tokens, pictures and headings as many, thought more
        most_tokens=min(65_536, 8192 + 6 * units),
    )


def _kept(conversation: Conversation, ask: Callable[[Conversation], Reply], name: str) -> Reply:
    """Return the answer to a conversation: the one that was paid for before, if it is kept."""

    def call() -> str:
        reply = ask(conversation)
        return json.dumps({"text": reply.text[: MOST_CHARACTERS + 1], "model": reply.model})

    inputs = {
        "writer": name,
        "system": conversation.system,
        "turns": [turn.text for turn in conversation.turns],
    }
    return Reply(**json.loads(keeping.answer(inputs, call)))


# -- length -----------------------------------------------------------------------------------


def _miss(seconds: float, request: ScriptRequest) -> float:
    return abs(seconds / request.seconds - 1)


def _nearest(found: list[tuple[float, Written, str]], request: ScriptRequest, name: str) -> Script:
    """Return the script nearest to the wanted time, without its last sentences if it is too long.

    Raises:
        PermanentError: `script_length`.
    """
    tried = []
    for seconds, written, model in found:
        if request.seconds * (1 + FITS) < seconds <= request.seconds * 2:
            written = _trimmed(written, request)  # noqa: PLW2901 - the same script, shorter
        tried.append((_miss(written.seconds(request), request), written, model))
    miss, written, model = min(tried, key=lambda one: one[0])
    if miss > ACCEPTED:
        raise PermanentError(
            "script_length",
            f"What {name} wrote takes {written.seconds(request):.0f} seconds to say, and "
            f"{request.seconds:g} are wanted; asking again did not help.",
            "Ask for another length, give it more to tell in notes or sources, or run the project "
            "again to ask anew.",
        )
    return _script(written, request, f"{name} ({model})")


def _trimmed(written: Written, request: ScriptRequest) -> Written:
    """Return a script without the last sentences of its longest scenes, until it fits."""
    language = request.language
    texts = [scene.narration for scene in written.scenes]
    spans = [lang.sentences(text, language) for text in texts]
    times = [
        [lang.reading_seconds(text[a:b], language) for a, b in cuts]
        for text, cuts in zip(texts, spans, strict=True)
    ]
    over = sum(map(sum, times)) - request.seconds * request.speed * (1 + FITS / 2)
    while over > 0:
        longest = max(range(len(times)), key=lambda at: sum(times[at]) * (len(times[at]) > 1))
        if len(times[longest]) < 2:
            break
        over -= times[longest].pop()
    scenes = tuple(
        replace(scene, narration=scene.narration[: cuts[len(left) - 1][1]])
        for scene, cuts, left in zip(written.scenes, spans, times, strict=True)
    )
    return written.with_scenes(scenes)


# -- the script --------------------------------------------------------------------------------


def _script(written: Written, request: ScriptRequest, origin: str) -> Script:
    """Return a script in the house's form; what the user said of title and tags wins."""
    return Script(
        title=request.title or written.title,
        description=_described(request.description or written.description, written, request),
        tags=request.tags or within(written.tags),
        language=request.language,
        origin=origin,
        scenes=tuple(_scene(number, scene) for number, scene in enumerate(written.scenes, 1)),
    )


def _scene(number: int, scene: WrittenScene) -> Scene:
    return Scene(
        id=f"s{number:03d}",
        heading=scene.heading,
        narration=scene.narration,
        visual=Visual(prompt=scene.picture, keywords=scene.keywords),
    )


def _described(text: str, written: Written, request: ScriptRequest) -> str:
    """Return the description with the sources named below it.

    A writer that names none of them is taken to have used all: it was given nothing else.
    """
    own = request.description is not None
    if not request.sources:
        return text if own else _cut(text, _DESCRIPTION, request.language)
    used = written.used or tuple(range(1, len(request.sources) + 1))
    names = list(dict.fromkeys(_name(request.sources[at - 1].name) for at in used))
    room = _DESCRIPTION - (len(text.encode()) if own else 0)
    cited = _cited(names, min(room - 2, _DESCRIPTION // 2), request.language)
    body = text if own else _cut(text, _DESCRIPTION - len(cited.encode()) - 2, request.language)
    return "\n\n".join(filter(None, (body, cited)))


def _name(name: str) -> str:
    return " ".join(name.replace("<", " ").replace(">", " ").split())


def _cited(names: list[str], room: int, language: lang.Language) -> str:
    """Return the line of sources in at most `room` bytes; how many are not named is said."""
    joint = _JOINT[language]
    for shown in range(len(names), 0, -1):
        rest = len(names) - shown
        more = _MORE[language].format(count=rest) if rest else ""
        line = f"{_SOURCES[language]}{joint.join(names[:shown])}{more}"
        if len(line.encode()) <= room:
            return line
    return ""


def _cut(text: str, room: int, language: lang.Language) -> str:
    """Return whole sentences of a text, in at most `room` bytes."""
    if len(text.encode()) <= room:
        return text
    kept = ""
    for _, end in lang.sentences(text, language):
        if len(text[:end].encode()) > room:
            break
        kept = text[:end]
    return kept
