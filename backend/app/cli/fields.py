"""Options for a project's settings, the same for each command that makes one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from app.errors import InputError

FIELDS: dict[str, Any] = {
    "language": Annotated[
        str | None, typer.Option(help="en, zh-TW or ja; found out from the text otherwise.")
    ],
    "shape": Annotated[str | None, typer.Option(help="16:9, 9:16 or 1:1.")],
    "style": Annotated[str | None, typer.Option(help="A named style.")],
    "voice": Annotated[str | None, typer.Option(help="A voice's name.")],
    "speed": Annotated[float | None, typer.Option(help="Rate of the voice, 1 its own; 0.5 to 2.")],
    "pause": Annotated[
        float | None, typer.Option(help="Length of the pauses, 1 the usual; 0.3 to 4.")
    ],
    "pronunciations": Annotated[
        list[str] | None,
        typer.Option(
            "--say",
            help="A word as written, and how it is said; may be repeated.",
            metavar="WORD=READING",
        ),
    ],
    "framing": Annotated[
        str | None,
        typer.Option(help="How pictures fill the frame: auto, crop, blur or solid."),
    ],
    "length": Annotated[float | None, typer.Option(help="Seconds wanted, for a bare topic.")],
    "notes": Annotated[
        str | None, typer.Option(help="What the writer of a topic is to know or to say.")
    ],
    "audience": Annotated[str | None, typer.Option(help="Who it is for, for a bare topic.")],
    "tone": Annotated[str | None, typer.Option(help="How it speaks, for a bare topic.")],
    "sources": Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help="Text, Markdown or PDF that the writer of a topic works from; may be repeated.",
            metavar="FILE",
        ),
    ],
    "music": Annotated[str | None, typer.Option(help="auto or none.")],
    "title": Annotated[str | None, typer.Option(help="The video's title.")],
    "captions": Annotated[
        bool | None,
        typer.Option("--captions/--no-captions", help="Burn captions into the picture."),
    ],
    "caption_style": Annotated[
        str | None, typer.Option(help="How captions look: karaoke, phrase, boxed or clean.")
    ],
    "privacy": Annotated[str | None, typer.Option(help="private, unlisted or public.")],
    "publish_at": Annotated[
        str | None,
        typer.Option(
            help="When a private video becomes public: 2030-05-01T18:00+02:00.", metavar="TIME"
        ),
    ],
    "category": Annotated[str | None, typer.Option(help="The publisher's category.")],
    "playlist": Annotated[
        str | None, typer.Option(help="The channel's playlist it is added to, or none.")
    ],
    "made_for_kids": Annotated[
        bool | None,
        typer.Option("--made-for-kids/--not-made-for-kids", help="Declare it made for children."),
    ],
    "synthetic_media": Annotated[
        bool | None,
        typer.Option("--synthetic/--no-synthetic", help="Declare it made by a machine."),
    ],
    "notify": Annotated[
        bool | None, typer.Option("--notify/--no-notify", help="Tell the channel's subscribers.")
    ],
    "budget": Annotated[
        float | None, typer.Option(help="US dollars that services may cost.", metavar="USD")
    ],
}
"""Field of `ProjectSpec` → its option."""


def _said(given: list[str]) -> dict[str, str]:
    """Return `WORD=READING` options as the field they fill.

    Raises:
        InputError: `pronunciation_invalid`.
    """
    said = {}
    for one in given:
        word, equals, reading = one.partition("=")
        if not (word.strip() and equals and reading.strip()):
            raise InputError(
                "pronunciation_invalid",
                f"--say {one[:60]!r} is not WORD=READING.",
                "Write the word as it stands in the text, =, and how it is said.",
            )
        said[word.strip()] = reading.strip()
    return said


def options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each of `FIELDS`; it gets those that were set as `given`."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[:-1]

    @functools.wraps(command)
    def wrapped(**arguments: Any) -> None:
        fields = {name: arguments.pop(name) for name in FIELDS}
        given = {name: v for name, v in fields.items() if v not in (None, [])}
        if "pronunciations" in given:
            given["pronunciations"] = _said(given["pronunciations"])
        command(**arguments, given=given)

    kind = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(n, kind, default=None, annotation=a) for n, a in FIELDS.items()]
    parameters = [parameter.replace(kind=kind) for parameter in own] + more
    # what Typer reads the options from
    setattr(wrapped, "__signature__", inspect.Signature(parameters))  # noqa: B010 - no field of its type
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped
