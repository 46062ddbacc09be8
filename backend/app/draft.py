"""What a project is made from: a story, a mapping or a topic, read and checked, not yet on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from app import disk, settings
from app.errors import InputError
from app.models import ProjectSpec

if TYPE_CHECKING:
    from app.story import Story

STORY_SUFFIXES = (".md", ".markdown", ".txt", ".yaml", ".yml")

SOURCES = "sources"
"""Folder below `source/` of what the writer of a topic works from."""

Draft = tuple[ProjectSpec, Callable[[Path], None], str | None]
"""Spec; what fills a `source/` folder; the file it came from, if any."""


def prepare(
    spec: ProjectSpec | Mapping[str, Any] | str | Path,
    overrides: dict[str, Any],
    *,
    before: ProjectSpec | None = None,
) -> Draft:
    """Return what a project will be: its spec, what fills its `source/`, the file it came from.

    Args:
        spec: As `pipeline.create_project` takes it.
        overrides: Fields that win over what it says.
        before: What the project was until now, where it is to be another.

    Raises:
        InputError: What is wrong, with its line.
    """
    made = _draft(spec, overrides)
    _check_words(made[0])
    _check_style(made[0])
    _check_publication(made[0], before)
    return made


def _draft(spec: ProjectSpec | Mapping[str, Any] | str | Path, overrides: dict[str, Any]) -> Draft:
    if isinstance(spec, ProjectSpec):
        return _from_fields(spec.model_dump(exclude_unset=True), overrides)
    if isinstance(spec, Mapping):
        return _from_mapping({**spec}, overrides)
    return _from_file(Path(spec).expanduser(), overrides)


def _from_fields(fields: dict[str, Any], overrides: dict[str, Any]) -> Draft:
    fields = _over(fields, overrides)
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
    copy = _sources(fields, Path())
    return _checked(fields), copy, None


def _from_mapping(fields: dict[str, Any], overrides: dict[str, Any]) -> Draft:
    import yaml

    text, scenes = fields.pop("text", None), fields.pop("scenes", None)
    if text is None and scenes is None:
        return _from_fields(fields, overrides)
    name = "story.md" if text is not None else "project.yaml"
    try:
        body = (
            str(text)
            if text is not None
            else yaml.safe_dump({"scenes": scenes}, allow_unicode=True)
        )
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(
            "spec_invalid",
            f"The scenes can't be read: {error}."[:300],
            "Give a list of mappings with heading, narration, picture and alt, all of them texts.",
        ) from None
    aside = disk.temporary(settings.get().data_dir / name)
    aside.parent.mkdir(parents=True, exist_ok=True)
    try:
        disk.write(aside, body.encode("utf-8", "replace"))
        found = _read_story(aside)
    finally:
        disk.unlink(aside)
    if found.files or found.pictures or found.fields.get("sources"):
        raise InputError(
            "picture_needs_file",
            "A story given as text can't name files: there is no folder to find them in.",
            "Save it as a file beside its pictures and pass the file's path.",
        )
    _check_drawable(found)
    fields = {**fields, **overrides}
    more = _sources(fields, Path())

    def copy(folder: Path) -> None:
        disk.write(folder / name, body.encode("utf-8", "replace"))
        more(folder)

    return _sayable(found, name, fields), copy, None


def _from_file(path: Path, overrides: dict[str, Any]) -> Draft:
    found = _read_story(path)
    suffix = path.suffix.lower() or ".txt"
    name = {".yaml": "project.yaml", ".yml": "project.yaml", ".txt": "story.txt"}.get(
        suffix, "story.md"
    )
    _check_pictures(path.parent, found)
    _check_drawable(found)
    given, at = dict(overrides), Path()
    if found.script is None and not given.get("sources"):
        given["sources"], at = found.fields.get("sources"), path.parent
    more = _sources(given, at)

    def copy(folder: Path) -> None:
        shutil.copyfile(path, folder / name)
        for relative in (*found.pictures, *found.files):
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():  # a source may be called what the story is called here
                shutil.copyfile(path.parent / relative, target)
        more(folder)

    return _sayable(found, name, given), copy, str(path.resolve())


def _sources(fields: dict[str, Any], folder: Path) -> Callable[[Path], None]:
    """Check the files that `sources` names, name them as they will be, return what copies them.

    Args:
        fields: Of a spec; paths in it become names below `source/`.
        folder: Where relative paths start.

    Raises:
        InputError: What is wrong with which file.
    """
    given = fields.pop("sources", None) or ()
    paths = [folder / Path(one).expanduser() for one in _listed(given)]
    if not paths:
        return lambda _folder: None
    from app.story import material  # costs the Markdown parser; who gives no sources does not pay

    material.read(paths)
    names: dict[str, Path] = {}
    for path in paths:
        names[_free_name(path, names)] = path
    fields["sources"] = tuple(names)

    def copy(target: Path) -> None:
        for name, path in names.items():
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target / name)

    return copy


def _listed(given: Any) -> list[str | Path]:
    """Return one file, or several, as a list."""
    files = [given] if isinstance(given, str | Path) else given
    if isinstance(files, list | tuple) and all(isinstance(one, str | Path) for one in files):
        return list(files)
    raise InputError(
        "spec_invalid",
        "The project can't be made as described: sources: they are a list of files.",
        "Give the paths of text, Markdown or PDF files.",
    )


def _free_name(path: Path, taken: Mapping[str, Path]) -> str:
    """Return a name below `source/` for a file: its own as far as that can be, each once."""
    clean = "".join(c if c.isprintable() and c not in '\\/:*?"<>|' else "_" for c in path.stem)
    stem = clean.encode("utf-8", "replace")[:150].decode("utf-8", "ignore").strip(" .") or "source"
    number, name = 1, f"{SOURCES}/{stem}{path.suffix.lower()}"
    while name in taken:
        number += 1
        name = f"{SOURCES}/{stem}-{number}{path.suffix.lower()}"
    return name


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


def _check_drawable(found: Story) -> None:
    """Refuse a story with characters that no font has.

    Raises:
        InputError: `script_undrawable`.
    """
    if found.script is None:
        return
    shown = [(scene.heading, scene.narration) for scene in found.script.scenes]
    if all(text.isascii() for text in (found.script.title, *sum(shown, ()))):
        return
    from app.media import coverage  # costs Pillow; a story in ASCII does not pay

    coverage.check(found.script)


def _sayable(found: Story, name: str, given: dict[str, Any]) -> ProjectSpec:
    """Return the spec of a story, each of whose sentences a voice of its language can say.

    Raises:
        InputError: `speech_empty`, and what `_spec_of` raises.
    """
    spec = _spec_of(found, name, given)
    if found.script is not None:
        from app.providers import sayable  # `ls` and `show` do not pay

        script = found.script.model_copy(update={"language": spec.language})
        sayable.check(script, spec.pronunciations)
    return spec


def _check_style(spec: ProjectSpec) -> None:
    """Refuse a style that is not there, or wrong.

    Raises:
        InputError: as `styles.load`.
    """
    if spec.style != ProjectSpec.model_fields["style"].default:  # that one costs no Pillow
        from app.media import styles

        styles.load(spec.style)


def _check_words(spec: ProjectSpec) -> None:
    """Refuse a topic or a title of letters that no voice reads or no font has.

    Raises:
        InputError: `script_unsupported` or `script_undrawable`.
    """
    given = [(name, getattr(spec, name) or "") for name in ("topic", "title")]
    if all(text.isascii() for _, text in given):
        return
    for name, text in given:
        if strange := _language().unsupported(_language().visible(text)):
            raise InputError(
                "script_unsupported",
                f"No voice here can read these characters of the {name}: {strange[:12]}.",
                "Write it in English, Traditional Chinese or Japanese.",
            )
    from app.media import coverage  # costs Pillow; words in ASCII do not pay

    coverage.check_texts([(f"the {name}", text) for name, text in given], spec.language)


def _spec_of(found: Story, name: str, overrides: dict[str, Any]) -> ProjectSpec:
    fields = _over(found.fields, overrides)
    if found.script is not None:
        fields["source"] = name
        fields.setdefault("language", found.script.language)
    elif fields.get("topic"):
        fields.setdefault("language", _language().detect(str(fields["topic"])))
    return _checked(fields)


def _over(fields: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields under others that win over them; words with a reading join those there are."""
    joined = {**fields, **overrides}
    both = [one.get("pronunciations") for one in (fields, overrides)]
    if all(isinstance(one, Mapping) for one in both):
        joined["pronunciations"] = {**both[0], **both[1]}  # type: ignore[dict-item] # just asked
    return joined


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


