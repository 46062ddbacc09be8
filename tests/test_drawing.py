"""What scenes show: pictures made or found, cards where there are none, and who is named for them."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import _cheap
from _gemini import Gemini, environment
from _mutations import stage_of
from _stock import StockHouse
from app import cli, disk, pipeline, providers, settings, throttle
from app.errors import (
    InputError,
    PermanentError,
    QuotaError,
    ReelchainError,
    StateError,
    TransientError,
)
from app.media import pictures
from app.models import Speech
from app.project import Project
from app.providers import Picture, PictureRequest, SpeechRequest
from app.providers.youtube import YouTubePublisher, metadata
from app.tasks import _context, assets
from app.tasks._stage import DEFINITIONS

# what a retry tells Celery goes through its Redis backend, which calls what redis-py calls old
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

THUMBNAIL = DEFINITIONS["thumbnail_generation"].work
"""The real one, before anything takes its place."""

STORY = """---
title: Sky lanterns
language: en
{settings}
---
# Sky lanterns

## Paper

Thin paper holds the warm air. It weighs next to nothing.

## Fire

A small flame heats the air inside.

## Flight

The lantern rises over the river.
"""


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[pytest.MonkeyPatch]:
    """The cheap voice, render and thumbnail; nobody waits before a further try."""
    monkeypatch.setenv("SPEECH_PROVIDER", "silent")
    monkeypatch.setenv("RENDER_SCALE", "0.1")
    monkeypatch.setattr(disk, "fsync", lambda path: None)  # no power is cut here
    monkeypatch.setattr(_context, "RETRY_DELAYS", (0.0, 0.0, 0.0))
    restore = _cheap.install()
    throttle.forget()
    settings.get.cache_clear()
    yield monkeypatch
    restore()


@pytest.fixture
def house(stages: pytest.MonkeyPatch) -> Iterator[StockHouse]:
    with StockHouse() as made:
        for name, value in made.environment.items():
            stages.setenv(name, value)
        yield made


def colour(request: PictureRequest) -> tuple[int, int, int]:
    return zlib.crc32(request.prompt.encode()) % 200, 110, 160


@pytest.fixture
def gemini(stages: pytest.MonkeyPatch) -> Iterator[Gemini]:
    with Gemini() as made:
        for name, value in environment(made).items():
            stages.setenv(name, value)
        yield made


class Painter:
    """A provider in the test's own hands."""

    name: ClassVar[str] = "painter"
    version: ClassVar[str] = "1"

    def __init__(self, act: Callable[[PictureRequest], Picture | None] | None = None) -> None:
        self.act = act
        self.asked: list[PictureRequest] = []
        self.at_once = 2
        self.seconds = 0.0
        self.working, self.most = 0, 0
        self.lock = threading.Lock()

    def concurrency(self) -> int:
        return self.at_once

    def draw(self, request: PictureRequest, target: Path) -> Picture:
        with self.lock:
            self.asked.append(request)
            self.working += 1
            self.most = max(self.most, self.working)
        try:
            time.sleep(self.seconds)
            told = self.act(request) if self.act else None
            Image.new("RGB", (672, 384), colour(request)).save(target, "PNG")
        finally:
            with self.lock:
                self.working -= 1
        return told or Picture(provider=self.name, model="brush-1")


def refuse(error: ReelchainError) -> Callable[[PictureRequest], Picture | None]:
    def act(request: PictureRequest) -> Picture | None:
        raise error

    return act


def hire(patch: pytest.MonkeyPatch, chain: str, **hands: Painter) -> None:
    """Use these providers, under these names."""
    patch.setenv("IMAGE_PROVIDER", chain)
    for name, painter in hands.items():
        patch.setattr(painter, "name", name, raising=False)
        patch.setitem(providers.TABLE["picture"], name, "in the test")
        patch.setitem(providers._made, ("picture", name), painter)
    settings.get.cache_clear()


def project(tmp_path: Path, more: str = "", text: str = STORY) -> Project:
    path = tmp_path / "story.md"
    path.write_text(text.replace("{settings}", more), encoding="utf-8")
    made = pipeline.create_project(path)
    stage_of("script_generation", made.id)
    return made


def run(made: Project) -> dict[str, Any]:
    result: dict[str, Any] = stage_of("asset_generation", made.id)
    return result


def manifest(made: Project) -> assets.Assets:
    return assets.load_of(made)


def files(made: Project) -> list[str]:
    return sorted(path.name for path in made.path("assets/found").glob("*"))


