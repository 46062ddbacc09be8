"""The template writer: a script for a bare topic, without a model and without made-up facts.

It knows nothing of the topic, and does not pretend to: what it writes is a plan for exploring it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from app import language as lang
from app.errors import InputError
from app.models import Scene, Script
from app.providers import ScriptRequest

TOPIC_COLUMNS = 80
"""Display columns of a topic that are spoken and shown."""


@dataclass(frozen=True)
class _Part:
    """A scene to be: its heading, the sentence it needs, and more in order of worth."""

    heading: str
    core: str
    more: tuple[str, ...]


@dataclass(frozen=True)
class _Words:
    """All a language's template says. `{topic}` stands for the topic."""

    parts: tuple[_Part, ...]
    asked: str
    """The hook's core where the topic is a question already."""
    note: str
    """Says who wrote it, in the description."""


_ORDER = ((0, 2, 4), (0, 1, 2, 4), (0, 1, 2, 3, 4))
"""Which parts make three, four and five scenes."""

_ENGLISH = _Words(
    parts=(
        _Part(
            "{topic}",
            "Our topic today: {topic}.",
            (
                "A few good questions will take us further than a pile of facts.",
                "You may have heard a lot about it, or nothing at all.",
                "So let us make a simple plan.",
                "It works for a big idea just as well as for a small one.",
                "All you need is some curiosity, and something to write with.",
            ),
        ),
        _Part(
            "Say it simply",
            "First, say what it is about in one plain sentence.",
            (
                "Imagine you are explaining it to a friend over a cup of tea.",
                "If that is hard, you have just found your first gap.",
                "Write down the words you would use, and circle those you could not define.",
                "The circles are your reading list.",
                "Then say the sentence again, and make it shorter.",
            ),
        ),
        _Part(
            "Three questions",
            "Ask three questions: what, why, and how?",
            (
                "What is it made of, and where does it begin and end?",
                "Why does it matter, and to whom?",
                "How does it work, one step after another?",
                "Answer each of them in a line or two, and mark what you are not sure of.",
                "An honest question mark is better than a bold guess.",
                "When you are stuck, ask what would change if it did not exist.",
            ),
        ),
        _Part(
            "Look closer",
            "Next, find one real example and look at it closely.",
            (
                "One example you can point at is worth ten that you cannot.",
                "Check who says so, how they know, and when they wrote it.",
                "Two sources that agree are good, and one that disagrees is even better.",
                "Keep the picture, the number or the sentence that surprised you most.",
                "Surprise is a sign that you are learning something.",
            ),
        ),
        _Part(
            "Your turn",
            "Pick one and start today.",
            (
                "Give it ten minutes, and see where it leads.",
                "Put what you find in place of these lines, and the plan becomes your story.",
                "Once you can tell it in your own words, you know it.",
                "Then share it with someone, and listen to what they ask.",
                "Their questions are your next chapter.",
            ),
        ),
    ),
    asked="Here is a question: {topic}?",
    note=(
        "This script was written by a template from the topic alone; it is a plan, not a source "
        "of facts."
    ),
)

_CHINESE = _Words(
    parts=(
        _Part(
            "{topic}",
            "今天的主題是：{topic}。",
            (
                "問對幾個問題，往往比背一堆資料更有用。",
                "也許你早就聽過，也許完全陌生。",
                "我們來擬一個簡單的計畫。",
                "不管題目是大是小，這個方法都適用。",
                "你只需要一點好奇心，再加上一枝筆。",
            ),
        ),
        _Part(
            "先說清楚",
            "第一步，用一句話說出它是什麼。",
            (
                "想像你正在喝茶，要把它講給朋友聽。",
                "如果說不出來，你就找到第一個缺口了。",
                "把會用到的詞寫下來，圈出那些你解釋不了的。",
                "那些圈起來的詞，就是你的閱讀清單。",
                "接著再說一次，這次要更短。",
            ),
        ),
        _Part(
            "三個問題",
            "先問三件事：是什麼、為什麼、怎麼做？",
            (
                "它由什麼組成，從哪裡開始，到哪裡結束？",
                "它為什麼重要，又對誰重要？",
                "它是怎麼一步一步運作的？",
                "每個問題用一兩句話回答，沒把握的地方做個記號。",
                "老實打上問號，勝過大膽亂猜。",
                "卡住的時候，就想想：如果沒有它，會有什麼不同？",
            ),
        ),
        _Part(
            "再看近一點",
            "接下來，找一個真實的例子，仔細看。",
            (
                "一個指得出來的例子，勝過十個說不清的。",
                "查一查：這是誰說的，他怎麼知道，又是什麼時候寫的？",
                "兩個來源說法一致很好，有一個唱反調更好。",
                "把最讓你意外的畫面、數字或句子留下來。",
                "覺得意外，表示你正在學到東西。",
            ),
        ),
        _Part(
            "換你了",
            "挑一個問題，今天就開始。",
            (
                "給自己十分鐘，看看它帶你走到哪裡。",
                "把找到的答案換進這份稿子，它就成了你的故事。",
                "能用自己的話講出來，才算真的懂了。",
                "然後說給別人聽，再聽聽他們問什麼。",
                "他們的問題，就是你的下一章。",
            ),
        ),
    ),
    asked="今天來想一個問題：{topic}？",
    note="這份腳本由範本依主題自動產生：它是一份探索計畫，不是事實來源。",
)

