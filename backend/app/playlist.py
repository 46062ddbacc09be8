"""A playlist and its batch: what every door calls to read, check, create, run and cancel one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from app import batch, draft, settings
from app.batch import Batch
from app.draft import Draft
from app.errors import InputError, ReelchainError
from app.models import ProjectSpec
from app.project import Project

if TYPE_CHECKING:
    from celery.result import AsyncResult

FIELDS = ("title", "defaults", "projects", "on_failure", "priority", "window", "budget")
ON_FAILURE = ("continue", "stop")
MOST_AT_ONCE = 1000
MOST_TITLE = 150
"""Characters of a channel's playlist's title, as `ProjectSpec` has it."""
NORMAL = 5
"""Urgency where nobody says."""


@dataclass(frozen=True)
class Playlist:
    """What a playlist asks for, its entries not yet read.

    Attributes:
        title: The playlist's title.
        entries: As `pipeline.create_project` takes them; a text may be a topic or a file.
        defaults: Fields for every entry; an entry's own win.
        folder: Where the playlist's file lies, if it is one: what it names stays in or below it.
        on_failure: Whether further projects are begun after one has failed.
        priority: Urgency of its projects, 0-9.
        window: How many are in work at once; None is the setting BATCH_WINDOW.
        budget: US dollars that services may cost all of its projects together; None is no limit.
        publish_in: The channel's playlist for each entry that says none itself: its own title,
            where it has one.
    """

    title: str
    entries: list[Any]
    defaults: dict[str, Any]
    folder: Path | None
    on_failure: Literal["continue", "stop"]
    priority: int
    window: int | None
    budget: float | None = None
    publish_in: str | None = None

    @property
    def rules(self) -> dict[str, Any]:
        return {
            "on_failure": self.on_failure,
            "priority": self.priority,
            "window": self.window,
            "budget": self.budget,
        }


# -- doors --------------------------------------------------------------------------------------


def create_batch(
    playlist: Sequence[Mapping[str, Any] | ProjectSpec | str | Path]
    | Mapping[str, Any]
    | str
    | Path,
    *,
    title: str = "",
    on_failure: str | None = None,
    priority: str | int | None = None,
    window: int | None = None,
    budget: float | None = None,
) -> Batch:
    """Make a batch and its projects: one video per entry.

    Args:
        playlist: Entries as `create_project` takes them; or a mapping, or the path of a YAML
            file, with `title`, `defaults` (fields for every entry), `projects`, `on_failure`,
            `priority`, `window` and `budget`.
        title: The playlist's title, where `playlist` does not have one.
        on_failure: `continue`, or `stop`: after a failure no further project is begun. Wins over
            what the playlist says, as do the next three.
        priority: `high`, `normal`, `low` or 0-9, for all of its projects.
        window: How many projects are in work at once; `BATCH_WINDOW` where nobody says.
        budget: US dollars that services may cost all of its projects together.

    Raises:
        InputError: What is wrong with which entry; nothing is left behind.
    """
    rules = {"on_failure": on_failure, "priority": priority, "window": window, "budget": budget}
    wanted = read(playlist, title=title, **rules)
    makers = [_maker(entry) for entry in _drafts(wanted)]
    return batch.create(wanted.title, makers, **wanted.rules)


def preview(playlist: Any, **rules: Any) -> dict[str, Any]:
    """Check a playlist and return what `create_batch` would make of it; nothing is made.

    Args:
        playlist: As `create_batch` takes it.
        rules: `title`, `on_failure`, `priority`, `window`, `budget`, as there.

    Returns:
        `title, on_failure, priority, window, budget, projects: [...], estimate` (see `forecast`).
    """
    from app import forecast

    wanted = read(playlist, **rules)
    jobs = [forecast.job(*entry) for entry in _drafts(wanted)]
    return {
        "title": wanted.title,
        **wanted.rules,
        "projects": [job.facts() for job in jobs],
        "estimate": forecast.estimate(jobs, window=wanted.window),
    }


def estimate(batch_id: object, *, failed_only: bool = False) -> dict[str, Any]:
    """Return what a run of a batch would have to make, and about how long that takes."""
    from app import forecast

    made = batch.load(batch_id)
    concerned = batch.failed(made) if failed_only else made.projects
    jobs = [job for number in concerned if (job := forecast.job_left(number)) is not None]
    return forecast.estimate(jobs, window=made.window, of=len(concerned))


def run(
    batch_id: object, *, failed_only: bool = False, budget: float | None = None
) -> AsyncResult[Any]:
    """Start a batch, or join its run: all callers get the same outcome, and none is raised for.

    Args:
        batch_id: The batch.
        failed_only: Only the projects that failed or were cancelled.
        budget: US dollars that services may cost all of its projects together, from now on.
    """
    from app.tasks import batch_processing_task

    draft.check_providers()
    if budget is not None:
        batch.allow(batch.load(batch_id).batch_id, budget)
    options = {"failed_only": True} if failed_only else {}
    return batch_processing_task.delay(batch_id=batch.load(batch_id).batch_id, **options)


def follow(batch_id: object) -> Iterator[dict[str, Any]]:
    """Yield a batch's progress: the latest known state first; ends when its run is over."""
    from app.tasks.batch import subscribe

    return subscribe(batch.load(batch_id))


