"""What the pipeline asks of the outside: a Protocol per kind, one table of dotted paths.

A provider gets values and a target path, never a project. It is imported on first use. To add
one: a file in this folder and a line in `TABLE` (see docs/adding.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

from pydantic import AwareDatetime, Field, StringConstraints

from app import disk
from app.errors import InputError
from app.models import Language, Privacy, ProjectSpec, Script, Shape, Speech, Value

T = TypeVar("T")

Report = Callable[[float], None]
"""Called with the fraction done (0-1). It may raise, to stop the work."""


class SourceText(Value):
    """Something the user gave the writer to work from: its name and its words."""

    name: str
    text: str


class ScriptRequest(Value):
    """What a script writer gets: the idea, the language, the wanted length in seconds.

    `speed` is the speaking rate that the length is meant at, 1.0 the voice's own.
    """

    topic: str
    language: Language
    seconds: float
    title: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    notes: str | None = None
    audience: str | None = None
    tone: str | None = None
    sources: tuple[SourceText, ...] = ()
    speed: float = 1.0
    pictures: bool = False
    """Whether each scene is to say what its picture shows (`visual.prompt`, `visual.keywords`)."""


class ScriptWriter(Protocol):
    """Turns an idea into a script."""

    name: ClassVar[str]
    version: ClassVar[str]

    def write(self, request: ScriptRequest) -> Script: ...


class SpeechRequest(Value):
    """One sentence to say. `voice` None is the language's default; `speed` 1.0 the voice's own.

    `pronunciations` are words of the text as written → how they are said: other words of the
    language, pinyin with tone numbers (`zh-TW`) or kana (`ja`). Voices of services pass them over.
    """

    text: str
    language: Language
    voice: str | None = None
    speed: float = 1.0
    pronunciations: Mapping[str, str] = {}


class Voice(Value):
    """A voice a provider offers. `credit` must be shown where it is not empty."""

    name: str
    language: Language
    description: str
    credit: str = ""
    credit_url: str = ""


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


class PictureRequest(Value):
    """What a scene's picture is to show.

    Attributes:
        prompt: What is seen, in words.
        keywords: What a stock of pictures is searched for, the most telling first.
        look: One line that all pictures of a video share, so that they go together.
        shape: The frame's.
        language: The project's.
        seed: The same for all pictures of a project.
        number: Which scene's, from 0: a stock gives different scenes different pictures.
    """

    prompt: str
    keywords: tuple[str, ...] = ()
    look: str = ""
    shape: Shape = "16:9"
    language: Language = "en"
    seed: int = 0
    number: int = 0


class Picture(Value):
    """Facts of a picture that was made or found. `credit` must be shown where it is not empty."""

    provider: str
    model: str = ""
    credit: str = ""
    credit_url: str = ""


class PictureProvider(Protocol):
    """Makes or finds a picture."""

    name: ClassVar[str]
    version: ClassVar[str]

    def concurrency(self) -> int:
        """Return how many pictures are best asked for at once; above 1, `draw` is thread-safe."""
        ...

    def draw(self, request: PictureRequest, target: Path) -> Picture:
        """Write a JPEG or PNG, as the target's name ends or not, of at least 1024 px to `target`.

        Raises:
            PermanentError: The service does not draw this: the same prompt again is no use.
        """
        ...


class Announcement(Value):
    """What is told about a video where it is published."""

    title: str
    description: str
    tags: tuple[str, ...]
    language: Language
    privacy: Privacy = "private"
    publish_at: AwareDatetime | None = None
    category: str = "people"
    made_for_kids: bool = False
    synthetic_media: bool = True
    notify: bool = True
    playlist: str | None = None

    @classmethod
    def of(cls, script: Script, spec: ProjectSpec, thanks: Sequence[str] = ()) -> Announcement:
        """Return what a script and a project's fields say.

        Args:
            script: The script.
            spec: The project's fields.
            thanks: Lines that follow the description: whose pictures are shown.
        """
        own = spec.model_dump(include=set(cls.model_fields) & set(ProjectSpec.model_fields))
        told = {
            name: getattr(script, name) for name in ("title", "description", "tags", "language")
        }
        told["description"] = "\n\n".join(filter(None, (script.description, "\n".join(thanks))))
        return cls(**{**own, **told})


class PublishRequest(Announcement):
    """A finished video and what is told about it. Paths are absolute."""

    project_id: int
    marker: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,80}$")]
    """Names this publication; the same marker again is the same publication."""
    short: bool = False
    """Square or upright, and three minutes at most: some services treat such videos otherwise."""
    files: dict[str, str]
    """Role (`video`, `thumbnail`, `captions_srt`, `captions_vtt`, `captions_ass`) → absolute path."""
    sha256: dict[str, str]
    """Role → SHA-256 of the file, as hexadecimal digits."""

    @property
    def identity(self) -> str:
        """Digest of the video itself and the words about it, without what is added later."""
        later = {"files", "sha256", "playlist", "notify", "short"}
        told = self.model_dump(mode="json", exclude=later)
        return disk.digest([told, self.sha256["video"]])


class Published(Value):
    """Where a video is now. `url` is a watch address, or a file URI."""

    url: str
    video_id: str
    facts: dict[str, Any] = Field(default_factory=dict)
    """What else is worth remembering: privacy, playlist, how its processing ended."""


class Tariff(Value):
    """What a service's calls cost of which quota of the day."""

    service: str
    key: str
    """Names the key or client whose quota it is; never the key itself."""
    as_of: str
    """Date of the table, ISO 8601."""
    limits: dict[str, int]
    """Bucket → units a day."""
    costs: dict[str, tuple[str, int]]
    """Call → its bucket, and its units."""
    per_video: dict[str, int]
    """Call → how many of it publishing one video takes at most."""


