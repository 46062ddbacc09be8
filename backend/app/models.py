"""Frozen values that travel between the rooms of the house. No behaviour beyond checking."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from app.errors import ReelchainError

Language = Literal["en", "zh-TW", "ja"]
Shape = Literal["16:9", "9:16", "1:1"]
CaptionStyle = Literal["karaoke", "phrase", "boxed", "clean"]
Framing = Literal["auto", "crop", "blur", "solid"]
CardKind = Literal["title", "statement", "list", "quote", "number", "end"]
Privacy = Literal["private", "unlisted", "public"]
Stage = Literal[
    "script_generation",
    "asset_generation",
    "video_rendering",
    "thumbnail_generation",
    "youtube_upload",
]
StageStatus = Literal["pending", "running", "completed", "failed"]
ProjectStatus = Literal["pending", "running", "waiting", "completed", "failed", "cancelled"]

FRAME_SIZES: dict[str, tuple[int, int]] = {
    "16:9": (1920, 1080),
    "9:16": (1080, 1920),
    "1:1": (1080, 1080),
}
"""Width and height in pixels of each shape."""

FPS = 30
"""Frames per second of every video."""


class Value(BaseModel):
    """Base of all values: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


def _feeds(stage: Stage | None) -> dict[str, Any]:
    return {"stage": stage}


def _moment(given: Any) -> Any:
    """Refuse a time that says no zone: a guess would publish at another hour on another machine."""
    if given is None or isinstance(given, datetime):
        moment = given
    else:
        try:
            moment = datetime.fromisoformat(str(given).strip())
        except ValueError:
            raise ValueError(
                "it is a time with its zone, such as 2030-05-01T18:00+02:00 or 2030-05-01T16:00Z"
            ) from None
    if moment is not None and moment.utcoffset() is None:
        here = moment.astimezone().isoformat(timespec="minutes")
        raise ValueError(f"it says no time zone; in this machine's it is {here}")
    return moment


def _lowered(given: Any) -> Any:
    return str(given).strip().lower() if isinstance(given, str | int) else given


def _none(given: Any) -> Any:
    return None if isinstance(given, str) and given.strip().lower() == "none" else given


class ProjectSpec(Value):
    """What the user asked for. Each field names the first stage that reads it, or none.

    A change of a field remakes from that stage on, and never an earlier one.
    """

    topic: Annotated[str, StringConstraints(max_length=2000)] | None = Field(
        default=None, json_schema_extra=_feeds("script_generation")
    )
    """A bare idea; the template writer makes a script of it."""
    source: str | None = Field(default=None, json_schema_extra=_feeds("script_generation"))
    """Story file below the project's `source/` folder (`.md`, `.txt`, `.yaml`)."""
    title: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None, json_schema_extra=_feeds("script_generation")
    )
    description: Annotated[str, StringConstraints(max_length=4500)] | None = Field(
        default=None, json_schema_extra=_feeds("script_generation")
    )
    tags: tuple[Annotated[str, StringConstraints(max_length=100)], ...] = Field(
        default=(), max_length=50, json_schema_extra=_feeds("script_generation")
    )
    notes: Annotated[str, StringConstraints(max_length=4000)] | None = Field(
        default=None, json_schema_extra=_feeds("script_generation")
    )
    """What the writer of a topic is to know or to say."""
    audience: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None, json_schema_extra=_feeds("script_generation")
    )
    """Who the video is for, for the writer of a topic."""
    tone: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None, json_schema_extra=_feeds("script_generation")
    )
    """How it speaks, for the writer of a topic."""
    sources: tuple[Annotated[str, StringConstraints(max_length=200)], ...] = Field(
        default=(), max_length=20, json_schema_extra=_feeds("script_generation")
    )
    """Files below `source/` that the writer works from and cites: text, Markdown, PDF."""
    strict: bool = Field(default=False, json_schema_extra=_feeds("script_generation"))
    """Fail rather than fall back to another provider than the first one asked for."""
    budget: Annotated[float, Field(ge=0, le=100_000)] | None = Field(
        default=None, json_schema_extra=_feeds(None)
    )
    """US dollars that services may cost this project; None is the setting PROJECT_BUDGET."""
    language: Language = Field(default="en", json_schema_extra=_feeds("script_generation"))
    length: float = Field(default=40, ge=10, le=3600, json_schema_extra=_feeds("script_generation"))
    """Wanted duration in seconds, for the writer of a bare topic."""
    voice: str | None = Field(default=None, json_schema_extra=_feeds("asset_generation"))
    """Name of a voice; the language's default otherwise."""
    speed: float = Field(default=1.0, ge=0.5, le=2.0, json_schema_extra=_feeds("asset_generation"))
    """Speaking rate, 1.0 is the voice's own."""
    pronunciations: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=60)],
        Annotated[str, StringConstraints(min_length=1, max_length=120)],
    ] = Field(default={}, max_length=500, json_schema_extra=_feeds("asset_generation"))
    """Words as written → how they are said, for the voices of this machine: other words of the
    language, pinyin with tone numbers (`zh-TW`) or kana (`ja`)."""
    style: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,40}$")] = Field(
        default="paper", json_schema_extra=_feeds("asset_generation")
    )
    framing: Framing = Field(default="auto", json_schema_extra=_feeds("asset_generation"))
    """How pictures of another shape fill the frame: as far as nothing is lost that matters (`auto`),
    cropped (`crop`), or whole over a blurred or a plain ground (`blur`, `solid`)."""
    shape: Shape = Field(default="16:9", json_schema_extra=_feeds("asset_generation"))
    captions: bool = Field(default=True, json_schema_extra=_feeds("video_rendering"))
    """Burn captions into the picture; SRT, VTT and ASS are written in any case."""
    caption_style: CaptionStyle | None = Field(
        default=None, json_schema_extra=_feeds("video_rendering")
    )
    """How captions look; None is what the style says."""
    pause: float = Field(default=1.0, ge=0.3, le=4.0, json_schema_extra=_feeds("video_rendering"))
    """Length of the pauses between sentences and scenes, 1.0 the usual."""
    music: str = Field(default="auto", json_schema_extra=_feeds("video_rendering"))
    """`auto` (a bed of our own), `none`, or a sound file below `source/`."""
    privacy: Privacy = Field(default="private", json_schema_extra=_feeds("youtube_upload"))
    """Who may see the published video; said with every upload."""
    publish_at: Annotated[AwareDatetime | None, BeforeValidator(_moment)] = Field(
        default=None, json_schema_extra=_feeds("youtube_upload")
    )
    """When a private video becomes public by itself, with its time zone."""
    category: Annotated[
        str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9 &-]{0,40}$"), BeforeValidator(_lowered)
    ] = Field(default="people", json_schema_extra=_feeds("youtube_upload"))
    """The publisher's category: a name, or its number."""
    made_for_kids: bool = Field(default=False, json_schema_extra=_feeds("youtube_upload"))
    """The declaration that the law asks of who publishes for children."""
    synthetic_media: bool = Field(default=True, json_schema_extra=_feeds("youtube_upload"))
    """The declaration that voice or pictures are made by a machine."""
    notify: bool = Field(default=True, json_schema_extra=_feeds("youtube_upload"))
    """Tell the channel's subscribers of the video."""
    playlist: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=150)] | None,
        BeforeValidator(_none),
    ] = Field(default=None, json_schema_extra=_feeds("youtube_upload"))
    """Title of the channel's playlist that the video is added to; made where there is none.
    `none` is no playlist, also where a batch gives its own."""


