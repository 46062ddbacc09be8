"""What every door calls: create, start (which is resume), status, batches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import ValidationError

from app import disk, settings
from app.errors import InputError, ReelchainError
from app.models import ProjectSpec, Stage
from app.project import EDIT, STAGE_ORDER, Project, ids

if TYPE_CHECKING:
    # Celery costs a third of a second; `ls` and `show` do without it
    from celery.canvas import _chain
    from celery.result import AsyncResult, EagerResult

    from app.story import Story
    from app.tasks.batch import Batch

STORY_SUFFIXES = (".md", ".markdown", ".txt", ".yaml", ".yml")


# -- creating ------------------------------------------------------------------------------


def create_project(
    spec: ProjectSpec | Mapping[str, Any] | str | Path,
    *,
    batch: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Project:
    """Make a new project.

    Args:
        spec: A `ProjectSpec`; a mapping of its fields, with `text` (a story as Markdown) or
            `scenes` (a list of heading, narration, picture) in place of a file; or the path of a
            Markdown, text or YAML file.
        batch: The batch it belongs to.
        overrides: Fields that win over what the file says.

    Raises:
        InputError: What is wrong, with its line; no project is left.
    """
    made, sources, origin = _prepare(spec, dict(overrides or {}))
    return Project.create(
        settings.get().projects_dir, made, origin=origin, batch=batch, sources=sources
    )


def update_project(
    project_id: object, path: str | Path, *, overrides: Mapping[str, Any] | None = None
) -> Project:
    """Give a project its file anew. Only what changed is remade when it is started next.

    Raises:
        InputError: `project_running`, while a worker is at it; or what is wrong with the file.
    """
    project = open_project(project_id)
    spec, sources, origin = _prepare(Path(path), dict(overrides or {}))
    with _editing(project):
        _replace_source(project, sources)
        with project.transaction() as state:
            state.spec, state.origin = spec, origin
    return project


@contextmanager
def _editing(project: Project) -> Iterator[None]:
    """Hold a project that no run works on, to change it."""
    try:
        with project.lock(wait=1.0, purpose=EDIT):
            yield
    except disk.Locked:
        raise InputError(
            "project_running",
            f"Project {project.id} is being made at this moment.",
            f"Wait for it (./reelchain watch {project.id}), then try again.",
        ) from None


def project_of_file(path: str | Path) -> Project | None:
    """Return the latest project that was made from this file, if any."""
    origin = str(Path(path).resolve())
    for number in reversed(ids(settings.get().projects_dir)):
        try:
            project = open_project(number)
            if project.state().origin == origin:
                return project
        except ReelchainError:
            continue  # a project that can't be read is not this file's; `ls` shows it
    return None


def is_file_argument(argument: str) -> bool:
    """Tell whether what a user typed means a story file, existing or not, and not a topic."""
    return argument.lower().endswith(STORY_SUFFIXES) or Path(argument).is_file()


def _replace_source(project: Project, sources: Callable[[Path], None]) -> None:
    source = project.folder / "source"
    aside = disk.temporary(source)
    aside.mkdir()
    try:
        sources(aside)
        if not disk.exchange(aside, source):
            old = disk.temporary(source)
            disk.rename(source, old)
            disk.rename(aside, source)
            aside = old
    finally:
        shutil.rmtree(aside, ignore_errors=True)


Prepared = tuple[ProjectSpec, Callable[[Path], None], str | None]


def _prepare(
    spec: ProjectSpec | Mapping[str, Any] | str | Path, overrides: dict[str, Any]
) -> Prepared:
    if isinstance(spec, ProjectSpec):
        return _from_fields(spec.model_dump(exclude_unset=True), overrides)
    if isinstance(spec, Mapping):
        return _from_mapping({**spec}, overrides)
    return _from_file(Path(spec).expanduser(), overrides)


def _from_fields(fields: dict[str, Any], overrides: dict[str, Any]) -> Prepared:
    fields = {**fields, **overrides}
    if fields.get("source"):
        raise InputError(
            "source_needs_file",
            "A project's source is a file, and none was given.",
            "Pass the story's path to create_project, or its words as `text`.",
        )
    topic = str(fields.get("topic") or "").strip()
    if not topic:
        raise InputError(
            "nothing_to_tell",
            "The project has neither a topic nor a story.",
            "Give `topic`, `text`, `scenes`, or the path of a story.",
        )
    fields.setdefault("language", _language().detect(topic))
    return _checked(fields), lambda _folder: None, None


def _from_mapping(fields: dict[str, Any], overrides: dict[str, Any]) -> Prepared:
    import yaml

    text, scenes = fields.pop("text", None), fields.pop("scenes", None)
    if text is None and scenes is None:
        return _from_fields(fields, overrides)
    name = "story.md" if text is not None else "project.yaml"
    body = str(text) if text is not None else yaml.safe_dump({"scenes": scenes}, allow_unicode=True)
    aside = disk.temporary(settings.get().data_dir / name)
    aside.parent.mkdir(parents=True, exist_ok=True)
    try:
        disk.write(aside, body.encode("utf-8", "replace"))
        found = _read_story(aside)
    finally:
        disk.unlink(aside)
    if found.files or found.pictures:
        raise InputError(
            "picture_needs_file",
            "A story given as text can't name files: there is no folder to find them in.",
            "Save it as a file beside its pictures and pass the file's path.",
        )
    spec = _spec_of(found, name, {**fields, **overrides})
    return spec, lambda folder: disk.write(folder / name, body.encode("utf-8", "replace")), None


def _from_file(path: Path, overrides: dict[str, Any]) -> Prepared:
    found = _read_story(path)
    suffix = path.suffix.lower() or ".txt"
    name = {".yaml": "project.yaml", ".yml": "project.yaml", ".txt": "story.txt"}.get(
        suffix, "story.md"
    )
    _check_pictures(path.parent, found)

    def copy(folder: Path) -> None:
        shutil.copyfile(path, folder / name)
        for relative in (*found.pictures, *found.files):
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path.parent / relative, target)

    return _spec_of(found, name, overrides), copy, str(path.resolve())


def _language() -> ModuleType:
    from app import language  # its tables of scripts; `ls` and `show` do not pay

    return language


def _read_story(path: Path) -> Story:
    from app import story  # costs the Markdown parser; `ls` and `show` do not pay

    return story.read(path)


def _check_pictures(folder: Path, found: Story) -> None:
    if found.pictures:
        from app.media import pictures  # costs Pillow; a story without pictures does not pay

        for relative in found.pictures:
            pictures.check(folder / relative)


def _spec_of(found: Story, name: str, overrides: dict[str, Any]) -> ProjectSpec:
    fields: dict[str, Any] = {**found.fields, **overrides}
    if found.script is not None:
        fields["source"] = name
        fields.setdefault("language", found.script.language)
    elif fields.get("topic"):
        fields.setdefault("language", _language().detect(str(fields["topic"])))
    return _checked(fields)


def _checked(fields: dict[str, Any]) -> ProjectSpec:
    """Return the spec, or one error that names every wrong field."""
    if "language" in fields:
        fields = {**fields, "language": _language().normalise(str(fields["language"]))}
    try:
        return ProjectSpec.model_validate(fields)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise InputError(
            "spec_invalid",
            f"The project can't be made as described: {wrong}.",
            f"Fields: {', '.join(ProjectSpec.model_fields)}.",
        ) from None


# -- running -------------------------------------------------------------------------------


def open_project(project_id: object) -> Project:
    """Return an existing project.

    Raises:
        InputError: `project_id_invalid`.
        NotFoundError: `project_not_found`.
    """
    return Project.open(settings.get().projects_dir, project_id)


def video_pipeline(project_id: object) -> _chain:
    """Return the canvas chain of all five stages, not yet sent: `.apply_async()` starts it."""
    from app.tasks import dispatch

    return dispatch.canvas(open_project(project_id).id)


def finished(project_id: object) -> dict[str, Any] | None:
    """Return the outcome of a project that is complete as it stands, found out without Celery.

    None says no more than that `start` has to look closer.
    """
    project = open_project(project_id)
    state = project.state()
    return state.result(STAGE_ORDER[-1]) if project.sealed(state) else None


def start(
    project_id: object, *, from_stage: Stage | None = None
) -> AsyncResult[Any] | EagerResult[Any]:
    """Start a project; start is resume: what is made already is not made again.

    A project that somebody works on is joined: both callers get the same outcome. One that is
    complete as it stands returns at once, without a worker.

    Args:
        project_id: The project.
        from_stage: Remake this stage and all after it.

    Returns:
        The result of the last stage; `.get()` gives its dict or raises what ended the run.
    """
    from celery.result import EagerResult

    from app.tasks import dispatch

    project = open_project(project_id)
    if from_stage is not None:
        _forget_from(project, from_stage)
    _check_providers()
    outcome = finished(project.id) or dispatch.finished(project)
    if outcome is not None:
        return EagerResult(str(uuid4()), outcome, "SUCCESS")
    return dispatch.send(project)


def _check_providers() -> None:
    """Stop at the start, not after an hour's render, where a setting names what is not there."""
    from app import providers

    chosen = settings.get()
    for kind, name in (
        ("script", chosen.script_provider),
        ("speech", chosen.speech_provider),
        ("publisher", chosen.publisher),
    ):
        providers.check(kind, name)


