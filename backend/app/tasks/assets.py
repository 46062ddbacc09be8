"""The assets stage: a voice for every sentence, a picture or card for every scene."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

from app import disk, language, providers, settings
from app.errors import InputError
from app.media import cards, pictures, styles
from app.models import ProjectSpec, Scene, Script, Speech, Value
from app.providers import SpeechProvider, SpeechRequest
from app.tasks import script
from app.tasks._stage import StageContext, stage_task

MANIFEST = "assets/assets.json"
VOICE_SHARE = 0.85
"""Part of the stage's progress that is voice; pictures take the rest."""


class SentenceAsset(Value):
    """A spoken sentence: text as written and the files that hold its sound and word times."""

    text: str
    wav: str
    words: str


class SceneAsset(Value):
    """A scene's files, relative to the project's folder."""

    id: str
    kind: str
    picture: str
    picture_sha256: str
    sentences: tuple[SentenceAsset, ...]


class Assets(Value):
    """`assets/assets.json`: what the render stage works from."""

    title: str
    scenes: tuple[SceneAsset, ...]


VERSION = f"1 {pictures.VERSION} {cards.VERSION}"
"""Of the stage: a builder that changes makes finished projects unfinished."""


@stage_task("asset_generation", share=34, version=VERSION, label="assets")
def generate_assets_task(context: StageContext) -> None:
    """Speak every sentence with exact word times and prepare every scene's picture."""
    made = script.load(context)
    spoken = _speak_all(context, made)
    drawn = _draw_all(context, made)
    scenes = tuple(
        SceneAsset(
            id=scene.id,
            kind=scene.visual.kind,
            picture=path,
            picture_sha256=digest,
            sentences=tuple(sentences),
        )
        for scene, sentences, (path, digest) in zip(made.scenes, spoken, drawn, strict=True)
    )
    document = Assets(title=made.title, scenes=scenes).model_dump(mode="json")
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    context.make_text(MANIFEST, text)
    context.roles["assets"] = MANIFEST


def load(context: StageContext) -> Assets:
    """Return the manifest of the assets stage."""
    return Assets.model_validate_json(context.project.path(MANIFEST).read_bytes())


def load_speech(context: StageContext, sentence: SentenceAsset) -> Speech:
    """Return the word times of one sentence."""
    return Speech.model_validate_json(context.project.path(sentence.words).read_bytes())


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


# -- voice -----------------------------------------------------------------------------------


def _speak_all(context: StageContext, made: Script) -> list[list[SentenceAsset]]:
    provider = _provider(context.spec, made)
    texts = [_sentences(scene, made) for scene in made.scenes]
    total = sum(map(len, texts))
    context.step(0, "voice", n=1, total=total)

    def speak(text: str) -> SentenceAsset:
        return _speak(context, provider, text, made)

    done: list[SentenceAsset] = []
    flat = [text for scene in texts for text in scene]
    for asset in _several(context, speak, flat, provider):
        done.append(asset)
        number = min(len(done) + 1, total)
        context.step(VOICE_SHARE * len(done) / total, "voice", n=number, total=total)
    context.facts.update(voice_provider=provider.name, sentences=total)
    left = iter(done)
    return [[next(left) for _ in scene] for scene in texts]


def _several(
    context: StageContext,
    speak: Callable[[str], SentenceAsset],
    texts: list[str],
    provider: SpeechProvider,
) -> Iterator[SentenceAsset]:
    """Speak as many sentences at once as the provider likes; yield them in order."""
    at_once = provider.concurrency()
    if at_once == 1:
        yield from map(speak, texts)
        return
    pool = ThreadPoolExecutor(at_once)
    # each call keeps this task's log context
    futures = [pool.submit(copy_context().run, speak, text) for text in texts]
    try:
        for future in futures:
            with context.waiting():
                asset = future.result()
            yield asset
    finally:
        # after an error the sentences at work are waited for; they can't commit once we are called
        # off, so then they may end when they like
        pool.shutdown(wait=not context.called_off, cancel_futures=True)


