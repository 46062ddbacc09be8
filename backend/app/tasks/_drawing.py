"""What each scene shows: the user's picture, one that a provider made or found, or a card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from app import disk, language, messages, providers, settings
from app.errors import InputError, PermanentError, TransientError
from app.media import cards, framing, pictures, styles
from app.models import Language, Scene, Script, Value
from app.providers import Picture, PictureProvider, PictureRequest
from app.tasks import _fallback
from app.tasks._stage import StageContext
from app.tasks._threads import begun

CARDS = "cards"
"""The name in IMAGE_PROVIDER that means: a card, and nothing is asked for."""
VERSION = "1"
"""Raised when the same scene asks for another picture."""
CREDIT_BYTES = 1200
"""Of a description, which is 5,000 bytes at most, for who made its pictures, heading and all."""
CREDIT_SITES = 4
"""Services whose addresses are named where there is no room for those of their pictures."""
LEAST_SIDE = 320
"""Pixels of a picture's shorter side; below this it is a place holder, or a mark to count by."""


class Refusal(Value):
    """A provider that was asked first, and why there is no picture of its."""

    provider: str
    code: str
    message: str


class Found(Value):
    """`assets/found/*.json`: how a scene came to its picture, or to none."""

    picture: Picture | None
    refusals: tuple[Refusal, ...] = ()


class Step(NamedTuple):
    """A still that a card becomes as sentence number `sentence` of its scene begins."""

    path: str
    sha256: str
    sentence: int


class Framed(Value):
    """`assets/picture/*.json`: how a picture came into the frame, and what is to stay in sight."""

    way: framing.Way
    faces: int
    keep: tuple[float, float, float, float] | None
    """Left, top, right, bottom, as shares of the still."""
    spread: tuple[float, float] = (1.0, 1.0)
    """How much wider and higher than usual the still is."""


class Drawn(NamedTuple):
    """What a scene shows.

    Attributes:
        kind: As the renderer treats it.
        path: The still, relative to the project's folder.
        sha256: Of the still.
        original: The picture it was made from; None for a card.
        found: Where a provider was asked: what became of it.
        steps: What a card that builds up becomes, in order.
        framed: How a picture came into the frame.
    """

    kind: Literal["picture", "card"]
    path: str
    sha256: str
    original: str | None = None
    found: Found | None = None
    steps: tuple[Step, ...] = ()
    framed: Framed | None = None


class Asked(NamedTuple):
    """What became of asking for a scene's picture; no path where there is none."""

    path: str | None
    outcome: Found


def draw_all(
    context: StageContext, made: Script, asked: Iterator[Asked | None], begin: float
) -> list[Drawn]:
    """Return what each scene shows.

    Args:
        context: The stage.
        made: The script.
        asked: What `asking` yields.
        begin: Where in the stage's progress the pictures begin; they take the rest.
    """
    total = len(made.scenes)
    drawn: list[Drawn] = []
    context.step(begin, "pictures", n=1, total=total)
    # what is waited for comes in threads; what needs memory is done one by one, meanwhile
    for scene, found in zip(made.scenes, asked, strict=True):
        drawn.append(_shown(context, made, scene, found))
        done = begin + (1 - begin) * len(drawn) / total
        context.step(done, "pictures", n=min(len(drawn) + 1, total), total=total)
    _tell(context, drawn)
    return drawn


def credited(drawn: Sequence[Drawn]) -> tuple[Picture, ...]:
    """Return the pictures whose makers have to be named, each once."""
    found = [one.found.picture for one in drawn if one.found and one.found.picture]
    return tuple(dict.fromkeys(picture for picture in found if picture.credit))


