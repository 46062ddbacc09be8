"""The command `styles`: the looks a video can have, as a table and as a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import output
from app.models import Language

if TYPE_CHECKING:
    from app.media.styles import Style

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Sheet = Annotated[
    Path | None,
    typer.Option(
        "--sheet",
        metavar="FILE.png",
        show_default="styles.png in DATA_DIR",
        help="Where the contact sheet is written.",
    ),
]
Drawn = Annotated[bool, typer.Option("--no-sheet", help="Draw no contact sheet.")]
Spoken = Annotated[str, typer.Option(help="Of the words on the sheet: en, zh-TW or ja.")]

PICTURE = Path(__file__).parents[1] / "demo" / "pictures" / "evening.jpg"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(styles)


def styles(
    json: Json = False, sheet: Sheet = None, no_sheet: Drawn = False, language: Spoken = "en"
) -> None:
    """List the styles, ours and your own, and draw a contact sheet of them."""
    from app import settings
    from app.language import normalise

    spoken = normalise(language)
    rows, usable = _listed()
    wanted = sheet or settings.get().data_dir / "styles.png"
    target = None if no_sheet else _suffixed(wanted.expanduser().absolute())
    if target is not None:
        _draw(target, usable, spoken)
    folder = settings.get().styles_folder
    if json:
        facts = {"styles": rows, "folder": str(folder), "sheet": str(target) if target else None}
        output.facts(facts, as_json=True)
        return
    columns = ("name", "description", "type", "ground", "captions", "transition", "music", "origin")
    good = [row for row in rows if "error" not in row]
    output.table(
        [column.capitalize() for column in columns],
        [[row[column] for column in columns] for row in good],
    )
    lines = [f"Your own styles: {folder}"]
    if target is not None:
        lines.insert(0, f"Contact sheet: {target}")
    output.facts(None, as_json=False, lines=lines)
    for row in rows:
        if "error" in row:
            output.note(f"Error [{row['error']['code']}]: {row['error']['message']}")
            output.note(f"  {row['error']['hint']}")


def _suffixed(target: Path) -> Path:
    return target if target.suffix.lower() == ".png" else target.with_name(f"{target.name}.png")


def _listed() -> tuple[list[dict[str, Any]], list[Style]]:
    """Return a row for each style, and those that can be used."""
    from app.errors import InputError
    from app.media import styles as found

    own = found.of_user()
    rows: list[dict[str, Any]] = []
    usable: list[Style] = []
    for name in found.names():
        origin = str(own[name]) if name in own else "built in"
        try:
            style = found.load(name)
        except InputError as error:
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            rows.append({"name": name, "origin": origin, "error": told})
            continue
        rows.append(_row(style, origin))
        usable.append(style)
    rows += [_misnamed(file) for file in found.misnamed()]
    return rows, usable


def _misnamed(file: Path) -> dict[str, Any]:
    told = {
        "code": "style_invalid",
        "message": f"The style {file.name} can't be called by its name.",
        "hint": "Name it in small letters, digits, - and _, and end it with .yaml.",
    }
    return {"name": file.stem, "origin": str(file), "error": told}


def _row(style: Style, origin: str) -> dict[str, Any]:
    return {
        "name": style.name,
        "description": style.description,
        "type": style.fonts.heading,
        "ground": style.cards.ground,
        "captions": style.captions.style,
        "transition": style.transition.kind,
        "music": style.music.mood,
        "origin": origin,
    }


def _draw(target: Path, usable: list[Style], language: Language) -> None:
    from app.media import contact

    with output.waiting("Drawing the contact sheet …") as say:

        def report(name: str) -> None:
            say(f"Drawing the contact sheet: {name} …")

        contact.sheet(target, usable, language=language, picture=PICTURE, report=report)
