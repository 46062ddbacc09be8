"""Word times that are worked out, against those that the voice's own model tells."""

from __future__ import annotations

import argparse
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from _job import print_rows

from app import providers
from app.models import Language, Speech, Word
from app.providers import SpeechRequest, _recogniser, _sound, _timing, _voice
from app.providers._voice import RATE, Samples, Utterance

SENTENCES: dict[Language, tuple[str, ...]] = {
    "en": (
        "At the far end of the island stands an old lighthouse, and each evening it wakes.",
        "Honey never spoils: pots from old tombs, three thousand years old, could still be eaten.",
        "In 1969 two people walked on the Moon, while 600 million watched at home.",
        "Why do cats purr? Nobody knows for certain.",
        "She counted the gulls, wrote the number in a small book, and turned around.",
        "Between one turn of its lamp and the next, the lighthouse counts the stars.",
        "The bridge cost $35 million, opened on May 27, 1937, and was painted orange.",
        "Water expands when it freezes; that is why ice floats, and why pipes burst in winter.",
        "A good loaf needs flour, water, salt and, above all, time.",
        "Nothing travels faster than light.",
    ),
    "zh-TW": (
        "島的盡頭立著一座老燈塔，每天傍晚，等最後一艘船回家，它就醒來。",
        "蜂蜜不會壞：埃及古墓裡的蜂蜜，三千年後還能吃。",
        "1969年，兩個人走上月球，全世界有六億人守在電視機前。",
        "貓為什麼會打呼嚕？沒有人真正知道。",
        "她數了海鷗，把數字寫進小本子，然後轉身回家。",
        "燈轉一圈的時間裡，它數著天上的星星，從來沒有數過九百顆。",
        "我們可以用 Python 做一支 30 秒的短影片，一點也不難。",
        "水結冰的時候會膨脹，所以冰浮在水面上，水管冬天會裂開。",
        "好麵包需要麵粉、水、鹽，還有最重要的時間。",
        "沒有什麼比光更快。",
    ),
    "ja": (
        "島のはずれに古い灯台が立っていて、夕方になると目を覚まします。",
        "蜂蜜は腐りません。三千年前の壺に残っていたものも、まだ食べられたそうです。",
        "1969年、二人の人間が月の上を歩き、六億人がテレビで見守りました。",
        "猫はなぜ喉を鳴らすのでしょう。はっきりとは分かっていません。",
        "彼女はカモメを数え、小さなノートに数字を書いて、帰っていきました。",
        "明かりがひと回りするあいだに、灯台は星を数えます。",
        "Pythonを使えば、30秒の動画を作るのは難しくありません。",
        "水は凍ると膨らむので、氷は水に浮き、冬には水道管が割れます。",
        "おいしいパンには、小麦粉と水と塩、そして何より時間が必要です。",
        "光より速いものはありません。",
    ),
}
VOICES: tuple[tuple[str, str, Language], ...] = (
    ("hibari", "heart", "en"),
    ("kokoro", "am_michael", "en"),
    ("kokoro", "zm_yunxi", "zh-TW"),
    ("kokoro", "jm_kumo", "ja"),
)
UNEVEN = 0.28
"""Scatter of the speed from one half second to the next, as its logarithm."""

Timer = Callable[[Speech, Language, Samples], tuple[Word, ...]]


def main(argv: Sequence[str]) -> int:
    """Speak ten sentences per voice, forget the times, find them again; print the errors."""
    parser = argparse.ArgumentParser(prog="reelchain bench timing", description=__doc__)
    parser.add_argument("--voice", help="of one voice only")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    means: dict[str, Timer] = {"proportional": _proportional}
    if _recogniser.installed():
        means["aligned"] = _aligned
    rows: list[dict[str, object]] = []
    for provider, voice, language in VOICES:
        if given.voice not in (None, voice):
            continue
        spoken = list(_spoken(provider, voice, language))
        for pace, said in (("its own", spoken), ("uneven", list(map(_uneven, spoken, range(99))))):
            for name, timer in means.items():
                errors = [
                    e for truth, sound in said for e in _errors(timer, truth, language, sound)
                ]
                rows.append(_row(f"{voice} ({language})", pace, name, errors))
    print_rows("timing", rows, as_json=given.json)
    if "aligned" not in means:
        print("\naligned: not measured, extras/asr.txt is not installed", file=sys.stderr)
    return 0


def _row(voice: str, pace: str, means: str, errors: Sequence[float]) -> dict[str, object]:
    away = np.abs(errors) * 1000
    return {
        "voice": voice,
        "pace": pace,
        "words": len(errors),
        "times": means,
        "start, ms (median)": round(float(np.median(away))),
        "start, ms (9 of 10)": round(float(np.quantile(away, 0.9))),
        "start, ms (worst)": round(float(away.max())),
    }


def _spoken(provider: str, voice: str, language: Language) -> Iterator[tuple[Speech, Samples]]:
    with tempfile.TemporaryDirectory(prefix="reelchain-bench-") as folder:
        target = Path(folder) / "a.wav"
        for text in SENTENCES[language]:
            request = SpeechRequest(text=text, language=language, voice=voice)
            truth = providers.speech(provider).speak(request, target)
            with wave.open(str(target)) as file:
                raw = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            yield truth, raw.astype(np.float32) / 32768


def _uneven(said: tuple[Speech, Samples], seed: int) -> tuple[Speech, Samples]:
    """Return a sentence as somebody says it who hurries and lingers, and its times in that."""
    truth, sound = said
    count = max(2, round(truth.seconds / 0.6))
    paces = np.exp(np.random.default_rng(seed).normal(0, UNEVEN, count)).clip(0.6, 1.7)
    cuts = np.linspace(0, len(sound), count + 1).astype(int)
    parts = [
        _sound.stretched(sound[a:b], float(pace))
        for a, b, pace in zip(cuts, cuts[1:], paces, strict=False)
    ]
    moved = np.concatenate(([0], np.cumsum([len(part) for part in parts])))

    def at(seconds: float) -> float:
        return float(np.interp(seconds * RATE, cuts, moved)) / RATE

    words = tuple(
        word.model_copy(update={"start": at(word.start), "end": at(word.end)})
        for word in truth.words
    )
    return truth.model_copy(update={"words": words}), np.concatenate(parts)


def _errors(timer: Timer, truth: Speech, language: Language, sound: Samples) -> list[float]:
    found = timer(truth, language, sound)
    return [a.start - b.start for a, b in zip(found, truth.words, strict=True)]


def _proportional(truth: Speech, language: Language, sound: Samples) -> tuple[Word, ...]:
    reading = _timing.read(truth.text, language)
    return _words(truth, reading, _timing.proportional(reading, language, sound))


def _aligned(truth: Speech, language: Language, sound: Samples) -> tuple[Word, ...]:
    reading = _timing.read(truth.text, language)
    whole, _ = _timing.timed(reading, truth.text, language, sound)
    return _words(truth, reading, whole)


def _words(truth: Speech, reading: _voice.Reading, whole: Utterance) -> tuple[Word, ...]:
    return _voice.words(truth.text, reading, _voice.snapped(whole).marks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