def credit_lines(named: Sequence[Picture], spoken: Language) -> tuple[str, ...]:
    """Return what a description says of them: a line per maker, in brief where there are many."""
    pages: dict[str, list[str]] = {}
    for picture in named:
        pages.setdefault(picture.credit, []).append(picture.credit_url)
    if not pages:
        return ()
    heading = messages.text("credits", spoken)
    lines = [" ".join((credit, *filter(None, urls))) for credit, urls in pages.items()]
    if _bytes(heading, *lines) <= CREDIT_BYTES:
        return (heading, *lines)
    addresses = [urlsplit(picture.credit_url) for picture in named if picture.credit_url]
    sites = list(dict.fromkeys(f"{at.scheme}://{at.netloc}" for at in addresses))[:CREDIT_SITES]
    for left_out in range(len(pages)):
        names = "; ".join(list(pages)[: len(pages) - left_out])
        if left_out:
            names += messages.text("credits_more", spoken, n=left_out)
        if _bytes(heading, names, *sites) <= CREDIT_BYTES:
            return (heading, names, *sites)
    return (heading, *sites)


def _bytes(*lines: str) -> int:
    return len("\n".join(lines).encode())


def _tell(context: StageContext, drawn: list[Drawn]) -> None:
    """Say who drew what, and what is another's or a card in place of what was asked for."""
    asked = [one.found for one in drawn if one.found is not None]
    made = Counter(one.picture.provider for one in asked if one.picture is not None)
    if made:
        context.facts["pictures"] = dict(made)
    missing = [one for one in asked if one.picture is None]
    if missing:
        why = missing[0].refusals[-1]
        context.warn(
            f"{len(missing)} of {len(asked)} pictures could not be had, so cards stand there: "
            f"{why.message}"
        )
    for one in asked:
        if one.picture is not None and one.refusals:
            first = one.refusals[0]
            context.warn(
                f"Some pictures are by {one.picture.provider} instead of {first.provider}: "
                f"{first.message}"
            )
            break
    ways = Counter(one.framed.way for one in drawn if one.framed is not None)
    if ways:
        context.facts["framing"] = dict(ways)
    whole = ways["blur"] + ways["solid"]
    if context.spec.framing == "crop" and whole:
        context.warn(
            f"{whole} of {ways.total()} pictures are shown whole: cropped, "
            "they would lose a face, let something show through, or be blown up too far."
        )


def _shown(context: StageContext, made: Script, scene: Scene, found: Asked | None) -> Drawn:
    if scene.visual.kind == "picture":
        return _still(context, f"source/{scene.visual.path}", ".png")
    if found is None:
        return _card(context, scene, made)
    if found.path is None:
        return _card(context, scene, made)._replace(found=found.outcome)
    # it is a JPEG already: a lossless still gains nothing, and takes ten times as long to write
    return _still(context, found.path, ".jpg")._replace(found=found.outcome)


# -- pictures that a provider makes or finds ----------------------------------------------------


class _Wish(NamedTuple):
    """A picture to ask for; `again` counts the scenes before that asked for the same."""

    request: PictureRequest
    again: int


def chain() -> tuple[str, ...]:
    """Return the providers to ask, the first choice first; none where cards are wanted."""
    names = providers.chain(settings.get().image_provider)
    return names[: names.index(CARDS)] if CARDS in names else names


def _cards_may() -> bool:
    return CARDS in providers.chain(settings.get().image_provider)


@contextmanager
def asking(context: StageContext, made: Script) -> Iterator[Iterator[Asked | None]]:
    """Ask for the pictures of all scenes, several at once, while other work is done inside.

    Yields:
        What becomes of each scene in order, waited for; None for a scene that asks for none.
    """
    names = chain()
    wishes = _wishes(context, made) if names else [None] * len(made.scenes)
    if not any(wishes):
        yield iter([None] * len(wishes))
        return
    asked = [providers.picture(name) for name in names]

    def find(wish: _Wish | None) -> Asked | None:
        return None if wish is None else _find(context, asked, wish)

    with begun(context, find, wishes, asked[0].concurrency()) as found:
        yield found