def cancel(batch_id: object) -> bool:
    """Cancel a batch's run: what is in work stops within two seconds, the rest is not begun.

    Returns:
        False if it is not being run.
    """
    from app.tasks.batch import cancel

    return cancel(batch_id)


def status(batch_id: object) -> dict[str, Any]:
    """Return a batch's title, status, counts, each project's outcome and the costs, from the folders.

    `spend` has the sums over its projects as `pipeline.status` has those of one, and the batch's
    budget.
    """
    made = batch.load(batch_id)
    return {**batch.outcome(made), "spend": {**batch.costs(made), "budget": made.budget}}


def listing() -> list[dict[str, Any]]:
    """Return one short row per batch, oldest first; an unreadable one says so in its row."""
    rows = []
    for number in batch.numbers():
        try:
            rows.append(batch.summary(number))
        except ReelchainError as error:
            rows.append({"batch_id": number, "status": "unreadable", "error": str(error)})
    return rows


# -- reading ---------------------------------------------------------------------------------


def read(playlist: Any, *, title: str = "", **rules: Any) -> Playlist:
    """Return a playlist: a list of entries, a mapping, or the path of a YAML file.

    Args:
        playlist: Where a mapping or a file: with the fields `FIELDS`.
        title: Its title, where it has none of its own.
        rules: `on_failure`, `priority`, `window`, `budget`; those that are not None win over its own.

    Raises:
        InputError: `playlist_invalid`, `priority_invalid`, `budget_invalid` or `file_not_found`.
    """
    folder = None
    if isinstance(playlist, str | Path):
        path = Path(playlist).expanduser()
        folder, playlist = path.parent, _from_file(path)
    fields = _fields(playlist)
    told = fields.get("title") or title
    entries, defaults = fields.get("projects"), fields.get("defaults") or {}
    shaped = isinstance(entries, list) and isinstance(defaults, Mapping)
    if set(fields) - set(FIELDS) or not shaped or not isinstance(told, str):
        raise wrong(f"it has {', '.join(FIELDS)}; defaults is a mapping, projects a list")
    if not entries:
        raise wrong("it has at least one project")
    fields = {**fields, **{name: value for name, value in rules.items() if value is not None}}
    told = " ".join(told.split())[:200]
    return Playlist(
        title=told or "Batch",
        entries=cast("list[Any]", entries),
        defaults=dict(cast("Mapping[str, Any]", defaults)),
        folder=folder,
        on_failure=_on_failure(fields.get("on_failure")),
        priority=_priority(fields.get("priority")),
        window=_window(fields.get("window")),
        budget=batch.budget_of(fields.get("budget")),
        publish_in=told or None,
    )


def wrong(expected: str) -> InputError:
    """Return the error of a playlist that is not what it should be."""
    return InputError(
        "playlist_invalid",
        f"The playlist has the wrong shape: {expected}.",
        "See the example in README.md, «A batch per playlist».",
    )


