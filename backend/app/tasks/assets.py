"""The assets stage: a voice for every sentence, a picture or card for every scene."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from app import disk, messages, providers, settings
from app.errors import InputError
from app.media import cards, pictures
from app.models import Language, ProjectSpec, Script, Speech, Value
from app.project import Project
from app.providers import Announcement, Picture, SpeechProvider, SpeechRequest, Voice, _pronounce
from app.tasks import _drawing, _fallback, script
from app.tasks._drawing import spoken_sentences
from app.tasks._stage import StageContext, stage_task
from app.tasks._threads import several

MANIFEST = "assets/assets.json"
HERE = providers.SPEAK_HERE
"""Voices of this machine, for a language that no configured one speaks, or where the last of the
configured ones can't be loaded."""
VOICE_SHARE = 0.85
"""Part of the stage's progress that is voice; pictures take the rest."""


class SentenceAsset(Value):
    """A spoken sentence: text as written and the files that hold its sound and word times."""

    text: str
    wav: str
    words: str


class StepAsset(Value):
    """A still that takes the place of the one before when a sentence of the scene begins."""

    picture: str
    picture_sha256: str
    sentence: int


class SceneAsset(Value):
    """A scene's files, relative to the project's folder."""

    id: str
    kind: str
    picture: str
    picture_sha256: str
    sentences: tuple[SentenceAsset, ...]
    original: str | None = None
    """The picture that it was made from; None for a card."""
    steps: tuple[StepAsset, ...] = ()
    """What a card that builds up becomes, in order."""
    keep: tuple[float, float, float, float] | None = None
    """What of a picture stays in sight as it moves: left, top, right, bottom, as shares of it."""
    spread: tuple[float, float] = (1.0, 1.0)
    """How much wider and higher than usual it is, where a view travels across it."""


class Assets(Value):
    """`assets/assets.json`: what the render stage works from."""

    title: str
    scenes: tuple[SceneAsset, ...]
    credits: tuple[Picture, ...] = ()
    """Pictures whose makers are named wherever the video is published."""
    voice: Voice | None = None
    """The voice, where its makers are named as well."""


VERSION = f"2 {pictures.VERSION} {cards.VERSION} {_drawing.VERSION}"
"""Of the stage: a builder that changes makes finished projects unfinished."""


@stage_task("asset_generation", share=34, version=VERSION, label="assets")
def generate_assets_task(context: StageContext) -> None:
    """Speak every sentence with exact word times and prepare every scene's picture."""
    made = script.load(context)
    speakers = _speakers(context.spec, made)  # a voice nobody has is told before a picture is paid
    with _drawing.asking(context, made) as asked:
        spoken, voice = _speak_all(context, made, speakers)
        drawn = _drawing.draw_all(context, made, asked, VOICE_SHARE)
    scenes = tuple(
        SceneAsset(
            id=scene.id,
            kind=shown.kind,
            picture=shown.path,
            picture_sha256=shown.sha256,
            sentences=tuple(sentences),
            original=shown.original,
            steps=tuple(
                StepAsset(picture=step.path, picture_sha256=step.sha256, sentence=step.sentence)
                for step in shown.steps
            ),
            keep=shown.framed.keep if shown.framed else None,
            spread=shown.framed.spread if shown.framed else (1.0, 1.0),
        )
        for scene, sentences, shown in zip(made.scenes, spoken, drawn, strict=True)
    )
    named = _drawing.credited(drawn)
    lines = _credit_lines(named, voice, made.language)
    if lines:  # the description is longer now: what is refused is refused before the film is made
        told = Announcement.of(made, context.spec, lines)
        providers.publisher(settings.get().publisher).check(told)
        context.facts["credits"] = list(lines)
    document = Assets(title=made.title, scenes=scenes, credits=named, voice=voice).model_dump(
        mode="json"
    )
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    context.make_text(MANIFEST, text)
    context.roles["assets"] = MANIFEST


def load(context: StageContext) -> Assets:
    """Return the manifest of the assets stage."""
    return load_of(context.project)


def load_of(project: Project) -> Assets:
    """Return the manifest of a project's assets stage."""
    return Assets.model_validate_json(project.path(MANIFEST).read_bytes())


def credit_lines(project: Project, made: Script) -> tuple[str, ...]:
    """Return the lines by which the makers of a project's pictures and voice are named."""
    if not project.path(MANIFEST).exists():
        return ()
    made_of = load_of(project)
    return _credit_lines(made_of.credits, made_of.voice, made.language)


def _credit_lines(
    named: Sequence[Picture], voice: Voice | None, spoken: Language
) -> tuple[str, ...]:
    lines = _drawing.credit_lines(named, spoken)
    if voice is None:
        return lines
    line = messages.text("credit_voice", spoken, who=voice.credit)
    return (*lines, f"{line} {voice.credit_url}".rstrip())