def _wishes(context: StageContext, made: Script) -> list[_Wish | None]:
    style = styles.load(context.spec.style)
    seed = int(disk.digest([context.project.id, style.name])[:7], 16)
    seen: Counter[tuple[object, ...]] = Counter()
    wishes: list[_Wish | None] = []
    for number, scene in enumerate(made.scenes):
        if not scene.visual.may_be_found:
            wishes.append(None)
            continue
        heading = scene.heading or ("" if number else made.title)
        first = spoken_sentences(scene, made)[0]
        request = PictureRequest(
            prompt=scene.visual.prompt or f"{heading}: {first}".removeprefix(": "),
            keywords=scene.visual.keywords or (heading or made.title,),
            look=style.look,
            shape=context.spec.shape,
            language=made.language,
            seed=seed,
            number=number,
        )
        same = (request.prompt, request.keywords)
        wishes.append(_Wish(request, seen[same]))
        seen[same] += 1
    return wishes


def _find(context: StageContext, asked: list[PictureProvider], wish: _Wish) -> Asked:
    """Return the picture of the first provider that has one.

    A picture, and a refusal that would be the same again, is not asked for twice.

    Raises:
        ReelchainError: Nobody has one, and a card may not stand there.
    """
    inputs = {
        # a scene that moves keeps its picture
        "request": wish.request.model_dump(mode="json", exclude={"number"}),
        "again": wish.again,
        "chain": [[provider.name, provider.version] for provider in asked],
        "version": VERSION,
    }
    stem = f"assets/found/{disk.digest(inputs)[:20]}"
    names = (f"{stem}.jpg", f"{stem}.json")
    none = f"{stem}.none.json"
    if (known := _known_refusal(context, none, inputs)) is not None:
        return Asked(None, known)

    def build(picture: Path, facts: Path) -> None:
        facts.write_text(_by_any(context, asked, wish.request, picture).model_dump_json())

    try:
        context.make_all(names, inputs=inputs, build=build, retry=False)
    except _NoneHasOne as nobody:
        outcome = Found(picture=None, refusals=nobody.refusals)
        text = outcome.model_dump_json()
        if nobody.lasting:
            context.make(none, inputs=inputs, build=lambda path: _write(path, text))
        return Asked(None, outcome)
    return Asked(names[0], Found.model_validate_json(context.project.path(names[1]).read_bytes()))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _known_refusal(context: StageContext, name: str, inputs: dict[str, Any]) -> Found | None:
    """Return what was noted when nobody had the picture and a card might stand there."""
    record = context.state().artifact(name)
    if record is None or record.inputs != disk.digest(inputs):
        return None
    if context.spec.strict or not _cards_may():
        return None
    if not context.project.intact(record):
        return None
    context.keep(name)
    return Found.model_validate_json(context.project.path(name).read_bytes())


class _NoneHasOne(Exception):  # noqa: N818 - a card stands there, which is no fault
    """Every provider has been asked, and a card may stand there.

    Args:
        refusals: Why each has none.
        lasting: Whether each would say the same again.
    """

    def __init__(self, refusals: tuple[Refusal, ...], *, lasting: bool) -> None:
        super().__init__()
        self.refusals, self.lasting = refusals, lasting


def _by_any(
    context: StageContext,
    asked: list[PictureProvider],
    request: PictureRequest,
    target: Path,
) -> Found:
    """Let the first provider that can draw do it; the others' reasons are kept with the picture.

    Raises:
        ReelchainError: Nobody can, and a card may not stand there.
    """
    refusals: list[Refusal] = []
    lasting = True
    for number, provider in enumerate(asked, 1):
        last = context.spec.strict or (number == len(asked) and not _cards_may())
        tries = partial(context.retrying, partial(_draw, provider, request, target))
        try:
            picture = _fallback.attempt(provider.name, tries, last=last)
        except _fallback.FALLS as error:
            if last or _fallback.waits(context, error):
                raise
            lasting = lasting and isinstance(error, PermanentError)
            why = Refusal(provider=provider.name, code=error.code, message=error.message)
            refusals.append(why)
            by = asked[number].name if number < len(asked) else CARDS
            facts = {"kind": "picture", "asked": why.provider, "by": by, "error": why.code}
            context.project.log("fell_back", stage=context.stage, **facts)
        else:
            return Found(picture=picture, refusals=tuple(refusals))
    raise _NoneHasOne(tuple(refusals), lasting=lasting)


