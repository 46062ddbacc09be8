"""Cards: designs chosen by what is said, legible, inside the frame, clear of the captions."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from app.errors import MediaError
from app.media import captions, cards, lettering, pictures, styles, timeline
from app.media.cards import choose
from app.media.cards.sheet import Bar, Page, Sheet
from app.media.cards.words import Point, Told, Words, brief
from app.media.compositor import Compositor
from app.media.contrast import luminance, ratio
from app.models import CardKind, Language, Speech, Word

SHAPES = {"16:9": (480, 270), "9:16": (270, 480), "1:1": (270, 270)}
LONG: dict[Language, str] = {
    "en": "Between two turns of its lamp it counted as far as it could, and began again at one.",
    "zh-TW": "燈光轉過一圈又一圈，空檔裡，老燈塔能數多遠就數多遠，再從一開始。",
    "ja": "明かりがひと回りするあいだに、灯台は数えられるだけ星を数え、また一から始めました。",
}
MONSTER = "Pneumonoultramicroscopicsilicovolcanoconiosis"


def words(design: CardKind, language: Language) -> Words:
    """Words that a design usually has."""
    texts: dict[Language, tuple[str, str, tuple[str, ...], str, str, str]] = {
        "en": (
            "The lighthouse that counts the stars",
            "A ship in harbour is safe, but that is not what ships are built for",
            ("Warm the pot with hot water", "Add a spoon of leaves", "Wait three minutes"),
            "1,200",
            "km",
            "John Shedd",
        ),
        "zh-TW": (
            "數星星的燈塔",
            "想像力比知識更重要，因為知識有限，而想像力環抱整個世界",
            ("先用熱水溫壺", "每杯放一匙茶葉", "水要慢慢沖，不要急"),
            "4",
            "億杯",
            "愛因斯坦",
        ),
        "ja": (
            "星を数える灯台",
            "のんきと見える人々も、心の底を叩いてみると、どこか悲しい音がする",
            ("急須をお湯で温めます", "茶葉を一さじ入れます", "三分間待ちます"),
            "100",
            "万人",
            "夏目漱石",
        ),
    }
    heading, text, points, number, unit, speaker = texts[language]
    shown: dict[CardKind, Words] = {
        "title": Words("title", heading=heading),
        "statement": Words("statement", heading=heading),
        "list": Words(
            "list",
            heading=heading,
            points=tuple(Point(point, n) for n, point in enumerate(points)),
            numbered=True,
        ),
        "quote": Words("quote", text=text, speaker=speaker),
        "number": Words("number", text=heading, number=number, unit=unit),
        "end": Words("end", heading=speaker, text=heading),
    }
    return shown[design]


# -- which design --------------------------------------------------------------------------------


def told(text: str, language: Language = "en", heading: str = "", **more: object) -> Told:
    return replace(Told("The title", heading, text, language), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "First, warm the pot. Then pour. Finally, wait.", ["Warm the pot", "Pour", "Wait"]),
        ("en", "Two things.\n- Water\n- A warm coat", ["Water", "A warm coat"]),
        ("en", "1. Open the door.\n2. Look outside.", ["Open the door", "Look outside"]),
        ("en", "What to bring:\n\nWater.\n\nA map.", ["Water", "A map"]),
        (
            "en",
            "Warm the pot\n\nAdd the leaves\n\nWait",
            ["Warm the pot", "Add the leaves", "Wait"],
        ),
        ("zh-TW", "第一，溫壺。第二，放茶葉。", ["溫壺", "放茶葉"]),
        ("zh-TW", "首先溫壺。接著放入茶葉。最後等三分鐘。", ["溫壺", "放入茶葉", "等三分鐘"]),
        ("zh-TW", "要帶：\n\n水\n\n外套", ["水", "外套"]),
        ("ja", "まず、沸かします。次に、入れます。", ["沸かします", "入れます"]),
        ("ja", "・水\n・上着\n・地図", ["水", "上着", "地図"]),
    ],
)
def test_a_list_is_seen_by_its_marks(language: Language, text: str, expected: list[str]) -> None:
    found = choose.choose(told(text, language))
    assert found.design == "list"
    assert [point.text for point in found.points] == expected


@pytest.mark.parametrize(
    ("language", "text", "quotation", "speaker"),
    [
        ("en", "“Some things are counted for the company,” said the keeper.", "Some", "The keeper"),
        ("en", "As Ann Lee once wrote: “Nothing in life is to be feared.”", "Nothing", "Ann Lee"),
        ("en", '"I never lose. I either win or learn," he said.', "I never", ""),
        ("zh-TW", "愛因斯坦曾說：「想像力比知識更重要。」", "想像力", "愛因斯坦"),
        ("zh-TW", "「千里之行，始於足下。」老子這麼說。", "千里", "老子"),
        ("zh-TW", "林徽因在《四月天》裡寫道：「你是愛，是暖，是希望。」", "你是愛", "林徽因"),
        (
            "en",
            "“A city that reads is one that listens,” said Elena Diaz at the gate.",
            "A city",
            "Elena Diaz",
        ),
        ("ja", "老子は「千里の道も一歩から始まる」と言いました。", "千里", "老子"),
        ("ja", "「千里の道も一歩から始まる」と老子は言った。", "千里", "老子"),
    ],
)
def test_a_quotation_is_seen_with_its_speaker(
    language: Language, text: str, quotation: str, speaker: str
) -> None:
    found = choose.choose(told(text, language))
    assert (found.design, found.speaker) == ("quote", speaker)
    assert found.text.startswith(quotation)


@pytest.mark.parametrize(
    ("language", "text", "number", "unit"),
    [
        ("en", "About 72 % of all tea is drunk hot.", "72", "%"),
        ("en", "It is 1,200 km to the coast.", "1,200", "km"),
        ("en", "It costs $3.5 million a year.", "$3.5", "million"),
        ("en", "In 2024, the town had 1,204 people.", "1,204", "people"),
        ("zh-TW", "全台灣一年要喝掉 4 億杯茶。", "4", "億杯"),
        ("zh-TW", "光到地球要８分鐘。", "8", "分鐘"),
        ("ja", "江戸には100万人が暮らしていました。", "100", "万人"),
        ("ja", "去年の10倍です。", "10", "倍"),
        ("ja", "コーヒー1杯（150ml）には、およそ90mgが含まれています。", "90", "mg"),
        ("en", "Light travels at 299,792,458 m/s.", "299,792,458", "m/s"),
    ],
)
def test_one_figure_is_the_scene_s(language: Language, text: str, number: str, unit: str) -> None:
    found = choose.choose(told(text, language))
    assert (found.design, found.number, found.unit) == ("number", number, unit)
    assert found.text
    headed = choose.choose(told(text, language, "A heading"))
    assert (headed.design, headed.text) == ("number", "A heading")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "First impressions matter. Then we learn more of people."),
        ("en", "It weighs 3 kg and is 40 cm long."),
        ("en", "On 5 May 2024 at 10:30 the gate opened. Apollo 11 landed in 1969."),
        ("en", "Two people wait for 1 day."),
        ("en", "It falls to −40 °C at night."),
        ("en", "About 5 to 10 percent of all people know it."),
        ("en", "It costs $3–5."),
        ("zh-TW", "氣溫降到零下40度。"),
        ("zh-TW", "水在 4°C 時密度最大，達到 1 g/cm³。"),
        ("zh-TW", "投手主投 4 局，只被敲出 1 支安打，送出 3 次三振。"),
        ("zh-TW", "這座大殿建於西元 857 年。"),
        ("ja", "3〜5倍の差があります。"),
        ("en", "“Where are you going today?” asked Ann. “To the sea and further on,” said Ben."),
        ("en", "He called it a “smart” idea, and all of them laughed."),
        ("en", "The sea is calm.\n\nThe wind sleeps.\n\nNobody speaks."),
        ("en", "Thank you for coming, she said, and opened the door."),
        ("zh-TW", "第一次來台灣的人都會驚訝。第二天就習慣了。"),
        ("zh-TW", "大家都叫它「星星燈塔」。他在5月3日上午10點出發。第3種方法比較好。"),
        ("ja", "これは「星の灯台」と呼ばれています。10時30分に、3番ホームから出発します。"),
        ("ja", "まず驚いたのは静けさでした。次にこの町を訪れたのは冬です。"),
    ],
)
def test_what_only_looks_like_one_stays_a_statement(language: Language, text: str) -> None:
    assert choose.choose(told(text, language)).design == "statement"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Thank you for watching. See you next time."),
        ("zh-TW", "謝謝收看，我們下次見。"),
        ("ja", "それでは、また次回お会いしましょう。"),
    ],
)
def test_only_a_last_scene_says_goodbye(language: Language, text: str) -> None:
    assert choose.choose(told(text, language, place="last")).design == "end"
    assert choose.choose(told(text, language)).design == "statement"
    assert choose.choose(told(text, language, place="first")).heading == "The title"
    headed = told("The light stays on.", language, heading=text, place="last")
    assert choose.choose(headed).design == "end"
    more = told(f"{LONG[language]}{LONG[language]} {text}", language, place="last")
    assert choose.choose(more).design == "statement"


def test_a_card_asked_for_is_tried_first_and_a_statement_stands_in() -> None:
    text = "The sea is calm. The wind sleeps. Nobody speaks."
    for wanted in ("title", "list", "quote", "end", "statement"):
        assert choose.choose(told(text, wanted=wanted)).design == wanted
    assert choose.choose(told(text, wanted="number")).design == "statement"


@pytest.mark.parametrize(
    ("text", "design"),
    [
        ("大海原諒很多事。", "title"),
        ("「大海原諒很多事，卻從不原諒一座沒有亮的燈塔。」", "quote"),
        ("全台灣一年要喝掉 4 億杯茶。", "number"),
        ("要帶：\n\n水\n\n外套", "list"),
        ("謝謝收看，我們下次見。", "title"),
    ],
)
def test_an_only_scene_has_the_card_of_its_words_or_the_title(text: str, design: CardKind) -> None:
    assert choose.choose(told(text, "zh-TW", place="only")).design == design


@pytest.mark.parametrize(
    "text",
    [
        "“Where are you going today?” asked Ann. “To the sea and further on,” said Ben.",
        f"“{LONG['en'] * 4}” said Ann.",
        "Short.",
        LONG["en"] * 6,
    ],
)
def test_a_quote_card_that_is_asked_for_is_drawn(text: str) -> None:
    for place in ("first", "only", "middle"):
        for size in SHAPES.values():
            page = Page(size, styles.load("pop"), "en")
            shown = choose.settled(told(text, wanted="quote", place=place), page)
            assert (shown.design, bool(shown.text)) == ("quote", True)


def test_a_card_shows_little_of_what_is_said() -> None:
    long = told(f"{LONG['en'] * 2} It was late.")
    assert choose.choose(long).text == "It was late"
    assert (
        brief("Warm the pot, so that the tea that you pour in stays hot.", "en") == "Warm the pot"
    )
    assert brief("倒入醬油、米酒和冰糖，蓋上鍋蓋，用小火慢慢燜十分鐘", "zh-TW") == (
        "倒入醬油、米酒和冰糖，蓋上鍋蓋"
    )
    assert (
        brief(
            "If it rains on the day that you want to go, and only then, stay where you are.", "en"
        )
        == ""
    )


def test_what_is_too_long_for_its_design_gets_a_simpler_one() -> None:
    points = "\n".join(f"- {MONSTER} {n}" for n in range(6))
    page = Page(SHAPES["1:1"], styles.load("paper"), "en")
    assert choose.choose(told(points)).design == "list"
    assert choose.settled(told(points, heading="H"), page) == Words("statement", heading="H")


def test_the_only_sentence_is_a_title_and_not_cut() -> None:
    line = "The sea is the largest library on Earth, and every wave turns a page."
    cut = told(line, place="only", title="The sea is the largest library on Earth, and…")
    assert choose.choose(cut).heading == line[:-1]


def test_a_title_needs_no_words_below_it() -> None:
    assert choose.choose(told("👍", place="first", title="A title")).heading == "A title"


def test_lines_of_a_poem_have_no_marks() -> None:
    poem = told("雨落在屋頂上\n滴滴答答\n像有人在說話", "zh-TW", heading="雨")
    items = told(poem.narration.replace("\n", "\n\n"), "zh-TW", heading="雨")
    page = Page(SHAPES["16:9"], styles.load("paper"), "zh-TW")
    marks = []
    for scene in (poem, items):
        sheet = choose.DESIGNS["list"].lay(choose.settled(scene, page), page)
        marks.append([part.step for part in sheet.parts if isinstance(part.what, Bar)])
    assert marks == [[0], [0, 1, 2, 3]]


# -- how it is drawn -----------------------------------------------------------------------------


def laid(design: CardKind, language: Language, size: tuple[int, int], style: str) -> Sheet:
    shown = words(design, language)
    return cards.laid_out(shown, language=language, size=size, style=styles.load(style))


@pytest.mark.parametrize("size", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    "style",
    [
        name if name in ("paper", "pop") else pytest.param(name, marks=pytest.mark.slow)
        for name in styles.names()
    ],
)
def test_all_stands_in_the_safe_area_above_the_captions(style: str, size: tuple[int, int]) -> None:
    look, free = styles.load(style), captions.safe(size)
    lower = size[1] * (1 - captions.zone(size, look))
    for language in get_args(Language):
        for design in get_args(CardKind):
            boxes = laid(design, language, size, style).boxes
            assert boxes, design
            assert min(box[0] for box in boxes) >= free.left - 1
            assert min(box[1] for box in boxes) >= free.top - 1
            assert max(box[2] for box in boxes) <= free.right + 1
            assert max(box[3] for box in boxes) <= lower - 0.03 * min(size)
            for one, other in itertools.pairwise(boxes):
                assert one[3] <= other[1] + 1 or one[2] <= other[0] or other[2] <= one[0]


@pytest.mark.parametrize("style", styles.names())
def test_type_contrasts_with_the_very_pixels_behind_it(style: str) -> None:
    look, design = styles.load(style), dict.fromkeys(get_args(CardKind))
    for number, kind in enumerate(design):  # each shape and language once for every style
        size = list(SHAPES.values())[number % 3]
        language = get_args(Language)[(number // 2) % 3]
        sheet = laid(kind, language, size, style)
        ground = cards.background(
            size, size, look, kind=choose.DESIGNS[kind].ground, seed="s", quiet=sheet.boxes
        )
        light = luminance(np.asarray(ground, dtype=float))
        for part in sheet.parts:
            ink = float(luminance(np.array(part.colour, dtype=float)))
            for left, top, right, bottom in part.boxes:
                assert ratio(light[top:bottom, left:right], ink).min() >= 4.5, (kind, part)


def test_pixels_of_type_lie_where_their_boxes_say(tmp_path: Path) -> None:
    size, style = SHAPES["16:9"], styles.load("paper")
    for language in get_args(Language):
        for design in ("number", "quote"):
            shown = words(design, language)
            cards.draw(tmp_path / "c.png", shown, language=language, size=size, style=style)
            made = np.asarray(Image.open(tmp_path / "c.png")).astype(int)
            assert made.shape[1::-1] == pictures.canvas(size)
            left, top = ((made.shape[1] - size[0]) // 2, (made.shape[0] - size[1]) // 2)
            sheet = cards.laid_out(shown, language=language, size=size, style=style)
            inside = np.zeros(made.shape[:2], bool)
            for x0, y0, x1, y1 in sheet.boxes:
                inside[top + y0 - 2 : top + y1 + 3, left + x0 - 2 : left + x1 + 2] = True
            inked = (made == style.colours.accent).all(axis=2) | (made == style.colours.ink).all(2)
            assert inked.sum() > 200
            assert not (inked & ~inside).any()


def test_a_list_too_long_for_one_page_has_two_below_one_heading() -> None:
    page = Page((1080, 1080), styles.load("pop"), "en")
    points = tuple(Point(f"He polishes all of the glass, number {n}, twice", n) for n in range(6))
    long = Words("list", heading="What he does every single day", points=points, numbered=True)
    sheet = choose.DESIGNS["list"].lay(long, page)
    assert sheet is not None
    shown = [
        {part.step for part in sheet.parts if part.step <= n <= (part.until or 6)} for n in range(7)
    ]
    assert shown == [{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3}, {0, 4}, {0, 4, 5}, {0, 4, 5, 6}]
    assert max(box[3] for box in sheet.boxes) <= page.box[3]


def test_every_design_sets_the_same_words_otherwise() -> None:
    seen = {str(laid(design, "en", SHAPES["16:9"], "paper")) for design in get_args(CardKind)}
    assert len(seen) == len(get_args(CardKind))
    sizes = [
        max(part.what.size for part in laid(kind, "en", (1920, 1080), "paper").parts[1:2])  # type: ignore[union-attr]
        for kind in ("title", "statement")
    ]
    assert sizes[0] > 1.3 * sizes[1]


def test_words_of_any_length_and_none_are_drawn(tmp_path: Path) -> None:
    style, size = styles.load("swiss"), SHAPES["9:16"]
    page = Page(size, style, "en")
    for text in (MONSTER * 3, LONG["en"] * 4, ""):
        for design in ("title", "statement", "end"):
            sheet = choose.DESIGNS[design].lay(Words(design, heading=text, text=text), page)
            assert sheet is not None
            lower = size[1] * (1 - captions.zone(size, style))
            assert all(box[3] <= lower for box in sheet.boxes)
            assert bool(sheet.boxes) == bool(text)
    cards.draw(tmp_path / "c.jpg", Words("title"), language="en", size=size, style=style)
    with Image.open(tmp_path / "c.jpg") as image:
        assert (image.format, image.size) == ("JPEG", pictures.canvas(size))


def test_a_centred_line_is_centred_as_if_its_comma_weighed_half() -> None:
    middles = []
    for text in ("那一夜", "那一夜，"):
        box = {"width": 500, "height": 100, "largest": 60, "smallest": 20, "lines": 1}
        made = lettering.fit(text, "zh-TW", weight="bold", align="centre", **box)
        left, _, right, _ = made.boxes((0, 0))[0]
        middles.append((left + right) / 2)
    assert abs(middles[0] - 250) <= 1
    assert 5 < middles[1] - 250 < 15


# -- a list that builds up -----------------------------------------------------------------------


def speech(text: str) -> Speech:
    word = Word(text=text, start=0.1, end=0.9, span=(0, len(text)))
    facts = {"text": text, "voice": "v", "provider": "p", "words": (word,)}
    return Speech.model_validate({**facts, "sample_rate": 24_000, "samples": 24_000})


def test_a_point_appears_as_its_sentence_begins(tmp_path: Path) -> None:
    size, style = SHAPES["16:9"], replace(styles.load("paper"), motion=0.0)
    shown = words("list", "en")
    stills = []
    for count in range(4):
        path = tmp_path / f"{count}.png"
        cards.draw(path, shown, language="en", size=size, style=style, shown=count)
        stills.append(path)
    texts = [point.text for point in shown.points]
    scene = timeline.SceneTake(
        "s",
        stills[0],
        "0" * 64,
        "card",
        tuple(timeline.Take(text, tmp_path / "x.wav", speech(text)) for text in texts),
        steps=tuple((path, str(n) * 64, n - 1) for n, path in enumerate(stills) if n),
    )
    made = timeline.plan([scene], fps=30, size=size, style=style, language="en")
    segment = made.segments[0]
    starts = [start * 30 // 48_000 for _, start in made.voice]
    assert [step.frame for step in segment.steps] == starts

    sheet = cards.laid_out(shown, language="en", size=size, style=style)
    rows = [
        [box for part in sheet.parts if part.step == n for box in part.boxes] for n in (1, 2, 3)
    ]
    drawn = Compositor(segment, size=size, style=style, language="en", captions=False)
    inked = []
    for frame in drawn.frames():
        luma = np.frombuffer(frame, np.uint8)[: size[0] * size[1]].reshape(size[::-1])
        inked.append([min(int(luma[t:b, x:r].min()) for x, t, r, b in row) for row in rows])
    for n, start in enumerate(starts):
        before, middle, after = (inked[start + at][n] for at in (-1, 4, 10))
        assert before > 150  # paper
        assert after < 90  # ink
        assert after < middle < before
    assert inked[-20][0] < 90  # what was shown stays

    following = timeline.plan([scene, scene], fps=30, size=size, style=style, language="en")
    previous = following.segments[1].previous
    assert previous is not None
    assert previous.sha256 == "3" * 64
    facts = segment.facts()
    assert facts["steps"] == [[str(n) * 64, frame] for n, frame in enumerate(starts, 1)]
    assert "steps" not in replace(segment, steps=()).facts()


def test_a_point_that_follows_at_once_does_not_end_the_fade_of_the_one_before(
    tmp_path: Path,
) -> None:
    size, style = (64, 64), replace(styles.load("paper"), motion=0.0)
    tones = (40, 120, 200)
    stills = [tmp_path / f"{tone}.png" for tone in tones]
    for tone, path in zip(tones, stills, strict=True):
        Image.new("RGB", pictures.canvas(size), (tone,) * 3).save(path)
    take = timeline.Take("One.", tmp_path / "x.wav", speech("One."))
    steps = ((stills[1], "1" * 64, 0), (stills[2], "2" * 64, 0))
    scene = timeline.SceneTake("s", stills[0], "0" * 64, "card", (take,), steps)
    made = timeline.plan([scene], fps=30, size=size, style=style, language="en").segments[0]
    at = [replace(step, frame=frame) for step, frame in zip(made.steps, (5, 8), strict=True)]
    close = replace(made, steps=tuple(at))
    drawn = Compositor(close, size=size, style=style, language="en", captions=False)
    light = [int(np.frombuffer(frame, np.uint8)[0]) for frame in drawn.frames()][:25]
    assert light[0] < light[7] < light[20]
    assert max(after - before for before, after in itertools.pairwise(light)) < 30
    assert light == sorted(light)


def test_a_step_that_is_gone_is_told(tmp_path: Path) -> None:
    size, style = SHAPES["16:9"], styles.load("paper")
    cards.draw(tmp_path / "a.png", Words("title"), language="en", size=size, style=style)
    take = timeline.Take("One.", tmp_path / "x.wav", speech("One."))
    steps = ((tmp_path / "gone.png", "1" * 64, 0),)
    scene = timeline.SceneTake("s", tmp_path / "a.png", "0" * 64, "card", (take,), steps)
    made = timeline.plan([scene], fps=30, size=size, style=style, language="en")
    drawn = Compositor(made.segments[0], size=size, style=style, language="en", captions=False)
    with pytest.raises(MediaError) as caught:
        list(drawn.frames())
    assert caught.value.code == "canvas_unusable"