def _check_publication(spec: ProjectSpec, before: ProjectSpec | None) -> None:
    """Refuse a time of publication that can't be kept.

    Raises:
        InputError: `publish_at_not_private` or `publish_at_past`.
    """
    if spec.publish_at is None:
        return
    if spec.privacy != "private":
        raise InputError(
            "publish_at_not_private",
            f"A video that is {spec.privacy} from the start can't be published at a later time.",
            "Leave out publish_at, or privacy: a private video becomes public at its time.",
        )
    # a file made again after its time still is what was published then
    known = before is not None and before.publish_at == spec.publish_at
    if not known and spec.publish_at <= datetime.now(UTC):
        raise InputError(
            "publish_at_past",
            f"The time of publication is over: {spec.publish_at.isoformat()}.",
            "Give a later publish_at, or leave it out.",
        )


def is_file_argument(argument: str) -> bool:
    """Tell whether what a user typed means a story file, existing or not, and not a topic."""
    return argument.lower().endswith(STORY_SUFFIXES) or Path(argument).is_file()


def check_providers() -> None:
    """Stop at the start, not after an hour's render, where a setting names who can't do anything."""
    from app import prices, providers

    chosen = settings.get()
    chains = {
        "script": chosen.script_provider,
        "speech": chosen.speech_provider,
        "picture": chosen.image_provider,
    }
    for kind, chain in chains.items():
        for name in providers.chain(chain) or ("",):
            providers.ready(kind, name)
    providers.check("publisher", chosen.publisher)
    prices.check()
