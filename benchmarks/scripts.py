"""Stories in scripts of every kind: each is drawn without an empty box, or refused before a render.

What is drawn is a card with a caption and a thumbnail, each story in the next style; `--to` keeps the
pictures.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from _job import print_rows
from PIL import Image

from app import draft, language, story
from app.errors import InputError
from app.media import captions, cards, coverage, fonts, styles, thumbnail
from app.models import Language, Script, Word

SIZE = (1280, 720)
_WORD = (
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftsversammlungen"
)
_ADDRESS = (
    "https://example.org/a/very/long/path/that/no/line/can/hold?with=a&query=of-its-own#and-more"
)


class Case(NamedTuple):
    """A story, and what is to become of it: `drawn`, or the code of its error."""

    name: str
    title: str
    heading: str
    narration: str
    due: str = "drawn"


CASES = (
    Case("emoji, English", "Why bees dance 🐝", "Home again 🚀✨", "They dance 💃 in the dark. Then they fly home! 🎉"),
    Case("emoji, Chinese", "蜜蜂為什麼跳舞🐝", "回家了🏠", "牠們在黑暗中跳舞💃，然後一起回家！🎉"),
    Case("emoji, Japanese", "ミツバチはなぜ踊るのか🐝", "家へ帰る🏠", "暗い巣の中で踊ります💃。そして家へ帰ります！🎉"),
    Case("emoji in sequences", "Family 👨\u200d👩\u200d👧 and flag 🇹🇼🇯🇵", "Thumbs 👍🏽 up, rainbow 🏳️\u200d🌈", "Press 1️⃣ for love ❤️ and 2️⃣ for sun ☀️."),
    Case("the newest emoji", "A face \U0001faea of tomorrow", "New", "It is not in any font yet.", "script_undrawable"),
    Case("Arabic", "مرحبا بالعالم", "مرحبا", "مرحبا بالعالم.", "script_unsupported"),
    Case("Arabic in the title alone", "Hello مرحبا", "A greeting", "It means hello.", "script_unsupported"),
    Case("Hebrew", "שלום", "שלום", "שלום עולם.", "script_unsupported"),
    Case("Thai", "สวัสดีชาวโลก", "สวัสดี", "สวัสดีชาวโลก", "script_unsupported"),
    Case("Thai in a narration", "Words of the world", "Thai", "They say สวัสดี in the morning.", "script_unsupported"),
    Case("Hangul", "안녕하세요", "안녕", "안녕하세요 여러분.", "script_unsupported"),
    Case("Cyrillic", "Привет, мир", "Привет", "Привет, мир.", "script_unsupported"),
    Case("Devanagari", "नमस्ते दुनिया", "नमस्ते", "नमस्ते दुनिया।", "script_unsupported"),
    Case("rare Han, Chinese", "𠮷野家的故事", "𠮷、堃、喆", "𠮷這個字是吉的另一個寫法，名字裡也有堃和喆。"),
    Case("rare Han, Japanese", "𠮷野家と髙島屋", "𠮷と髙と﨑", "𠮷野さんと髙橋さんと山﨑さんが来ました。"),
    Case("the rarest Han", "\U000323af字", "字", "這個字是\U000323af。", "script_undrawable"),
    Case("a word of 94 letters", _WORD, _WORD, f"They call it {_WORD}, and they mean it."),
    Case("a web address", "Where to read on", _ADDRESS, f"Read on at {_ADDRESS} tonight."),
    Case("a long word in katakana", "スーパーカリフラジリスティックエクスピアリドーシャスマイクロサービスアーキテクチャ", "長い言葉", "スーパーカリフラジリスティックエクスピアリドーシャスという言葉があります。"),
    Case("combining marks", "Cafe\u0301 in Vie\u0323\u0302t Nam", "N\u0303, a\u030a and o\u0308", "A cafe\u0301 in Vie\u0323\u0302t Nam, an a\u030a and an o\u0308."),
    Case("a mark no font can join", "Zalgo x\u0489\u0489", "Marks", "It comes.", "script_undrawable"),
    Case("marks without a character of their own", "r\u0304 and W\u0301", "Marks", "They come.", "script_undrawable"),
    Case("variation selectors", "葛\U000e0100城と辻\U000e0101", "禰\U000e0100豆子", "葛\U000e0100城市と辻\U000e0101さんの話です。"),
    Case("invisible signs", "Zero\u200bwidth \u202eand\u202c direction", "Soft\u00adhyphen", "It reads as\u2060 it should."),
    Case("Greek and signs", "π, Ω and 5 µm", "½ × 3 ≤ 2 → ∞", "The area is π times the radius squared, about 3.14 × r²."),
    Case("three scripts at once", "Tokyo 東京 トウキョウ", "ㄅㄆㄇ and ABC", "In Tokyo 東京 they say ありがとう, in Taipei 謝謝."),
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Print a row for each story; 1 where one did not end as it is to."""
    parser = argparse.ArgumentParser(prog="reelchain bench scripts", description=__doc__)
    parser.add_argument("--to", type=Path, help="a folder that keeps what is drawn")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    rows = []
    with tempfile.TemporaryDirectory(prefix="reelchain-scripts-") as name:
        for number, case in enumerate(CASES, 1):
            folder = Path(name) / str(number)
            folder.mkdir()
            outcome, told = _outcome(case, folder, number)
            rows.append(
                {
                    "story": case.name,
                    "due": case.due,
                    "outcome": outcome,
                    "verdict": "PASS" if outcome == case.due else "FAIL",
                    "told": told,
                }
            )
            if given.to and outcome == "drawn":
                given.to.mkdir(parents=True, exist_ok=True)
                _sheet(folder, given.to / f"{number:02d}.png")
    passed = sum(row["verdict"] == "PASS" for row in rows)
    verdict = "PASS" if passed == len(rows) else "FAIL"
    rows.append(
        {
            "story": "all",
            "due": "",
            "outcome": "",
            "verdict": verdict,
            "told": f"{passed} of {len(CASES)}",
        }
    )
    print_rows("scripts", rows, as_json=given.json)
    return int(verdict == "FAIL")