def _draw(provider: PictureProvider, request: PictureRequest, target: Path) -> Picture:
    picture = provider.draw(request, target)
    try:
        pictures.as_jpeg(target, least=LEAST_SIDE)
    except InputError as error:
        raise TransientError(
            "picture_unusable",
            f"What {provider.name} gave for a picture can't be used ({error.code}).",
            "Run the project again, or set another IMAGE_PROVIDER.",
        ) from None
    return picture


# -- stills --------------------------------------------------------------------------------------


def _still(context: StageContext, original: str, suffix: str) -> Drawn:
    source = context.project.path(original)
    pictures.check(source)
    style, wanted = styles.load(context.spec.style), context.spec.framing
    inputs = {
        "picture": disk.sha256(source),
        "size": context.size,
        "framing": wanted,
        "style": styles.digest(style),
        "version": pictures.VERSION,
    }

    def build(picture: Path, facts: Path) -> None:
        plan = pictures.prepare(source, picture, size=context.size, style=style, framing=wanted)
        framed = Framed(way=plan.way, faces=len(plan.people), keep=plan.keep, spread=plan.spread)
        facts.write_text(framed.model_dump_json(), encoding="utf-8")

    name = _name(inputs, suffix)
    known = name.removesuffix(suffix) + ".json"
    made, _ = context.make_all((name, known), inputs=inputs, build=build)
    framed = Framed.model_validate_json(context.project.path(known).read_bytes())
    return Drawn("picture", name, made.sha256, original, framed=framed)


def _card(context: StageContext, scene: Scene, made: Script) -> Drawn:
    """Draw a scene's card, a still for each point of a list."""
    style = styles.load(context.spec.style)
    words = cards.settled(told(scene, made), size=context.size, style=style)
    facts = {
        "words": asdict(words),
        "language": made.language,
        "size": context.size,
        "style": styles.digest(style),
        "version": cards.VERSION,
    }

    def still(shown: int) -> tuple[str, str]:
        def build(path: Path) -> None:
            cards.draw(
                path,
                words,
                language=made.language,
                size=context.size,
                style=style,
                shown=shown,
            )

        inputs = {**facts, "shown": shown}
        name = _name(inputs, ".png")
        return name, context.make(name, inputs=inputs, build=build).sha256

    first = cards.shown_at_once(words)
    steps = tuple(
        Step(*still(shown), words.points[shown - 1].sentence)
        for shown in range(first + 1, len(words.points) + 1)
    )
    return Drawn("card", *still(first), steps=steps)


def told(scene: Scene, made: Script) -> cards.Told:
    """Return a scene as its card is made from it."""
    spoken_sentences(scene, made)  # a scene without words is told of before it is drawn
    first, last = scene is made.scenes[0], scene is made.scenes[-1]
    return cards.Told(
        title=made.title,
        heading=scene.heading,
        narration=scene.narration,
        language=made.language,
        place="only" if first and last else "first" if first else "last" if last else "middle",
        wanted=scene.visual.card or scene.visual.suggested,
    )


def _name(inputs: dict[str, Any], suffix: str) -> str:
    return f"assets/picture/{disk.digest(inputs)[:20]}{suffix}"


def spoken_sentences(scene: Scene, made: Script) -> list[str]:
    """Return the sentences of a scene that have words in them.

    Raises:
        InputError: `narration_unspeakable`.
    """
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