def _sentences(scene: Scene, made: Script) -> list[str]:
    spans = language.sentences(scene.narration, made.language)
    texts = [scene.narration[start:end] for start, end in spans]
    spoken = [text for text in texts if language.speakable(text)]
    if not spoken:
        raise InputError(
            "narration_unspeakable",
            f"Scene {scene.id} has no words that can be spoken.",
            "Write a sentence for it, or remove the scene.",
        )
    return spoken


def _provider(spec: ProjectSpec, made: Script) -> SpeechProvider:
    """Return the provider that has the wanted voice, the configured one first."""
    names = dict.fromkeys((settings.get().speech_provider, *providers.names("speech")))
    offered = []
    for name in names:
        provider = providers.speech(name)
        voices = [voice for voice in provider.voices() if voice.language == made.language]
        if voices and (spec.voice is None or spec.voice in [voice.name for voice in voices]):
            return provider
        offered += [voice.name for voice in voices]
    raise InputError(
        "voice_unknown",
        f"There is no voice {spec.voice!r} for {made.language}.",
        f"Choose one of: {', '.join(offered)}.",
    )


def _speak(
    context: StageContext, provider: SpeechProvider, text: str, made: Script
) -> SentenceAsset:
    request = SpeechRequest(
        text=text, language=made.language, voice=context.spec.voice, speed=context.spec.speed
    )
    inputs = {
        "request": request.model_dump(mode="json"),
        "provider": provider.name,
        "version": provider.version,
    }
    # named by content: a scene that moves keeps its voice
    stem = f"assets/voice/{disk.digest(inputs)[:20]}"

    def build(wav: Path, words: Path) -> None:
        _write(words, provider.speak(request, wav).model_dump_json())

    context.make_all((f"{stem}.wav", f"{stem}.json"), inputs=inputs, build=build)
    return SentenceAsset(text=text, wav=f"{stem}.wav", words=f"{stem}.json")


# -- pictures ----------------------------------------------------------------------------------


def _draw_all(context: StageContext, made: Script) -> list[tuple[str, str]]:
    drawn = []
    total = len(made.scenes)
    for number, scene in enumerate(made.scenes):
        fraction = VOICE_SHARE + (1 - VOICE_SHARE) * number / total
        context.step(fraction, "pictures", n=number + 1, total=total)
        picture = scene.visual.kind == "picture"
        drawn.append(_picture(context, scene) if picture else _card(context, scene, made))
    return drawn


def _picture(context: StageContext, scene: Scene) -> tuple[str, str]:
    source = context.project.path(f"source/{scene.visual.path}")
    pictures.check(source)
    inputs = {
        "picture": disk.sha256(source),
        "size": context.size,
        "style": styles.digest(styles.load(context.spec.style)),
        "version": pictures.VERSION,
    }

    def build(path: Path) -> None:
        pictures.prepare(
            source,
            path,
            size=context.size,
            style=styles.load(context.spec.style),
        )

    return _drawn(context, inputs, build)


def _card(context: StageContext, scene: Scene, made: Script) -> tuple[str, str]:
    first = scene is made.scenes[0]
    facts: dict[str, Any] = {
        "heading": made.title if first else scene.heading,
        "text": "" if scene.heading or first else _sentences(scene, made)[0],
        "language": made.language,
        "kind": "title" if first else "statement",
    }
    inputs = {
        **facts,
        "size": context.size,
        "style": styles.digest(styles.load(context.spec.style)),
        "version": cards.VERSION,
    }

    def build(path: Path) -> None:
        cards.draw(
            path,
            **facts,
            size=context.size,
            style=styles.load(context.spec.style),
        )

    return _drawn(context, inputs, build)


def _drawn(context: StageContext, inputs: dict[str, Any], build: Any) -> tuple[str, str]:
    name = f"assets/picture/{disk.digest(inputs)[:20]}.png"
    made = context.make(name, inputs=inputs, build=build)
    return name, made.sha256