# -- pictures that are found --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "shape"), [("pexels", "16:9"), ("pixabay", "9:16"), ("pixabay", "1:1")]
)
def test_every_scene_shows_a_picture_of_its_own(
    house: StockHouse, stages: pytest.MonkeyPatch, service: str, shape: str, tmp_path: Path
) -> None:
    stages.setenv("IMAGE_PROVIDER", service)
    settings.get.cache_clear()
    made = project(tmp_path, f'shape: "{shape}"')
    result = run(made)
    scenes = manifest(made).scenes
    assert [scene.kind for scene in scenes] == ["picture"] * 3
    assert len({scene.picture_sha256 for scene in scenes}) == 3
    size = {"16:9": (192, 108), "9:16": (108, 192), "1:1": (108, 108)}[shape]
    for scene in scenes:
        assert scene.original is not None
        with Image.open(made.path(scene.original)) as image:
            assert image.format == "JPEG"
        with Image.open(made.path(scene.picture)) as image:
            usual = zip(image.size, pictures.canvas(size), strict=True)
            longer = [side / base for side, base in usual]  # one way, where the view travels
            assert min(longer) == 1
            assert max(longer) < 1.75
    assert result["warnings"] == []
    assert house.violations == []
    words = [call.query["query" if service == "pexels" else "q"] for call in house.of("search")]
    assert sorted(words) == ["Fire", "Flight", "Paper"]


