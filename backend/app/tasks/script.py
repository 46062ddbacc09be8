"""The script stage: the user's own words cut into scenes, or a topic given to a writer."""

from __future__ import annotations

import json
from pathlib import Path

from app import disk, providers, settings, story
from app.errors import InputError
from app.models import ProjectSpec, Script
from app.providers import Announcement, ScriptRequest
from app.tasks._stage import StageContext, stage_task

SCRIPT = "script.json"
_OVERRIDES = ("title", "description", "tags")


@stage_task("script_generation", share=4, version="1", label="script")
def generate_script_task(context: StageContext) -> None:
    """Make `script.json` of the project's story or topic; a valid change by hand is kept."""
    inputs = _inputs(context)
    if _edited_by_hand(context, inputs):
        script = load(context)
        context.project.adopt(SCRIPT, stage=context.stage, inputs=inputs)
        context.keep(SCRIPT)
        context.facts["edited_by_hand"] = True
    else:
        context.make(SCRIPT, inputs=inputs, build=lambda path: _write(context, path))
        script = load(context)
        context.facts.update(edited_by_hand=False, origin=script.origin)
    # what the publisher would refuse is refused before the film is made
    providers.publisher(settings.get().publisher).check(Announcement.of(script, context.spec))
    for warning in _story_warnings(context):
        context.warn(warning)
    if script.origin == "template writer":
        context.warn("The script was written by a template, not by a model or a person.")
    context.facts["scenes"] = len(script.scenes)
    context.roles["script"] = SCRIPT


def load(context: StageContext) -> Script:
    """Return the project's script.

    Raises:
        InputError: With the line at fault, where it was changed by hand and is wrong.
    """
    return story.script_from_json(context.project.path(SCRIPT).read_bytes())


def _inputs(context: StageContext) -> dict[str, object]:
    spec = context.spec
    wanted = spec.model_dump(mode="json", include={*_OVERRIDES, "topic", "source", "language"})
    if spec.source is not None:
        return {**wanted, "content": context.project.source_digest()}
    name = settings.get().script_provider
    return {
        **wanted,
        "length": spec.length,
        "writer": name,
        "version": providers.script_writer(name).version,
    }


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


def _write(context: StageContext, path: Path) -> None:
    document = written(context.spec, _story(context)).model_dump(mode="json")
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


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
    return _from_topic(spec) if path is None else _from_story(spec, path)


def _from_story(spec: ProjectSpec, path: Path) -> Script:
    script = story.read(path).script
    if script is None:
        raise InputError(
            "story_empty", "The story has no words to speak.", "Write at least one sentence."
        )
    changes = {name: getattr(spec, name) for name in _OVERRIDES if getattr(spec, name)}
    return script.model_copy(update={**changes, "language": spec.language})


def _from_topic(spec: ProjectSpec) -> Script:
    if not spec.topic:
        raise InputError(
            "nothing_to_tell",
            "The project has neither a topic nor a story.",
            "Give a topic, or a story as Markdown, text or YAML.",
        )
    writer = providers.script_writer(settings.get().script_provider)
    return writer.write(
        ScriptRequest(
            topic=spec.topic,
            language=spec.language,
            seconds=spec.length,
            title=spec.title,
            description=spec.description,
            tags=spec.tags,
        )
    )


def _story_warnings(context: StageContext) -> tuple[str, ...]:
    path = _story(context)
    return () if path is None else story.read(path).warnings
