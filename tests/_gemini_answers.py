"""What the local Gemini writes, draws and says: valid, plain, the same for the same question."""

from __future__ import annotations

import array
import io
import json
import math
import re
import struct
import wave
import zlib
from functools import lru_cache
from itertools import cycle, islice
from typing import Any

SIZES = {"1:1": (1024, 1024), "16:9": (1344, 768), "9:16": (768, 1344)}
RATE = 24_000

_LENGTH = re.compile(r"between (\d+) and (\d+) (words|Chinese characters|Japanese characters)")
_SECONDS = re.compile(r"(\d+(?:\.\d+)?) ?(?:seconds|s\b)")
_SCENES = re.compile(r"about (\d+) scenes")
_HAN = re.compile("[\u4e00-\u9fff]")
_SENTENCES = (
    "Slow water shapes the valley, and every small stone keeps a quiet record of the rain",
    "People have watched this place for many years, and what they learned is told here plainly",
    "Nothing in it is hurried: the light moves over the hills and the river answers at once",
    "Look closer and the pattern becomes clear, because each part leans on the one before it",
    "That is why a short walk in the morning often teaches more than a long day with a map",
)
_JA_SENTENCES = (
    "しずかな水面を朝の光がわたっていく",
    "村の人びとは雨のひと粒まで覚えている",
    "よく見れば小石にもそれぞれの話がある",
    "川にそって歩くと林から風の音がする",
    "時間はとてもゆっくり大地をけずってきた",
)
_ZH_SENTENCES = (
    "清晨的水面很安靜遠山慢慢亮了起來",
    "住在這裡的人記得每一場雨帶來的改變",
    "仔細看就會發現小小的石頭也有自己的故事",
    "我們沿著河岸往前走聽見風從樹林裡吹過",
    "原來時間一直都在用很慢的方式雕刻大地",
)


def written(schema: dict[str, Any] | None, prompt: str) -> str:
    """Return a text: a document that fits the schema, as long as the prompt says."""
    if schema is None:
        return _said(prompt, 40)[0]
    if "scenes" in schema.get("properties", {}):
        return json.dumps(_script(schema["properties"], prompt), ensure_ascii=False)
    return json.dumps(_instance(schema, schema, "text"), ensure_ascii=False)


def _script(properties: dict[str, Any], prompt: str) -> dict[str, Any]:
    lengths = _LENGTH.findall(prompt)
    seconds = _SECONDS.findall(prompt)
    units = (
        sum(map(int, lengths[-1][:2])) // 2 if lengths else int(2.4 * float((seconds or [60])[0]))
    )
    said = lengths[-1][2] if lengths else "Chinese" if _HAN.search(prompt) else "words"
    lines = {"words": None, "Japanese characters": _JA_SENTENCES}.get(said, _ZH_SENTENCES)
    count = max(1, min(int((_SCENES.findall(prompt) or [units // 40 + 1])[-1]), units))
    scene = properties["scenes"]["items"]["properties"]
    shares = [units // count + (number < units % count) for number in range(count)]
    scenes = [
        {
            name: _narration(share, number, lines=lines)
            if name == "narration"
            else _value(inner, name, number, lines)
            for name, inner in scene.items()
        }
        for number, share in enumerate(shares)
    ]
    whole = {
        name: _value(inner, name, 0, lines)
        for name, inner in properties.items()
        if name != "scenes"
    }
    return {**whole, "scenes": scenes}


def _value(schema: dict[str, Any], name: str, number: int, lines: tuple[str, ...] | None) -> Any:
    if schema.get("type") == "string" and lines and name not in {"picture", "keywords"}:
        return lines[number % 5][: 8 if name in {"title", "heading"} else 20]
    return _instance(schema, schema, name, number)


def _instance(schema: Any, whole: dict[str, Any], name: str, number: int = 0) -> Any:
    """Return something that a JSON Schema allows."""
    if "$ref" in schema:
        for step in schema["$ref"].removeprefix("#/").split("/"):
            schema = whole[step] if step not in schema else schema[step]
    for choice in schema.get("anyOf", ())[:1]:
        return _instance(choice, whole, name, number)
    kind = schema.get("type", "object")
    if schema.get("enum"):
        return schema["enum"][0]
    if kind == "object":
        inner = schema.get("properties", {})
        return {key: _instance(value, whole, key, number) for key, value in inner.items()}
    if kind == "array":
        items = max(schema.get("minItems", 0), 3 if schema["items"].get("type") == "string" else 1)
        return [_instance(schema["items"], whole, name, number + n) for n in range(items)]
    if kind in {"integer", "number"}:
        return max(schema.get("minimum", 1), 1)
    words = _SENTENCES[number % 5].split()
    return (
        True
        if kind == "boolean"
        else " ".join(words[:4])
        if name != "description"
        else " ".join(words)
    )


def _narration(units: int, number: int, *, lines: tuple[str, ...] | None) -> str:
    if lines:
        text = "".join(islice(cycle(lines[number % 5 :] + lines), units // 15 + 2))
        return ("、" if lines is _JA_SENTENCES else "，").join(
            text[:units][n : n + 20] for n in range(0, units, 20)
        ) + "。"
    words = " . ".join(islice(cycle(_SENTENCES[number % 5 :] + _SENTENCES), units // 14 + 2))
    kept: list[str] = []
    for word in words.split():
        if word == ".":
            kept[-1] = kept[-1].rstrip(":,") + "."
        elif len(kept) < units:
            kept.append(word)
    return " ".join(kept).rstrip(".:,") + "."


def _said(prompt: str, units: int) -> tuple[str, bool]:
    chinese = bool(_HAN.search(prompt))
    return _narration(
        units, zlib.crc32(prompt.encode()) % 5, lines=_ZH_SENTENCES if chinese else None
    ), chinese


@lru_cache(maxsize=64)
def drawn(aspect: str, seed: int) -> bytes:
    """Return a PNG of the model's size for an aspect, in a colour of the question's own."""
    width, height = SIZES.get(aspect, SIZES["1:1"])
    base = seed & 0xFFFFFF
    rows = b"".join(
        b"\0"
        + bytes((base >> shift & 0xFF) // 2 + 96 * row // height for shift in (16, 8, 0)) * width
        for row in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@lru_cache(maxsize=1)
def _second() -> bytes:
    tone = (int(6000 * math.sin(2 * math.pi * 220 * n / RATE)) for n in range(RATE))
    return array.array("h", tone).tobytes()


def spoken(text: str) -> bytes:
    """Return a tone of about the time that saying a text takes: 16-bit mono samples."""
    han = len(_HAN.findall(text))
    samples = int(RATE * (0.3 + han / 4.5 + (len(text) - han) / 15))
    return (_second() * (samples // RATE + 1))[: 2 * samples]


def wav(samples: bytes) -> bytes:
    """Return the samples as a WAV file."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples)
    return target.getvalue()