_JAPANESE = _Words(
    parts=(
        _Part(
            "{topic}",
            "今日のテーマは、「{topic}」です。",
            (
                "知識をたくさん並べるより、よい問いをいくつか立てるほうが、ずっと遠くまで行けます。",
                "よく知っている人も、初めて聞く人もいるでしょう。",
                "そこで、簡単な計画を立ててみましょう。",
                "大きなテーマでも、小さなテーマでも、やり方は同じです。",
                "用意するのは、少しの好奇心と、書くものだけです。",
            ),
        ),
        _Part(
            "ひとことで言うと",
            "まず、それが何なのか、ひとことで言ってみましょう。",
            (
                "お茶を飲みながら、友だちに話すつもりで考えます。",
                "うまく言えなければ、そこが最初の手がかりです。",
                "使いそうな言葉を書き出し、説明できないものに丸をつけます。",
                "丸のついた言葉が、これから調べることのリストになります。",
                "それからもう一度、今度はもっと短く言ってみましょう。",
            ),
        ),
        _Part(
            "三つの問い",
            "問いは三つ。何が、なぜ、どのように？",
            (
                "それは何でできていて、どこから始まり、どこで終わるのでしょうか。",
                "なぜ大切なのでしょうか。それは、だれにとってでしょうか。",
                "どんな順番で、どのように動いているのでしょうか。",
                "それぞれに一行か二行で答え、自信のないところには印をつけます。",
                "正直な疑問符は、大胆な当て推量に勝ります。",
                "行き詰まったら、もしそれがなかったら何が変わるのか、考えてみましょう。",
            ),
        ),
        _Part(
            "もっと近くで",
            "続いて、実際の例を一つ見つけて、じっくり見てみましょう。",
            (
                "はっきり示せる例が一つあれば、あいまいな例が十あるより役に立ちます。",
                "だれが言ったのか、なぜそう分かるのか、いつ書かれたのかを確かめます。",
                "二つの資料が一致すれば心強く、食い違う資料があれば、もっと面白くなります。",
                "いちばん驚いた絵や数字や言葉を、書きとめておきましょう。",
                "驚きは、何かを学んでいるしるしです。",
            ),
        ),
        _Part(
            "次はあなたの番",
            "一つ選んで、今日から始めましょう。",
            (
                "まずは10分だけ、どこへたどり着くか試してみてください。",
                "見つけた答えをこの台本に入れていけば、あなたの物語になります。",
                "自分の言葉で話せるようになれば、もう分かったということです。",
                "そのあとで、だれかに話して、返ってくる質問に耳を傾けてください。",
                "その質問が、次の章になります。",
            ),
        ),
    ),
    asked="今日の問いです。{topic}？",
    note=(
        "この台本は、テーマだけをもとにテンプレートが作成しました。調べ方の計画であり、"
        "事実の出典ではありません。"
    ),
)

_WORDS: dict[lang.Language, _Words] = {"en": _ENGLISH, "zh-TW": _CHINESE, "ja": _JAPANESE}
_JOINTS: dict[lang.Language, str] = {"en": " ", "zh-TW": "", "ja": ""}
"""What stands between two sentences."""
_QUESTION_MARKS: dict[lang.Language, str] = {"en": "?", "zh-TW": "？", "ja": "？"}