def test_keywords_of_a_scene_are_what_is_searched_for(
    house: StockHouse, stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stages.setenv("IMAGE_PROVIDER", "pexels")
    settings.get.cache_clear()
    made = project(tmp_path)
    document = json.loads(made.path("script.json").read_text())
    document["scenes"][1]["visual"] = {"kind": "card", "keywords": ["candle", "flame"]}
    made.path("script.json").write_text(json.dumps(document))
    stage_of("script_generation", made.id)
    run(made)
    assert "candle flame" in [call.query["query"] for call in house.of("search")]


def test_who_took_the_pictures_is_named_where_the_video_is_published(
    house: StockHouse, stages: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path
) -> None:
    stages.setenv("IMAGE_PROVIDER", "pexels")
    settings.get.cache_clear()
    made = project(tmp_path, "description: How paper flies.")
    for stage in ("asset_generation", "video_rendering", "thumbnail_generation", "youtube_upload"):
        stage_of(stage, made.id)
    told = (data_dir / "published" / str(made.id) / "metadata.json").read_text(encoding="utf-8")
    description = json.loads(told)["description"]
    assert description.startswith("How paper flies.\n\nPictures:\nPhoto by Author ")
    for scene in manifest(made).credits:
        assert scene.credit in description
        assert scene.credit_url in description
    shown = pipeline.status(made.id)["stages"]["asset_generation"]["facts"]["credits"]
    assert shown == description.splitlines()[2:]
    planned = pipeline.preview(made.id)
    assert planned["announcement"]["description"] == description


def test_a_description_that_the_credits_make_too_long_is_refused_before_the_film(
    house: StockHouse, stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stages.setenv("IMAGE_PROVIDER", "pexels")
    stages.setenv("PUBLISHER", "youtube")
    settings.get.cache_clear()
    # without a look for a token, which nobody has here
    check = lambda self, told: metadata.check(told, "rc-000000-000000000000")  # noqa: E731 - a line
    stages.setattr(YouTubePublisher, "check", check)
    made = project(tmp_path, f"description: {'燈' * 1640}")
    with pytest.raises(InputError) as caught:
        run(made)
    assert caught.value.code == "youtube_description"


# -- pictures that are drawn ------------------------------------------------------------------


def test_gemini_draws_each_scene_once_in_one_look(
    gemini: Gemini, stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hire(stages, "gemini")
    made = project(tmp_path, 'shape: "9:16"')
    assert run(made)["warnings"] == []
    calls = gemini.asked("picture")
    assert len(calls) == 3
    assert gemini.violations == []
    for call in calls:
        assert "soft, warm daylight" in call.prompt
        assert "No words" in call.prompt
    assert sum("A small flame heats the air inside." in call.prompt for call in calls) == 1
    for scene in manifest(made).scenes:
        with Image.open(made.path(str(scene.original))) as image:
            assert image.width < image.height
    assert manifest(made).credits == ()
    (spent,) = made.state().spend.values()
    assert (spent.calls, spent.pictures) == (3, 3)


def test_what_gemini_does_not_draw_is_asked_once_and_found_elsewhere(
    gemini: Gemini, house: StockHouse, stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hire(stages, "gemini,pixabay")
    gemini.fault = lambda point, facts: (
        "finish:IMAGE_SAFETY" if "flame" in facts["prompt"] else None
    )
    made = project(tmp_path)
    (warning,) = run(made)["warnings"]
    assert warning.startswith("Some pictures are by pixabay instead of gemini: ")
    assert len(gemini.asked("picture")) == 3
    assert [call.query["q"] for call in house.of("search")] == ["Fire"]
    assert [one.provider for one in manifest(made).credits] == ["pixabay"]


# -- what goes wrong --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["broken", "tiny", "404"])
def test_a_file_that_is_no_picture_never_counts(
    house: StockHouse, stages: pytest.MonkeyPatch, fault: str, tmp_path: Path
) -> None:
    second = Painter()
    hire(stages, "pexels,painter", painter=second)
    house.fault = lambda call: fault if call.kind == "picture" else None
    made = project(tmp_path)
    result = run(made)
    assert [scene.kind for scene in manifest(made).scenes] == ["picture"] * 3
    assert len(second.asked) == 3
    (warning,) = result["warnings"]
    assert warning.startswith("Some pictures are by painter instead of pexels: ")
    tries = len(house.of("picture"))
    assert tries == (3 if fault == "404" else 12)  # each once, or once and three times again


def test_a_card_stands_where_nobody_has_a_picture_and_nobody_is_asked_twice(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def act(request: PictureRequest) -> Picture | None:
        if "flame" in request.prompt:
            raise PermanentError("gemini_blocked", "It does not draw this.", "")
        if "river" in request.prompt and len(hand.asked) < 6:
            raise StateError("artifact_empty", "The process dies here, say.", "")
        return None

    hand = Painter(act)
    hand.at_once = 1
    hire(stages, "painter,cards", painter=hand)
    made = project(tmp_path)
    with pytest.raises(StateError):
        run(made)
    asked = len(hand.asked)
    hand.asked = hand.asked * 2
    result = run(made)
    assert len(hand.asked) == 2 * asked + 1  # only the one that was in flight
    kinds = [scene.kind for scene in manifest(made).scenes]
    assert kinds == ["picture", "card", "picture"]
    (warning,) = result["warnings"]
    assert warning.startswith("1 of 3 pictures could not be had")
    assert "It does not draw this." in warning
    history = made.path("events.jsonl").read_text()
    assert history.count('"fell_back"') == 1


@pytest.mark.parametrize("kind", [PermanentError, TransientError])
def test_no_card_stands_in_where_none_was_asked_for(
    stages: pytest.MonkeyPatch, kind: type[ReelchainError], tmp_path: Path
) -> None:
    first = Painter(refuse(PermanentError("picture_not_found", "None.", "")))
    second = Painter(refuse(kind("gemini_odd", "Not drawn.", "")))
    hire(stages, "painter,other", painter=first, other=second)
    made = project(tmp_path)
    with pytest.raises(kind) as caught:
        run(made)
    assert caught.value.code == "gemini_odd"
    assert made.state().stage("asset_generation").status != "completed"
    hire(stages, "painter,other,cards", painter=first, other=second)
    assert len(run(made)["warnings"]) == 1
    assert [scene.kind for scene in manifest(made).scenes] == ["card"] * 3


def test_a_card_of_an_outage_is_not_for_good(stages: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def act(request: PictureRequest) -> Picture | None:
        if "flame" in request.prompt:
            raise PermanentError("gemini_blocked", "It does not draw this.", "")
        if "river" in request.prompt and len(hand.asked) <= 6:
            raise TransientError("gemini_unavailable", "503.", "")
        return None

    hand = Painter(act)
    hand.at_once = 1
    hire(stages, "painter,cards", painter=hand)
    made = project(tmp_path)
    run(made)
    assert [scene.kind for scene in manifest(made).scenes] == ["picture", "card", "card"]
    before = len(hand.asked)
    assert before == 6  # the last one four times
    made.path("assets/assets.json").unlink()  # the stage is to be done again
    run(made)
    assert [scene.kind for scene in manifest(made).scenes] == ["picture", "card", "picture"]
    assert len(hand.asked) == before + 1


def test_a_noted_refusal_is_no_card_where_none_is_asked_for_any_more(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hand = Painter(refuse(PermanentError("gemini_blocked", "It does not draw this.", "")))
    hire(stages, "painter,cards", painter=hand)
    made = project(tmp_path)
    run(made)
    hire(stages, "painter", painter=hand)
    made.path("assets/assets.json").unlink()
    with pytest.raises(PermanentError) as caught:
        run(made)
    assert caught.value.code == "gemini_blocked"


def test_strict_fails_and_makes_no_card(stages: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = Painter(refuse(PermanentError("gemini_blocked", "No.", "Rephrase it.")))
    second = Painter()
    hire(stages, "painter,other,cards", painter=first, other=second)
    with pytest.raises(PermanentError) as caught:
        run(project(tmp_path, "strict: true"))
    assert caught.value.code == "gemini_blocked"
    assert second.asked == []


@pytest.mark.parametrize(("chain", "waits"), [("painter", True), ("painter,cards", False)])
def test_a_quota_of_the_day_is_waited_for_unless_cards_may_stand_in(
    stages: pytest.MonkeyPatch, chain: str, waits: bool, tmp_path: Path
) -> None:
    hire(stages, chain, painter=Painter(refuse(QuotaError("gemini_quota", "Spent.", "", 900.0))))
    made = project(tmp_path)
    if waits:
        stage_of("asset_generation", made.id)
        assert made.state().status == "waiting"
    else:
        run(made)
        assert [scene.kind for scene in manifest(made).scenes] == ["card"] * 3


def test_a_wrong_setting_is_no_reason_for_another_provider(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    second = Painter()
    hire(stages, "pexels,other,cards", other=second)
    with pytest.raises(InputError) as caught:
        run(project(tmp_path))
    assert caught.value.code == "stock_key_missing"
    assert second.asked == []


def test_a_503_is_tried_again_and_then_the_picture_is_there(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def act(request: PictureRequest) -> Picture | None:
        if [r.prompt for r in hand.asked].count(request.prompt) < 3:
            raise TransientError("service_unavailable", "503.", "")
        return None

    hand = Painter(act)
    hire(stages, "painter", painter=hand)
    made = project(tmp_path)
    assert run(made)["warnings"] == []
    assert len(hand.asked) == 9


# -- what is asked for ------------------------------------------------------------------------


def test_all_pictures_share_a_look_and_a_seed_and_say_what_is_seen(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hand = Painter()
    hire(stages, "painter", painter=hand)
    run(project(tmp_path, "style: night"))
    asked = sorted(hand.asked, key=lambda request: request.number)
    assert len({(request.look, request.seed, request.shape) for request in asked}) == 1
    assert "blue hour" in asked[0].look
    assert asked[0].prompt == "Paper: Thin paper holds the warm air."
    assert asked[2].keywords == ("Flight",)


def test_a_scene_that_moves_keeps_its_picture_and_only_a_new_one_is_asked_for(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hand = Painter()
    hire(stages, "painter", painter=hand)
    made = project(tmp_path)
    run(made)
    before = {scene.picture_sha256 for scene in manifest(made).scenes}
    new = STORY.replace("## Fire", "## Wind\n\nIt drifts with the evening wind.\n\n## Fire")
    path = tmp_path / "story.md"
    path.write_text(new.replace("{settings}", ""), encoding="utf-8")
    pipeline.update_project(made.id, path)
    stage_of("script_generation", made.id)
    run(made)
    assert [request.prompt for request in hand.asked[3:]] == [
        "Wind: It drifts with the evening wind."
    ]
    assert before < {scene.picture_sha256 for scene in manifest(made).scenes}
    assert len(files(made)) == 8  # a picture and its facts, for each of four


def test_scenes_of_the_same_words_have_pictures_of_their_own(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hand = Painter()
    hire(stages, "painter", painter=hand)
    made = project(
        tmp_path,
        text=STORY.replace(
            "## Fire\n\nA small flame heats the air inside.",
            "## Paper\n\nThin paper holds the warm air.",
        ),
    )
    run(made)
    assert len(hand.asked) == 3
    assert len({scene.original for scene in manifest(made).scenes}) == 3


def test_as_many_are_asked_for_at_once_as_the_provider_likes(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    together = threading.Barrier(5)

    def meet(_request: PictureRequest) -> None:
        together.wait(60)  # broken, if fewer than five ever come at once

    hand = Painter(meet)
    hand.at_once = 5
    hire(stages, "painter", painter=hand)
    scenes = "".join(f"## Part {n}\n\nThis is part {n}.\n\n" for n in range(10))
    made = project(tmp_path, text=f"---\nlanguage: en\n---\n# Ten\n\n{scenes}")
    run(made)
    assert len(hand.asked) == 10
    assert hand.most == 5


def test_nothing_is_asked_for_a_video_that_nobody_can_speak(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hand = Painter()
    hire(stages, "painter", painter=hand)
    with pytest.raises(InputError) as caught:
        run(project(tmp_path, "voice: nobody"))
    assert caught.value.code == "voice_unknown"
    assert hand.asked == []


def test_pictures_come_while_the_voice_speaks(stages: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first sentence is not spoken before a picture has been asked for."""
    begun = threading.Event()
    hand = Painter(lambda request: begun.set())
    hire(stages, "painter", painter=hand)
    speak = _cheap.SilentSpeech.speak
    waited: list[bool] = []

    def patient(voice: Any, request: Any, target: Path) -> Any:
        waited.append(begun.wait(20))
        return speak(voice, request, target)

    stages.setattr(_cheap.SilentSpeech, "speak", patient)
    run(project(tmp_path))
    assert all(waited)


def test_pictures_of_the_user_s_own_stay_and_cards_cost_nothing(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hand = Painter()
    hire(stages, "painter", painter=hand)
    Image.new("RGB", (1280, 720), "navy").save(tmp_path / "night.jpg")
    given = "## Fire\n\n![Night](night.jpg)\n"
    wished = "## Flight\n\n<!-- card: statement -->\n"
    listed = "- Thin paper\n- Warm air\n- A flame"  # a list, but nobody asked for its card
    text = STORY.replace("## Fire\n", given).replace("## Flight\n", wished)
    text = text.replace("Thin paper holds the warm air. It weighs next to nothing.", listed)
    made = project(tmp_path, text=text)
    run(made)
    assert manifest(made).scenes[1].original == "source/night.jpg"
    assert [scene.kind for scene in manifest(made).scenes] == ["picture", "picture", "card"]
    assert len(hand.asked) == 1
    hire(stages, "cards")
    other = project(tmp_path)
    run(other)
    assert [scene.kind for scene in manifest(other).scenes] == ["card"] * 3
    assert len(hand.asked) == 1


def test_a_list_has_a_still_for_each_of_its_points(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hire(stages, "cards")
    points = "\n\nWhat it takes:\n\n- Thin paper\n- A small flame\n"
    made = project(tmp_path, text=STORY.replace("A small flame heats the air inside.", points))
    run(made)
    scene = manifest(made).scenes[1]
    assert [step.sentence for step in scene.steps] == [1, 2]
    assert [scene.sentences[step.sentence].text for step in scene.steps] == [
        "Thin paper",
        "A small flame",
    ]
    stills = {scene.picture_sha256, *(step.picture_sha256 for step in scene.steps)}
    assert len(stills) == 3
    for step in scene.steps:
        assert disk.sha256(made.path(step.picture)) == step.picture_sha256
    assert [one.steps for one in manifest(made).scenes[::2]] == [(), ()]
    stage_of("video_rendering", made.id)


def test_the_thumbnail_shows_a_picture_that_there_is(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def act(request: PictureRequest) -> Picture | None:
        if request.number == 0:
            raise PermanentError("gemini_blocked", "No.", "")
        return None

    hand = Painter(act)
    hire(stages, "painter,cards", painter=hand)
    made = project(tmp_path)
    run(made)
    stage_of("video_rendering", made.id)
    (second,) = [request for request in hand.asked if request.number == 1]
    object.__setattr__(DEFINITIONS["thumbnail_generation"], "work", THUMBNAIL)
    stage_of("thumbnail_generation", made.id)
    with Image.open(made.path("thumbnail.jpg")) as image:
        pixels = np.asarray(image.convert("RGB"), int)
    off = np.abs(pixels - colour(second)).max(axis=-1)
    assert (off <= 30).mean() > 0.05  # words, and what they stand on, may take all the rest


def test_who_stood_in_is_forgotten_when_the_first_choice_does_it(
    stages: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Hoarse(_cheap.SilentSpeech):
        name: ClassVar[str] = "hoarse"

        def speak(self, request: SpeechRequest, target: Path) -> Speech:
            if hoarse:
                raise PermanentError("gemini_refused", "It has lost its voice.", "")
            return super().speak(request, target)

    stages.setitem(providers.TABLE["speech"], "hoarse", "in the test")
    stages.setitem(providers._made, ("speech", "hoarse"), Hoarse())
    stages.setenv("SPEECH_PROVIDER", "hoarse,silent")
    hire(stages, "cards")
    hoarse = True
    made = project(tmp_path)
    run(made)
    stage = made.state().stage("asset_generation")
    assert "It has lost its voice." in stage.facts["fell_back"]["speech"]
    shown = CliRunner().invoke(cli.app, ["show", str(made.id)], env={"COLUMNS": "400"}).output
    assert "voice_provider silent" in shown
    assert "fell_back" not in shown
    hoarse = False
    made.path("assets/assets.json").unlink()
    assert run(made)["warnings"] == []
    assert made.state().stage("asset_generation").facts["fell_back"] == {}