def _forget_from(project: Project, from_stage: Stage) -> None:
    if from_stage not in STAGE_ORDER:
        raise InputError(
            "stage_unknown",
            f"There is no stage {from_stage!r}.",
            f"Choose one of: {', '.join(STAGE_ORDER)}.",
        )
    with _editing(project):
        project.forget(STAGE_ORDER[STAGE_ORDER.index(from_stage) :])


def status(project_id: object) -> dict[str, Any]:
    """Return what the project's folder says: status, stages, files, warnings, error."""
    project = open_project(project_id)
    state = project.state()
    stages = {
        stage: state.stage(stage).model_dump(
            mode="json", include={"status", "attempts", "seconds", "facts", "warnings", "error"}
        )
        for stage in STAGE_ORDER
    }
    roles = {role: path for s in STAGE_ORDER for role, path in state.stage(s).roles.items()}
    return {
        "project_id": project.id,
        "title": title_of(project),
        "status": state.status,
        "running": project.locked(),
        "run": state.run.model_dump(),
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "folder": str(project.folder),
        "spec": state.spec.model_dump(mode="json"),
        "stages": stages,
        "artifacts": roles,
        "publication": state.publication,
        "batch": state.batch,
    }


def title_of(project: Project) -> str:
    """Return the script's title, or what the project was asked for."""
    try:
        return str(json.loads((project.folder / "script.json").read_bytes())["title"])
    except (OSError, ValueError, LookupError, TypeError):
        spec = project.state().spec
        return spec.title or spec.topic or f"Project {project.id}"


