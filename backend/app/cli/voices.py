"""The command `voices`: who can speak, and `voices say`: how it sounds."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import money, output
from app.errors import InputError
from app.models import Language

if TYPE_CHECKING:
    from app.models import Speech
    from app.providers import SpeechRequest, Voice
    from app.spending import Usage

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Spoken = Annotated[str | None, typer.Option(help="en, zh-TW or ja.")]
To = Annotated[
    Path | None,
    typer.Option(
        "--to", metavar="FILE.wav", show_default="NAME.wav here", help="Where the sound is written."
    ),
]

SAMPLES: dict[Language, str] = {
    "en": "The lighthouse was lit for the first time on May 5, 1862, and 30 ships passed that night.",
    "zh-TW": "1862年5月5日，燈塔第一次點亮，那天晚上有30艘船經過。",
    "ja": "1862年5月5日、灯台に初めて明かりがともり、その夜は30隻の船が通りました。",
}
"""What a voice says where nothing else is given: numbers and a date show how it reads."""

_NEEDS = {"gemini_key_missing": "a key", "gemini_sdk_missing": "its SDK"}
"""Error → what a voice waits for, in brief."""

group = typer.Typer(help="List the voices; `voices say` lets one speak into a file.")


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(group, name="voices")


@group.callback(invoke_without_command=True)
def voices(context: typer.Context, language: Spoken = None, json: Json = False) -> None:
    """List the voices; `voices say NAME` lets one speak into a file."""
    if context.invoked_subcommand is not None:
        return
    spoken = None if language is None else _language(language)
    rows = [row for row in _rows() if spoken is None or spoken in row["languages"]]
    if json:
        output.facts({"voices": rows}, as_json=True)
        return
    output.table(
        ["Name", "Languages", "Provider", "Description", "Default", "Needs"],
        [
            [
                row["name"],
                ", ".join(row["languages"]),
                row["provider"],
                row["description"],
                ", ".join(row["default"]),
                _NEEDS.get(row["needs"], row["needs"]),
            ]
            for row in rows
        ],
    )
    lines = [
        "Default: speaks that language where a project names no voice.",
        "Hear one: ./reelchain voices say NAME",
    ]
    output.facts(None, as_json=False, lines=lines)


@group.command()
def say(
    name: Annotated[str, typer.Argument(help="A voice, as `voices` names it.")],
    text: Annotated[
        str | None, typer.Argument(show_default="a sample sentence", help="What it says.")
    ] = None,
    to: To = None,
    speed: Annotated[float, typer.Option(help="Speaking rate, 0.5 to 2; 1 is its own.")] = 1.0,
    language: Spoken = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it costs.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it costs.")] = False,
    json: Json = False,
) -> None:
    """Let a voice say a text, or a sample sentence, into a WAV file."""
    from app import providers
    from app.language import detect
    from app.providers import SpeechRequest

    wanted = None if language is None else _language(language)
    provider, voice = _found(name, wanted, detect(text) if text else None)
    request = SpeechRequest(
        text=text or SAMPLES[voice.language],
        language=voice.language,
        voice=voice.name,
        speed=speed,
    )
    target = _target(to, voice.name)
    providers.ready("speech", provider)
    usage = _usage(provider, request)
    cost = "nothing" if usage is None else f"about {money.dollars(usage)}"
    if dry_run:
        facts = {"voice": voice.name, "provider": provider, "text": request.text, "cost": cost}
        output.facts(facts, as_json=json, lines=[f"{voice.name} of {provider} would cost {cost}."])
        return
    if usage is not None:
        output.note(f"{voice.name} is a voice of the service {provider}: this costs {cost}.")
        if not yes:
            typer.confirm("Go on?", abort=True, err=True)
    speech = _spoken(provider, request, target)
    facts = {**speech.model_dump(mode="json"), "file": str(target), "credit": voice.credit}
    output.facts(facts, as_json=json, lines=_lines(speech, target, voice))


def _usage(provider: str, request: SpeechRequest) -> Usage | None:
    """Return about what a sentence uses; None where it costs nothing."""
    from app.language import reading_seconds
    from app.providers import costs

    # a speed that can't be spoken is refused by the voice, with its own words
    seconds = reading_seconds(request.text, request.language) / max(request.speed, 0.5)
    return costs.usage("speech", provider, calls=1, seconds=seconds, language=request.language)


def _spoken(provider: str, request: SpeechRequest, target: Path) -> Speech:
    """Let the sentence be said; the file is there whole or not at all."""
    import tempfile

    from app import providers

    with (
        output.waiting(f"{request.voice} is speaking …"),
        tempfile.TemporaryDirectory(prefix=".reelchain-", dir=target.parent) as folder,
    ):
        made = Path(folder) / "said.wav"
        speech = providers.speech(provider).speak(request, made)
        made.replace(target)
    return speech


def _lines(speech: Speech, target: Path, voice: Voice) -> Iterator[str]:
    yield str(target)
    yield f"  {speech.seconds:.1f} s by {voice.name} ({voice.description})"
    if voice.credit:
        yield f"  Name its makers where you use it: {voice.credit} {voice.credit_url}"


def _rows() -> list[dict[str, Any]]:
    """Return a row for each voice, those of the chosen providers and of this machine first."""
    from app import providers, settings

    chosen = providers.chain(settings.get().speech_provider)
    order = dict.fromkeys([*chosen, *providers.SPEAK_HERE, *providers.names("speech")])
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    spoken: set[Language] = set()
    for name in order:
        needs = None if name in providers.SPEAK_HERE else _missing(name)
        offered = providers.speech(name).voices()
        for voice in offered:
            row = rows.setdefault(
                (name, voice.name),
                {
                    "name": voice.name,
                    "languages": [],
                    "provider": name,
                    "default": [],
                    "needs": needs,
                }
                | voice.model_dump(include={"description", "credit", "credit_url"}),
            )
            row["languages"].append(voice.language)
            if voice.language not in spoken:
                spoken.add(voice.language)
                row["default"].append(voice.language)
    return sorted(rows.values(), key=lambda row: _place(row, order))


def _place(row: dict[str, Any], order: Iterable[str]) -> tuple[bool, int, int]:
    """Return what rows are sorted by: this machine's by language, then the services'."""
    from app import providers
    from app.language import LANGUAGES

    remote = row["provider"] not in providers.SPEAK_HERE
    first = LANGUAGES.index(row["languages"][0])
    return remote, 0 if remote else first, list(order).index(row["provider"])


def _missing(provider: str) -> str | None:
    """Return what a provider that is no part of this machine waits for; None if nothing."""
    from app import providers

    try:
        providers.ready("speech", provider)
    except InputError as error:
        return error.code
    return None


def _language(text: str) -> Language:
    from app.language import normalise

    return normalise(text)


def _found(name: str, spoken: Language | None, better: Language | None) -> tuple[str, Voice]:
    """Return a voice and its provider's name.

    Args:
        name: The voice's, in any case.
        spoken: What it has to speak.
        better: What it shall speak if it can.

    Raises:
        InputError: `voice_unknown`, `voice_language`.
    """
    from app.providers import Voice

    rows = _rows()
    named = [row for row in rows if row["name"].lower() == name.strip().lower()]
    fitting = [row for row in named if spoken is None or spoken in row["languages"]]
    if fitting:
        row = fitting[0]
        tongue = spoken or (better if better in row["languages"] else row["languages"][0])
        told = {field: row[field] for field in ("name", "description", "credit", "credit_url")}
        return row["provider"], Voice(language=tongue, **told)
    near = [row for row in rows if row["needs"] is None and spoken in (None, *row["languages"])]
    names = ", ".join(f"{row['name']} ({', '.join(row['languages'])})" for row in near)
    if named:
        raise InputError(
            "voice_language",
            f"The voice {named[0]['name']} does not speak {spoken}.",
            f"Choose one of: {names}.",
        )
    alike = difflib.get_close_matches(name.lower(), [row["name"].lower() for row in rows], n=1)
    meant = next(
        (f"Did you mean {row['name']}? " for row in rows if row["name"].lower() in alike), ""
    )
    raise InputError(
        "voice_unknown",
        f"There is no voice called {name[:60]!r}.",
        f"{meant}Choose one of: {names}.",
    )


def _target(to: Path | None, name: str) -> Path:
    target = (to or Path(f"{name}.wav")).expanduser().absolute()
    target = target if target.suffix.lower() == ".wav" else target.with_name(f"{target.name}.wav")
    if target.is_dir() or not target.parent.is_dir():
        raise InputError(
            "voice_target",
            f"{target} can't be written: {'it is a folder' if target.is_dir() else 'no such folder'}.",
            "Give a file in a folder that is there: --to voice.wav.",
        )
    return target