def _outcome(case: Case, folder: Path, number: int) -> tuple[str, str]:
    """Return `drawn` or the code of what refused it, and what was told."""
    path = folder / "story.md"
    text = f"# {case.title}\n\n## {case.heading}\n\n{case.narration}\n\n## {case.heading}\n\n{case.narration}\n"
    path.write_text(text, encoding="utf-8")
    try:
        draft.prepare(path, {})
    except InputError as error:
        return error.code, f"{error.message} {error.hint}"
    script = story.read(path).script
    if script is None:
        return "nothing to tell", ""
    coverage.check(script)
    empty = _empty_boxes(script)
    if empty:
        return "empty boxes", " ".join(f"U+{ord(one):04X}" for one in empty)
    looks = styles.names()
    _draw(script, styles.load(looks[number % len(looks)]), folder)
    return "drawn", ""


def _draw(script: Script, style: styles.Style, folder: Path) -> None:
    """Draw the second scene's card with a caption on it, and the thumbnail."""
    scene = script.scenes[1]
    told = cards.Told(script.title, scene.heading, scene.narration, script.language)
    words = cards.settled(told, size=SIZE, style=style)
    card = folder / f"{style.name}-card.png"
    cards.draw(card, words, language=script.language, size=SIZE, style=style)
    canvas = Image.open(card).convert("RGB")
    left, top = (canvas.width - SIZE[0]) // 2, (canvas.height - SIZE[1]) // 2
    frame = canvas.crop((left, top, left + SIZE[0], top + SIZE[1]))
    painter = captions.Painter(style=style, language=script.language, size=SIZE)
    start, end = language.sentences(scene.narration, script.language)[-1]
    for cue in _cues(scene.narration[start:end], script.language)[:1]:
        raster = painter.raster(cue, cue.start + 0.5)
        letters = Image.fromarray(raster.pixels, "RGBa").convert("RGBA")
        frame.paste(letters, (raster.x, raster.y), letters)
    frame.save(card)
    thumb = folder / f"{style.name}-thumbnail.jpg"
    thumbnail.draw(thumb, title=script.title, language=script.language, pictures=(), style=style)


def _cues(text: str, spoken: Language) -> tuple[captions.Cue, ...]:
    spans = [
        span for span in language.phrases(text, spoken) if language.speakable(text[slice(*span)])
    ]
    words = [
        Word(text=text[a:b], start=0.4 * n, end=0.4 * n + 0.35, span=(a, b))
        for n, (a, b) in enumerate(spans)
    ]
    return captions.cut(text, words, 0.4 * len(words), language=spoken, size=SIZE)


def _empty_boxes(script: Script) -> list[str]:
    """Return the characters whose glyph is that of a character no font has, in any typeface."""
    found: dict[str, None] = {}
    for text in _texts(script):
        for family in fonts.FAMILIES:
            chosen = fonts.suited(text, script.language, family)
            for weight in ("regular", "bold"):
                face = fonts.face(script.language, weight, 64, chosen)
                nothing = bytes(face.getmask("\U0010fffd"))
                marks = language.emoji_spans(text)
                alone = [c for n, c in enumerate(text) if not any(a <= n < b for a, b in marks)]
                for piece in (*alone, *(text[a:b] for a, b in marks)):
                    if bytes(face.getmask(piece)) == nothing:
                        found[piece[0]] = None
    return list(found)


def _texts(script: Script) -> Iterator[str]:
    yield script.title
    for scene in script.scenes:
        yield scene.heading
        yield scene.narration


def _sheet(folder: Path, target: Path) -> None:
    """Write what was drawn of a story as one picture."""
    rows = sorted(folder.glob("*-card.png"))
    sheet = Image.new("RGB", (2 * 640, 360 * len(rows)), "black")
    for number, card in enumerate(rows):
        thumb = card.with_name(card.name.replace("-card.png", "-thumbnail.jpg"))
        for column, path in enumerate((card, thumb)):
            sheet.paste(Image.open(path).resize((640, 360)), (640 * column, 360 * number))
    sheet.save(target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
