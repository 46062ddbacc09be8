"""The template writer: honest, of the wanted length, the same every time."""

from __future__ import annotations

import pytest

from app import language as lang
from app import providers
from app.errors import InputError
from app.models import Script
from app.providers import ScriptRequest
from app.providers.template import TemplateWriter

TOPICS: tuple[tuple[lang.Language, str], ...] = (
    ("en", "coffee"),
    ("en", "why do cats purr?"),
    ("en", "The history of the International Space Station, told for children of all ages. " * 3),
    ("en", "咖啡"),
    ("en", "a" * 2000),
    ("zh-TW", "咖啡為什麼讓人睡不著？"),
    ("zh-TW", "台灣高鐵"),
    ("zh-TW", "Python"),
    ("zh-TW", "量子電腦與傳統電腦的差別以及它們在未來二十年內對金融醫療與交通可能造成的影響" * 3),
    ("ja", "なぜ海は塩辛いのか？"),
    ("ja", "コーヒー"),
    (
        "ja",
        "人工知能とロボットがこれから二十年の暮らしと仕事と学びにもたらすかもしれない変化について"
        * 3,
    ),
)


TOLD = {"en": "written by a template", "zh-TW": "由範本", "ja": "テンプレートが作成"}


def write(topic: str, language: lang.Language, seconds: float = 40, **more: str) -> Script:
    request = ScriptRequest.model_validate(
        {"topic": topic, "language": language, "seconds": seconds, **more}
    )
    return TemplateWriter().write(request)


@pytest.mark.parametrize(("language", "topic"), TOPICS)
@pytest.mark.parametrize("seconds", [10, 12, 15, 20, 30, 40, 60, 90, 110])
def test_the_length_is_what_was_asked_for(
    language: lang.Language, topic: str, seconds: float
) -> None:
    script = write(topic, language, seconds)
    spoken = sum(lang.reading_seconds(scene.narration, language) for scene in script.scenes)
    assert spoken == pytest.approx(seconds, rel=0.15)
    assert 3 <= len(script.scenes) <= 5
    assert script.scenes[0].id == "s001"


@pytest.mark.parametrize(("language", "topic"), TOPICS)
def test_it_says_plainly_who_wrote_it(language: lang.Language, topic: str) -> None:
    script = write(topic, language, description="My own words.")
    assert script.origin == "template writer"
    assert script.description.startswith("My own words.")
    assert TOLD[language] in script.description
    assert script.language == language
    assert lang.width(script.title) <= 82


def test_the_same_request_gives_the_same_script() -> None:
    assert write("coffee", "en") == write("coffee", "en")
    assert providers.script_writer("template").name == "template"


def test_a_question_stays_one_and_a_title_of_ones_own_wins() -> None:
    script = write("why do cats purr?", "en", title="Purr")
    assert script.title == "Purr"
    assert script.scenes[0].heading == "Why do cats purr?"
    assert script.scenes[0].narration.startswith("Here is a question: why do cats purr?")
    assert write("{topic} {0}\n\x00", "en").title == "(topic) (0)"


def test_emoji_of_a_topic_are_shown_and_not_said() -> None:
    script = write("do bees dance? 🐝👩\u200d🚀", "en")
    assert script.title == "Do bees dance? 🐝👩\u200d🚀"
    assert script.scenes[0].narration.startswith("Here is a question: do bees dance?")


def test_a_wish_beyond_its_words_gets_all_of_them() -> None:
    assert write("coffee", "en", 3600) == write("coffee", "en", 1800)


@pytest.mark.parametrize(
    ("topic", "code"),
    [("", "topic_empty"), ("🎉?", "topic_empty"), ("שלום", "script_unsupported")],
)
def test_a_topic_without_words_is_refused(topic: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        write(topic, "en")
    assert caught.value.code == code
