"""The index of dead letters: what was read of which project folder, and the mark it had then."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select

from app.records._database import attempt, dead_letters

Entry = tuple[int, str, str | None]
"""Project, mark of its state file, its letter as JSON or None."""


def letter_marks() -> dict[int, str]:
    """Return project → the mark its folder had when it was read."""
    query = select(dead_letters.c.project_id, dead_letters.c.mark)
    return attempt(lambda connection: {row[0]: row[1] for row in connection.execute(query)})


def indexed_letters() -> dict[int, str]:
    """Return project → letter, of those that have one."""
    query = select(dead_letters.c.project_id, dead_letters.c.letter).where(
        dead_letters.c.failed == 1
    )
    return attempt(lambda connection: {row[0]: row[1] for row in connection.execute(query)})


def index_letters(entries: Iterable[Entry], gone: Iterable[int] = ()) -> None:
    """Replace what the index knows of some projects; forget those that are gone."""
    rows = [
        {"project_id": project, "mark": mark, "failed": int(letter is not None), "letter": letter}
        for project, mark, letter in entries
    ]
    forgotten = [*(row["project_id"] for row in rows), *gone]

    def change(connection: Connection) -> None:
        for start in range(0, len(forgotten), 500):  # SQLite takes no more than 32,766 values
            some = forgotten[start : start + 500]
            connection.execute(delete(dead_letters).where(dead_letters.c.project_id.in_(some)))
        if rows:
            connection.execute(insert(dead_letters), rows)

    attempt(change)


def forget_letters() -> None:
    """Empty the index: the next look reads every folder."""
    attempt(lambda connection: connection.execute(delete(dead_letters)))