FEEDS: dict[str, Stage | None] = {
    name: cast("dict[str, Stage | None]", field.json_schema_extra)["stage"]
    for name, field in ProjectSpec.model_fields.items()
}
"""Spec field → the first stage that reads it; None where no stage makes anything of it."""


class Visual(Value):
    """What a scene shows: a picture below `source/`, or a typographic card."""

    kind: Literal["picture", "card"] = "card"
    path: str | None = None
    """Relative to the project's `source/`, for a picture."""
    alt: str = ""
    prompt: Annotated[str, StringConstraints(max_length=2000)] = ""
    """What a picture shows that a provider is to make, where a card stands otherwise."""
    card: CardKind | None = None
    """Which design a card has, as someone wished: no provider's picture takes its place. None lets
    the words decide."""
    suggested: CardKind | None = None
    """Which design the form of a story's text suggests, such as a list; it gives way to a picture."""
    keywords: tuple[Annotated[str, StringConstraints(max_length=80)], ...] = Field(
        default=(), max_length=10
    )
    """What a stock of pictures is searched for; English finds the most."""

    @property
    def may_be_found(self) -> bool:
        """Whether a provider may be asked for a picture: nobody gave one, or wished for a card."""
        return self.kind == "card" and self.card is None


class Scene(Value):
    """One scene: what is said, what is shown."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    narration: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    heading: Annotated[str, StringConstraints(max_length=300)] = ""
    visual: Visual = Visual()


class Script(Value):
    """A whole video in words; `script.json` on disk."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    description: Annotated[str, StringConstraints(max_length=4500)] = ""
    tags: tuple[Annotated[str, StringConstraints(max_length=100)], ...] = ()
    language: Language = "en"
    origin: str = "user"
    """Who wrote it: `user`, `template writer`, or a provider's name."""
    scenes: tuple[Scene, ...] = Field(min_length=1, max_length=2000)


class Word(Value):
    """A spoken word and when it sounds.

    `start` and `end` are seconds from the start of the sound file; `span` is the half-open range
    of code points in the text as written. Words are in order and do not overlap.
    """

    text: str
    start: float
    end: float
    span: tuple[int, int]


class Speech(Value):
    """Facts of one spoken sentence: 24 kHz mono 16-bit WAV of `samples` samples.

    `timing` says how its words' times came to be: from the voice's own model (`exact`), by a
    recogniser of speech (`aligned`), or by their length alone (`proportional`).
    """

    text: str
    voice: str
    provider: str
    sample_rate: int
    samples: int
    words: tuple[Word, ...]
    timing: Literal["exact", "aligned", "proportional"] = "exact"

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate


class Artifact(Value):
    """A file some stage made. `path` is relative to the project's folder, POSIX style."""

    path: str
    size: int
    sha256: str
    inputs: str
    """Digest of everything it was made from."""


class ErrorFact(Value):
    """An error as the state remembers it."""

    type: str
    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    traceback: str = ""
    """Where it came from, without secrets: for the worker's keeper, not for the viewer."""

    @classmethod
    def of(cls, error: ReelchainError, trace: str = "") -> ErrorFact:
        """Return what is to be remembered of an error."""
        return cls(
            type=type(error).__name__,
            code=error.code,
            message=error.message,
            hint=error.hint,
            retryable=error.retryable,
            traceback=trace,
        )


class Event(Value):
    """One progress message, as published on `progress:{project_id}`."""

    project_id: int
    stage: str
    progress: int
    """Of the whole run, 0-100; never falls within a run."""
    message: str
    timestamp: str
    stage_progress: int = 0
    status: str = "running"
    run: int = 0
    code: str = ""
    eta_seconds: float | None = None
    error: dict[str, Any] | None = None
    seq: int = 0
    final: bool = False
    """True on the last event of a run: it completed, failed, was cancelled or did its part."""
