"""What the pipeline asks of the outside: a Protocol per kind, one table of dotted paths.

A provider gets values and a target path, never a project. It is imported on first use. To add
one: a file in this folder and a line in `TABLE` (see docs/adding.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import StringConstraints

from app.errors import InputError
from app.models import Language, Script, Speech, Value

Report = Callable[[float], None]
"""Called with the fraction done (0-1). It may raise, to stop the work."""


class ScriptRequest(Value):
    """What a script writer gets: the idea, the language, the wanted length in seconds."""

    topic: str
    language: Language
    seconds: float
    title: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()


class ScriptWriter(Protocol):
    """Turns an idea into a script."""

    name: ClassVar[str]
    version: ClassVar[str]

    def write(self, request: ScriptRequest) -> Script: ...


class SpeechRequest(Value):
    """One sentence to say. `voice` None is the language's default; `speed` 1.0 the voice's own."""

    text: str
    language: Language
    voice: str | None = None
    speed: float = 1.0


class Voice(Value):
    """A voice a provider offers."""

    name: str
    language: Language
    description: str


class SpeechProvider(Protocol):
    """Says one sentence into a file and knows when each word sounds."""

    name: ClassVar[str]
    version: ClassVar[str]

    def voices(self) -> tuple[Voice, ...]: ...

    def concurrency(self) -> int:
        """Return how many sentences are best spoken at once; above 1, `speak` is thread-safe."""
        ...

    def speak(self, request: SpeechRequest, target: Path) -> Speech:
        """Write 24 kHz mono 16-bit WAV to `target`; return its words with exact times."""
        ...


class PublishRequest(Value):
    """A finished video and what is told about it. Paths are absolute."""

    project_id: int
    marker: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,80}$")]
    """Names this publication; the same marker again is the same publication."""
    title: str
    description: str
    tags: tuple[str, ...]
    language: Language
    files: dict[str, str]
    """Role (`video`, `thumbnail`, `captions_srt`, `captions_vtt`) → absolute path."""
    sha256: dict[str, str]
    """Role → SHA-256 of the file, as hexadecimal digits."""


class PublishSession(Protocol):
    """Where a publisher keeps what it needs to go on after a crash (private, never logged)."""

    def load(self) -> dict[str, Any]:
        """Return what was saved last, `{}` at first."""
        ...

    def save(self, facts: Mapping[str, Any]) -> None:
        """Keep `facts` durably before this returns."""
        ...


class Published(Value):
    """Where a video is now. `url` is a watch address, or a file URI."""

    url: str
    video_id: str


class Publisher(Protocol):
    """Brings a video to its public, once, resumably, never half visible."""

    name: ClassVar[str]
    version: ClassVar[str]
    replaces: ClassVar[bool]
    """True where an edited video takes the place of the earlier one at the same address."""

    def publish(
        self, request: PublishRequest, session: PublishSession, report: Report
    ) -> Published: ...


TABLE: dict[str, dict[str, str]] = {
    "script": {"template": "app.providers.template.TemplateWriter"},
    "speech": {
        "kokoro": "app.providers.kokoro.KokoroSpeech",
        "hibari": "app.providers.hibari.HibariSpeech",
    },
    "publisher": {"folder": "app.providers.folder.FolderPublisher"},
}
"""Kind → name → dotted path of the class, which takes no arguments."""

_made: dict[tuple[str, str], Any] = {}


def names(kind: str) -> tuple[str, ...]:
    """Return the names of the providers of `kind`, the default first."""
    return tuple(TABLE[kind])


def get(kind: str, name: str) -> Any:
    """Return the provider, made on first use and kept for the life of the process.

    Raises:
        InputError: `provider_unknown`, with the names there are.
    """
    check(kind, name)
    if (kind, name) not in _made:
        module, _, attribute = TABLE[kind][name].rpartition(".")
        _made[kind, name] = getattr(importlib.import_module(module), attribute)()
    return _made[kind, name]


def check(kind: str, name: str) -> None:
    """Make sure there is a provider of that name.

    Raises:
        InputError: `provider_unknown`, with the names there are.
    """
    if name not in TABLE[kind]:
        raise InputError(
            "provider_unknown",
            f"There is no {kind} provider called {name!r}.",
            f"Choose one of: {', '.join(TABLE[kind])}.",
        )


def script_writer(name: str) -> ScriptWriter:
    """Return the script writer called `name`."""
    writer: ScriptWriter = get("script", name)
    return writer


def speech(name: str) -> SpeechProvider:
    """Return the speech provider called `name`."""
    provider: SpeechProvider = get("speech", name)
    return provider


def publisher(name: str) -> Publisher:
    """Return the publisher called `name`."""
    provider: Publisher = get("publisher", name)
    return provider