def _fields(playlist: Any) -> dict[str, Any]:
    if isinstance(playlist, Mapping):
        return dict(playlist)
    if isinstance(playlist, Iterable) and not isinstance(playlist, bytes | str):
        return {"projects": list(playlist)}
    raise wrong("it is a list of entries, a mapping or a file")


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise InputError("file_not_found", f"There is no file {path}.", "Check the path.")
    from app import story  # costs the Markdown parser; a list given from Python does not pay

    try:
        return story.read_plain(path)
    except InputError as error:
        raise InputError("playlist_invalid", error.message, error.hint) from None


def _on_failure(value: Any) -> Literal["continue", "stop"]:
    if value is None:
        return "continue"
    if value not in ON_FAILURE:
        raise wrong(f"on_failure is continue or stop, not {str(value)[:40]!r}")
    return cast('Literal["continue", "stop"]', value)


def _priority(value: Any) -> int:
    if value is None:
        return NORMAL
    from app.celery_app import urgency  # costs Celery; a playlist without a priority does not pay

    return urgency(value)


def _window(value: Any) -> int | None:
    if value is None:
        return None
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_AT_ONCE):
        raise wrong(f"window is a whole number from 1 to {MOST_AT_ONCE}, not {str(value)[:40]!r}")
    return int(text)


def _drafts(wanted: Playlist) -> list[Draft]:
    return [
        _listed(number, _entry(number, entry, wanted.defaults, wanted.folder), wanted.publish_in)
        for number, entry in enumerate(wanted.entries, 1)
    ]


def _listed(number: int, entry: Draft, publish_in: str | None) -> Draft:
    """Return an entry with the playlist's title as its own `playlist`, unless it says one, or none."""
    spec, sources, origin = entry
    if publish_in is None or "playlist" in spec.model_fields_set:
        return entry
    if len(publish_in) > MOST_TITLE:
        raise wrong(
            f"its title is the channel's playlist of entry {number}, too, and has at most "
            f"{MOST_TITLE} characters; else say playlist in defaults"
        )
    return spec.model_copy(update={"playlist": publish_in}), sources, origin


def _maker(entry: Draft) -> Callable[[int], Project]:
    spec, sources, origin = entry
    home = settings.get().projects_dir
    return lambda number: Project.create(home, spec, origin=origin, batch=number, sources=sources)


def _entry(number: int, entry: Any, defaults: dict[str, Any], folder: Path | None) -> Draft:
    try:
        defaults, entry = _with_sources(defaults, folder), _with_sources(entry, folder)
        if isinstance(entry, str) and not draft.is_file_argument(entry):
            return draft.prepare({"topic": entry}, defaults)
        if isinstance(entry, str | Path):
            return draft.prepare(_below(folder, entry), defaults)
        if isinstance(entry, Mapping) and isinstance(entry.get("story"), str):
            fields = {**defaults, **entry}
            return draft.prepare(_below(folder, fields.pop("story")), fields)
        if isinstance(entry, Mapping):
            return draft.prepare({**defaults, **entry}, {})
        if isinstance(entry, ProjectSpec):
            return draft.prepare(entry, {})
    except InputError as error:
        message = f"Entry {number} of the playlist: {error.message}"
        raise type(error)(error.code, message, error.hint) from None
    raise wrong(f"entry {number} is a topic, a file or a mapping")


def _with_sources(fields: Any, folder: Path | None) -> Any:
    """Return an entry, or the defaults, with the sources that a playlist's file names as paths."""
    if folder is None or not isinstance(fields, Mapping) or not fields.get("sources"):
        return fields
    given = fields["sources"]
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise wrong("sources is a list of files")
    return {**fields, "sources": [_below(folder, name.strip()) for name in names if name.strip()]}


def _below(folder: Path | None, name: str | Path) -> Path:
    """Return the path of a file that a playlist's file names: in or below its own folder.

    A playlist may come from somebody else, and what it names is read aloud and published.
    """
    if folder is None:
        return Path(name)
    from app.story import is_below

    if Path(name).is_absolute() or not is_below(folder, str(name)):
        raise InputError(
            "story_outside",
            f"{str(name)[:80]!r} is not a file in or below the playlist's folder.",
            "Put the file there and write its relative path.",
        )
    return folder / name