def listing() -> list[dict[str, Any]]:
    """Return one short row per project, oldest first; an unreadable one says so in its row."""
    rows = []
    for number in ids(settings.get().projects_dir):
        try:
            project = open_project(number)
            state = project.state()
            rows.append(
                {
                    "project_id": number,
                    "title": title_of(project),
                    "status": state.status,
                    "language": state.spec.language,
                    "shape": state.spec.shape,
                    "updated_at": state.updated_at,
                    "batch": state.batch,
                }
            )
        except ReelchainError as error:
            if error.code != "project_not_found":
                rows.append({"project_id": number, "status": "unreadable", "error": str(error)})
    return rows


# -- batches ---------------------------------------------------------------------------------


def create_batch(
    playlist: Sequence[Mapping[str, Any] | ProjectSpec | str | Path]
    | Mapping[str, Any]
    | str
    | Path,
    *,
    title: str = "",
) -> Batch:
    """Make a batch and its projects: one video per entry.

    Args:
        playlist: Entries as `create_project` takes them; or a mapping, or the path of a YAML
            file, with `title`, `defaults` (fields for every entry) and `projects`.
        title: The playlist's title, where `playlist` does not have one.

    Raises:
        InputError: What is wrong with which entry; nothing is left behind.
    """
    from app.tasks import batch

    name, entries, defaults, folder = _playlist(playlist, title)
    prepared = [_entry(number, entry, defaults, folder) for number, entry in enumerate(entries, 1)]
    made = batch.create(name, ())
    projects = [
        Project.create(
            settings.get().projects_dir, spec, origin=origin, batch=made.batch_id, sources=sources
        )
        for spec, sources, origin in prepared
    ]
    return batch.fill(made, tuple(project.id for project in projects))


def _playlist(playlist: Any, title: str) -> tuple[str, list[Any], dict[str, Any], Path]:
    folder = Path.cwd()
    if isinstance(playlist, str | Path):
        path = Path(playlist).expanduser()
        folder, playlist = path.parent, _read_yaml(path)
    if isinstance(playlist, Mapping):
        unknown = set(playlist) - {"title", "defaults", "projects"}
        entries, defaults = playlist.get("projects"), playlist.get("defaults") or {}
        title = str(playlist.get("title") or title)
        if unknown or not isinstance(entries, list) or not isinstance(defaults, Mapping):
            raise _playlist_error("it has title, defaults (a mapping) and projects (a list)")
    else:
        entries, defaults = list(playlist), {}
    if not entries:
        raise _playlist_error("it has at least one project")
    return title or "Batch", entries, dict(defaults), folder


def _read_yaml(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("file_not_found", f"There is no file {path}.", "Check the path.") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(
            "playlist_invalid", f"{path} is not YAML: {error}.", "Correct it."
        ) from None


def _playlist_error(expected: str) -> InputError:
    return InputError(
        "playlist_invalid",
        f"The playlist has the wrong shape: {expected}.",
        "See the example in README.md, «A batch per playlist».",
    )


def _entry(number: int, entry: Any, defaults: dict[str, Any], folder: Path) -> Prepared:
    try:
        if isinstance(entry, str) and not is_file_argument(entry):
            return _prepare({"topic": entry}, defaults)
        if isinstance(entry, str | Path):
            return _prepare(folder / entry, defaults)
        if isinstance(entry, Mapping) and isinstance(entry.get("story"), str):
            fields = {**defaults, **entry}
            return _prepare(folder / fields.pop("story"), fields)
        if isinstance(entry, Mapping):
            return _prepare({**defaults, **entry}, {})
        if isinstance(entry, ProjectSpec):
            return _prepare(entry, {})
    except InputError as error:
        message = f"Entry {number} of the playlist: {error.message}"
        raise type(error)(error.code, message, error.hint) from None
    raise _playlist_error(f"entry {number} is a topic, a file or a mapping")