class Desk(Protocol):
    """What a publisher may ask of the house while it works on one publication."""

    def load(self) -> dict[str, Any]:
        """Return what was saved last for this publication, `{}` at first."""
        ...

    def save(self, facts: Mapping[str, Any]) -> None:
        """Keep `facts` durably before this returns (private, never logged)."""
        ...

    def visible(self, published: Published) -> None:
        """Record that the video exists out there from now on, before anything else is done."""
        ...

    def report(self, done: float, what: str = "start", **facts: object) -> None:
        """Tell the fraction done (0-1), and what is done now. It may raise, to stop the work.

        Args:
            done: Of the whole publication.
            what: `start`, `film`, `extras` or `processing`: which message (`upload_…`) is shown.
            facts: What the message holds.
        """
        ...

    def warn(self, sentence: str) -> None:
        """Tell the user something that is not an error."""
        ...

    def retrying(self, unit: Callable[[], T]) -> T:
        """Call `unit`, again after 2, 5 and 10 s while it raises a `TransientError`."""
        ...

    def pause(self, seconds: float) -> None:
        """Wait. It may raise, to stop the work."""
        ...

    def book(self, call: str) -> None:
        """Book a call of the publisher's tariff, before it is made."""
        ...

    def reserve(self, calls: Mapping[str, int]) -> None:
        """Keep the quota of all calls to come free for this publication.

        Args:
            calls: Call → how many; what was reserved before is replaced.

        Raises:
            QuotaError: `quota_spent`, with the seconds until the quota's next day.
        """
        ...

    def refused(self, call: str, seconds: float | None) -> float:
        """Tell that the service refused a call for its quota.

        Args:
            call: The call.
            seconds: How long it is to be left alone; None is until the quota's next day.

        Returns:
            The seconds until it may be tried again.
        """
        ...


class Publisher(Protocol):
    """Brings a video to its public, once, resumably, never half visible."""

    name: ClassVar[str]
    version: ClassVar[str]
    replaces: ClassVar[bool]
    """True where an edited video takes the place of the earlier one at the same address."""

    def tariff(self) -> Tariff | None:
        """Return what its calls cost; None where there is no quota."""
        ...

    def check(self, announcement: Announcement) -> None:
        """Raise `InputError` for what the service would refuse. Sends nothing."""
        ...

    def publish(self, request: PublishRequest, desk: Desk) -> Published:
        """Publish, or go on with what an earlier call began for the same marker."""
        ...


TABLE: dict[str, dict[str, str]] = {
    "script": {
        "template": "app.providers.template.TemplateWriter",
        "gemini": "app.providers.gemini.writer.GeminiWriter",
        "openai": "app.providers.openai.OpenAIWriter",
    },
    "speech": {
        "kokoro": "app.providers.kokoro.KokoroSpeech",
        "hibari": "app.providers.hibari.HibariSpeech",
        "openjtalk": "app.providers.openjtalk.OpenJTalkSpeech",
        "gemini": "app.providers.gemini.speech.GeminiSpeech",
    },
    "picture": {
        "cards": "",
        "gemini": "app.providers.gemini.pictures.GeminiPictures",
        "pexels": "app.providers.pexels.PexelsPictures",
        "pixabay": "app.providers.pixabay.PixabayPictures",
    },
    "publisher": {
        "folder": "app.providers.folder.FolderPublisher",
        "youtube": "app.providers.youtube.YouTubePublisher",
    },
}
"""Kind → name → dotted path of the class, which takes no arguments; `cards` is no provider: the
assets stage draws the words themselves."""

NEEDS: dict[str, str] = {
    "gemini": "app.providers.gemini.config.ready",
    "openai": "app.providers.openai.ready",
    "pexels": "app.providers.pexels.ready",
    "pixabay": "app.providers.pixabay.ready",
}
"""Name → dotted path of the function that raises an `InputError` where a key, a model or an SDK is
not there. It sends nothing and loads no SDK; who works on this machine has none."""

SPEAK_HERE = ("kokoro", "hibari", "openjtalk")
"""Speech providers of this machine, the most natural first: they need no key and take no money."""

_made: dict[tuple[str, str], Any] = {}


def names(kind: str) -> tuple[str, ...]:
    """Return the names of the providers of `kind`, the default first."""
    return tuple(TABLE[kind])


def chain(setting: str) -> tuple[str, ...]:
    """Return the names in a setting that takes several with commas, the first choice first."""
    return tuple(dict.fromkeys(part.strip() for part in setting.split(",") if part.strip()))


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


def ready(kind: str, name: str) -> None:
    """Make sure there is a provider of that name, and what it can't do without. Sends nothing.

    Raises:
        InputError: `provider_unknown`, or what is missing: a key, a model, an SDK.
    """
    check(kind, name)
    if name in NEEDS:
        module, _, attribute = NEEDS[name].rpartition(".")
        getattr(importlib.import_module(module), attribute)()


def script_writer(name: str) -> ScriptWriter:
    """Return the script writer called `name`."""
    writer: ScriptWriter = get("script", name)
    return writer


def speech(name: str) -> SpeechProvider:
    """Return the speech provider called `name`."""
    provider: SpeechProvider = get("speech", name)
    return provider


def picture(name: str) -> PictureProvider:
    """Return the picture provider called `name`."""
    provider: PictureProvider = get("picture", name)
    return provider


def publisher(name: str) -> Publisher:
    """Return the publisher called `name`."""
    provider: Publisher = get("publisher", name)
    return provider