def load_speech(context: StageContext, sentence: SentenceAsset) -> Speech:
    """Return the word times of one sentence."""
    return speech_of(context.project, sentence)


def speech_of(project: Project, sentence: SentenceAsset) -> Speech:
    """Return the word times of one sentence of a project."""
    return Speech.model_validate_json(project.path(sentence.words).read_bytes())


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


# -- voice -----------------------------------------------------------------------------------


def _speak_all(
    context: StageContext, made: Script, names: tuple[str, ...]
) -> tuple[list[list[SentenceAsset]], Voice | None]:
    """Speak every sentence by one provider: no video changes its voice half way.

    Returns:
        The sentences of each scene, and the voice if its makers have to be named.
    """
    texts = [spoken_sentences(scene, made) for scene in made.scenes]
    flat = [text for scene in texts for text in scene]
    provider, done = _fallback.first(
        context,
        "speech",
        names,
        lambda provider: _spoken_by(context, provider, flat, made),
        retry=False,
    )
    _fallback.warn_of(context, "speech", "The voice", names[0], provider.name)
    facts = [load_speech(context, asset) for asset in done]
    timings = {speech.timing for speech in facts}
    voices = {speech.voice for speech in facts}
    credited = next((v for v in provider.voices() if v.name in voices and v.credit), None)
    context.facts.update(
        voice_provider=provider.name, sentences=len(flat), timing=", ".join(sorted(timings))
    )
    left = iter(done)
    return [[next(left) for _ in scene] for scene in texts], credited


def _spoken_by(
    context: StageContext, provider: SpeechProvider, texts: list[str], made: Script
) -> list[SentenceAsset]:
    total = len(texts)
    context.step(0, "voice", n=1, total=total)
    done: list[SentenceAsset] = []
    speak = partial(_speak, context, provider, made)
    for asset in several(context, speak, texts, provider.concurrency()):
        done.append(asset)
        number = min(len(done) + 1, total)
        context.step(VOICE_SHARE * len(done) / total, "voice", n=number, total=total)
    return done


def _speakers(spec: ProjectSpec, made: Script) -> tuple[str, ...]:
    """Return the providers to ask, the first choice first.

    Those of the setting that speak the language, from the one on that has the wanted voice; where
    none of them does, one that works on this machine. Those of this machine come last where they
    come at all: a model that can't be loaded has a stand-in.
    """
    asked = providers.chain(settings.get().speech_provider)
    able = [name for name in asked if _voices(name, made.language)]
    has = [
        name for name in able if spec.voice is None or spec.voice in _voices(name, made.language)
    ]
    if has:
        return _with_stand_ins(able[able.index(has[0]) :], made.language)
    for name in HERE:
        voices = _voices(name, made.language)
        if voices and (spec.voice is None or spec.voice in voices):
            return _with_stand_ins([name], made.language)
    offered = [voice for name in (*asked, *HERE) for voice in _voices(name, made.language)]
    raise InputError(
        "voice_unknown",
        f"There is no voice {spec.voice!r} for {made.language}.",
        f"Choose one of: {', '.join(dict.fromkeys(offered))}.",
    )


def _with_stand_ins(names: Sequence[str], spoken: Language) -> tuple[str, ...]:
    if names[-1] not in HERE:
        return tuple(names)
    return tuple(dict.fromkeys([*names, *(name for name in HERE if _voices(name, spoken))]))


def _voices(name: str, language: Language) -> list[str]:
    return [voice.name for voice in providers.speech(name).voices() if voice.language == language]


def _speak(
    context: StageContext, provider: SpeechProvider, made: Script, text: str
) -> SentenceAsset:
    wanted = context.spec.voice
    # a voice of the first choice means nothing to who stands in
    voice = wanted if wanted in [known.name for known in provider.voices()] else None
    request = SpeechRequest(
        text=text,
        language=made.language,
        voice=voice,
        speed=context.spec.speed,
        # those of other sentences, or of a voice that minds none, would remake this one
        pronunciations=_pronounce.needed(text, context.spec.pronunciations)
        if provider.name in HERE
        else {},
    )
    told = request.model_dump(mode="json")
    if not request.pronunciations:
        del told["pronunciations"]
    inputs = {
        "request": told,
        "provider": provider.name,
        "version": provider.version,
    }
    if voice is None and provider.name not in HERE:
        inputs["voice"] = provider.voices()[0].name  # its default is a setting, which may change
    # named by content: a scene that moves keeps its voice
    stem = f"assets/voice/{disk.digest(inputs)[:20]}"

    def build(wav: Path, words: Path) -> None:
        _write(words, provider.speak(request, wav).model_dump_json())

    context.make_all((f"{stem}.wav", f"{stem}.json"), inputs=inputs, build=build)
    return SentenceAsset(text=text, wav=f"{stem}.wav", words=f"{stem}.json")
