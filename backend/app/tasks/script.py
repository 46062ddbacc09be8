"""The script stage: the user's own words cut into scenes, or a topic given to a writer."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from app import disk, keeping, language, providers, settings, story
from app.errors import InputError, PermanentError
from app.media import coverage
from app.models import ProjectSpec, Script
from app.project import Project
from app.providers import Announcement, ScriptRequest, SourceText, sayable
from app.story.material import Material
from app.tasks import _fallback
from app.tasks._stage import StageContext, stage_task

SCRIPT = "script.json"
WRITING = "writing"
"""Folder of a writer's answers, each kept as soon as it is paid for."""
FITS = 0.15
"""Share of the wanted length by which a script may miss it without a word."""
_OVERRIDES = ("title", "description", "tags")
_WISHES = ("notes", "audience", "tone")
_NO_USE = ("script_unusable", "script_length")
"""Codes of a writer whose answers are no use: the next run asks anew."""


@stage_task("script_generation", share=4, version="1", label="script")
def generate_script_task(context: StageContext) -> None:
    """Make `script.json` of the project's story or topic; a valid change by hand is kept."""
    inputs = _inputs(context)
    material = _material(context)
    if _edited_by_hand(context, inputs):
        script = load(context)
        context.project.adopt(SCRIPT, stage=context.stage, inputs=inputs)
        context.keep(SCRIPT)
        context.facts["edited_by_hand"] = True
    else:
        _make(context, inputs, material)
        script = load(context)
        context.facts.update(edited_by_hand=False, origin=script.origin)
        _tell_of_fallback(context, script)
    coverage.check(script)
    sayable.check(script, context.spec.pronunciations)
    # what the publisher would refuse is refused before the film is made
    providers.publisher(settings.get().publisher).check(Announcement.of(script, context.spec))
    for warning in (*_story_warnings(context), *material.warnings, *_remarks(context, script)):
        context.warn(warning)
    context.facts["scenes"] = len(script.scenes)
    context.roles["script"] = SCRIPT


def load(context: StageContext) -> Script:
    """Return the project's script.

    Raises:
        InputError: With the line at fault, where it was changed by hand and is wrong.
    """
    return load_of(context.project)


def load_of(project: Project) -> Script:
    """Return the script of a project; errors as `load`."""
    return story.script_from_json(project.path(SCRIPT).read_bytes())


def _inputs(context: StageContext) -> dict[str, object]:
    spec = context.spec
    wanted = spec.model_dump(mode="json", include={*_OVERRIDES, "topic", "source", "language"})
    if spec.source is not None:
        return {**wanted, "content": context.project.source_digest()}
    writers = {name: providers.script_writer(name).version for name in _writers()}
    told = {
        **wanted,
        "length": spec.length,
        # as ever where one writer is asked: what was made before stays made
        "writer": ",".join(writers),
        "version": ",".join(writers.values()),
    }
    wishes = spec.model_dump(mode="json", include={*_WISHES, "sources"}, exclude_defaults=True)
    content = {"content": context.project.source_digest()} if spec.sources else {}
    return {**told, **wishes, **content}


def _writers() -> tuple[str, ...]:
    """Return the writers that are asked, the first choice first."""
    return providers.chain(settings.get().script_provider)


def _edited_by_hand(context: StageContext, inputs: dict[str, object]) -> bool:
    """Tell whether the script on disk is the user's: changed since it was recorded, or adopted.

    Raises:
        InputError: `script_conflict`, where the story changed as well and one of both must lose.
    """
    state = context.state()
    record = state.artifact(SCRIPT)
    path = context.project.path(SCRIPT)
    if record is None or not path.exists():
        return False
    changed = not context.project.intact(record)
    if not changed and not state.stage(context.stage).facts.get("edited_by_hand"):
        return False
    if record.inputs != disk.digest(inputs):
        raise InputError(
            "script_conflict",
            "script.json was changed by hand, and the story or topic has changed since.",
            f"Keep one: put the story back, or remake the script from it with "
            f"./reelchain run {context.project.id} --from script_generation.",
        )
    return True


def _make(context: StageContext, inputs: Mapping[str, Any], material: Material) -> None:
    """Make `script.json`; a writer's answers are kept one by one, until they prove to be no use."""

    def build(path: Path) -> None:
        with keeping.keeper(functools.partial(_kept, context)):
            document = _script(context, material).model_dump(mode="json")
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        path.write_text(text, encoding="utf-8")

    try:
        context.make(SCRIPT, inputs=inputs, build=build, retry=False)
    except PermanentError as error:
        if error.code in _NO_USE:
            _forget_answers(context)
        raise