class TemplateWriter:
    """Writes an honest plan about any topic: hook, three to five scenes, closing call.

    The same request gives the same script. It has words for about 100 seconds; a longer wish gets
    all of them.
    """

    name: ClassVar[str] = "template"
    version: ClassVar[str] = "1"

    def write(self, request: ScriptRequest) -> Script:
        """Return a script of about `request.seconds` of speech.

        Raises:
            InputError: `topic_empty`, or `script_unsupported` for letters no voice or font has.
        """
        topic, shown, asked = _topic(request)
        words = _WORDS[request.language]
        # A long topic must not eat a short video.
        columns = min(TOPIC_COLUMNS, max(24, int(4 * request.seconds)))
        spoken = lang.shortened(topic, columns, request.language)
        parts = [words.parts[index] for index in _ORDER[_size(request.seconds)]]
        cores = [part.core for part in parts]
        if asked:
            cores[0] = words.asked
        said = [[core.replace("{topic}", spoken)] for core in cores]
        chosen = _fitted(said, parts, request)
        scenes = tuple(
            Scene(
                id=f"s{number:03d}",
                heading=part.heading.replace("{topic}", shown),
                narration=_JOINTS[request.language].join(lines),
            )
            for number, (part, lines) in enumerate(zip(parts, chosen, strict=True), 1)
        )
        return Script(
            title=request.title or shown,
            description="\n\n".join(filter(None, (request.description, words.note)))[:4500],
            tags=request.tags,
            language=request.language,
            origin="template writer",
            scenes=scenes,
        )


def _topic(request: ScriptRequest) -> tuple[str, str, bool]:
    """Return the topic as it is said and as it is shown, and whether it is a question."""
    printable = "".join(c if c.isprintable() or c in "\u200d\ufe0f" else " " for c in request.topic)
    given = " ".join(printable.replace("{", "(").replace("}", ")").split())
    clean, emoji = lang.strip_emoji(given)
    asked = clean.endswith(("?", "？"))
    topic = clean.rstrip(" .。!！?？…,，;；:：、")
    if not lang.speakable(topic):
        raise InputError(
            "topic_empty", "The topic has no words.", "Say in a few words what the video is about."
        )
    strange = lang.unsupported(topic)
    if strange:
        raise InputError(
            "script_unsupported",
            f"No voice can read these characters of the topic: {strange[:12]}.",
            "Write it in English, Traditional Chinese or Japanese.",
        )
    topic = lang.shortened(topic, TOPIC_COLUMNS, request.language)
    shown = topic + (_QUESTION_MARKS[request.language] if asked else "")
    if emoji:
        shown = lang.shortened(given, TOPIC_COLUMNS, request.language)
    return topic, _upper(shown), asked


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _size(seconds: float) -> int:
    """Return 0, 1 or 2 for three, four or five scenes."""
    return (seconds >= 20) + (seconds >= 32)


def _fitted(said: list[list[str]], parts: list[_Part], request: ScriptRequest) -> list[list[str]]:
    """Return the lines of each scene with more of them until the wanted time is met best."""
    rest = request.seconds - sum(_seconds(line, request) for lines in said for line in lines)
    chosen: list[set[int]] = [set() for _ in parts]
    rounds = max(len(part.more) for part in parts)
    options = [
        (row, at) for at in range(rounds) for row, part in enumerate(parts) if at < len(part.more)
    ]
    for row, at in options:
        seconds = _seconds(parts[row].more[at], request)
        if seconds <= rest:
            chosen[row].add(at)
            rest -= seconds
    over = {
        abs(_seconds(parts[row].more[at], request) - rest): (row, at)
        for row, at in options
        if at not in chosen[row]
    }
    if over and min(over) < rest:  # one more comes nearer to the wish than none
        row, at = over[min(over)]
        chosen[row].add(at)
    return [
        lines + [line for at, line in enumerate(part.more) if at in chosen[row]]
        for row, (lines, part) in enumerate(zip(said, parts, strict=True))
    ]


def _seconds(line: str, request: ScriptRequest) -> float:
    return lang.reading_seconds(line, request.language)