def _kept(context: StageContext, inputs: Mapping[str, Any], call: Callable[[], str]) -> str:
    """Return a writer's answer; one that was paid for before is not asked for again."""
    name = f"{WRITING}/{disk.digest(inputs)[:16]}.json"

    def build(path: Path) -> None:
        path.write_text(call(), encoding="utf-8")

    context.make(name, inputs=inputs, build=build, retry=False)
    return context.project.path(name).read_text(encoding="utf-8")


def _forget_answers(context: StageContext) -> None:
    with context.project.transaction() as state:
        names = state.stage(context.stage).artifacts
        others = {name for name in names if not name.startswith(f"{WRITING}/")}
        context.project.keep_only(state, context.stage, others)


def _script(context: StageContext, material: Material) -> Script:
    path = _story(context)
    if path is not None:
        return _from_story(context.spec, path)
    request = _request(context.spec, material)
    return _fallback.first(context, "script", _writers(), lambda w: w.write(request))[1]  # type: ignore[no-any-return]


def _material(context: StageContext) -> Material:
    """Return what the writer of a topic works from."""
    if context.spec.source is not None or not context.spec.sources:
        return Material(())
    folder = context.project.path("source")
    for name in context.spec.sources:
        if not story.is_below(folder, name):
            raise InputError(
                "source_outside",
                f"{name!r} is not a file in or below the project's folder source.",
                "Give the project its sources again.",
            )
    return story.material.read([folder / name for name in context.spec.sources])


def _story(context: StageContext) -> Path | None:
    """Return the project's story; None where it has a topic only."""
    name = context.spec.source
    return context.project.path(f"source/{name}") if name else None


def written(spec: ProjectSpec, path: Path | None) -> Script:
    """Return the script of a story, or ask the writer for one of the topic.

    Args:
        spec: What is asked for.
        path: The story; None is the topic.
    """
    if path is not None:
        return _from_story(spec, path)
    return providers.script_writer(_writers()[0]).write(_request(spec, Material(())))


def _from_story(spec: ProjectSpec, path: Path) -> Script:
    script = story.read(path).script
    if script is None:
        raise InputError(
            "story_empty", "The story has no words to speak.", "Write at least one sentence."
        )
    changes = {name: getattr(spec, name) for name in _OVERRIDES if getattr(spec, name)}
    return script.model_copy(update={**changes, "language": spec.language})


def _request(spec: ProjectSpec, material: Material) -> ScriptRequest:
    if not spec.topic:
        raise InputError(
            "nothing_to_tell",
            "The project has neither a topic nor a story.",
            "Give a topic, or a story as Markdown, text or YAML.",
        )
    return ScriptRequest(
        topic=spec.topic,
        language=spec.language,
        seconds=spec.length,
        title=spec.title,
        description=spec.description,
        tags=spec.tags,
        notes=spec.notes,
        audience=spec.audience,
        tone=spec.tone,
        sources=tuple(SourceText(name=name, text=text) for name, text in material.texts),
        speed=spec.speed,
        pictures=settings.get().image_provider != "cards",
    )


def _story_warnings(context: StageContext) -> tuple[str, ...]:
    path = _story(context)
    return () if path is None else story.read(path).warnings


def _tell_of_fallback(context: StageContext, script: Script) -> None:
    if context.spec.source is None:
        by = script.origin.split()[0]  # a writer's name stands first in what it wrote
        _fallback.warn_of(context, "script", "The script", _writers()[0], by)


def _remarks(context: StageContext, script: Script) -> list[str]:
    """Return what the user should know of a script: who wrote it, what of their wishes it lacks."""
    spec, told = context.spec, []
    if spec.source is not None:
        unused = [name for name in (*_WISHES, "sources") if getattr(spec, name)]
        if unused:
            told.append(f"The story has its own words; not used: {', '.join(unused)}.")
        return told
    if script.origin == "template writer":
        told.append("The script was written by a template, not by a model or a person.")
        return told
    seconds = sum(language.reading_seconds(s.narration, script.language) for s in script.scenes)
    seconds /= spec.speed
    if abs(seconds / spec.length - 1) > FITS:
        told.append(f"The script takes about {seconds:.0f} s to say; {spec.length:g} s were asked.")
    names = [name.rpartition("/")[2] for name in spec.sources]
    if names and not any(name in script.description for name in names):
        told.append(f"The description names none of the sources: {', '.join(names)}.")
    return told
