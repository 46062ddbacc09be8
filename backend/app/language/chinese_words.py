"""Which characters of a Chinese text make a word.

A list of words in the order of their frequency (`lexicon/`) is enough: by Zipf's law a word's rank
tells its probability, and of all ways to cut a text the one with the likeliest words is taken
(dynamic programming). Kokoro's Chinese voices learned from text with a space between words, and
tones change within them.
"""

from __future__ import annotations

import math
import zlib
from functools import cache
from importlib import resources
from typing import Any

_LONGEST = 4
_TAIWAN = (
    "筆电 台铁 悠游卡 超商 部落格 行动电源 主播 程式 影片 捷运 机车 简讯 便当 高铁 部落客 网红 直播"
    " 随身碟 滑鼠 萤幕 硬碟 记忆体 伺服器 演算法 智慧型 智慧 云端 连结 点击 留言 订阅 频道 网路 软体"
    " 资讯 品质 脚踏车 计程车 公车 台语 客语 原住民 小确幸 伴手礼 民宿 夜市 早餐店 便利商店"
    " 高雄 台中 台南 新竹 嘉义 花莲 台东 宜兰 屏东 苗栗 彰化 南投 云林 基隆 桃园 新北 澎湖 金门 马祖"
    " 淡水 垦丁 阿里山 日月潭 太鲁阁 全垒打 安打 三振 巨蛋 人工智慧 机器学习 深度学习 上传 上传到 下载 下载到"
)
"""Words of Taiwan that the list lacks or has as rare ones, in Simplified characters."""
_TAIWAN_RANK = 8_000
_BEFORE_FIRST = 8
"""Keeps the commonest characters from being so cheap that words fall apart into them."""


def cut(plain: str) -> list[str]:
    """Return the words of a text in Simplified characters, end to end.

    Args:
        plain: Han characters; others stand alone.
    """
    costs, unknown = _costs()
    best = [0.0] + [math.inf] * len(plain)
    back = [0] * (len(plain) + 1)
    for end in range(1, len(plain) + 1):
        for start in range(max(0, end - _LONGEST), end):
            cost = costs.get(plain[start:end], unknown if end - start == 1 else math.inf)
            if best[start] + cost < best[end]:
                best[end], back[end] = best[start] + cost, start
    words: list[str] = []
    end = len(plain)
    while end:
        words.append(plain[back[end] : end])
        end = back[end]
    return words[::-1]


@cache
def _costs() -> tuple[dict[str, float], float]:
    """Return word → minus the logarithm of its probability but for a constant; one for the unknown."""
    blob = resources.files("app.language").joinpath("lexicon/zh.bin").read_bytes()
    words = zlib.decompress(blob).decode().split("\n")
    costs = {word: _cost(rank) for rank, word in enumerate(words)}
    for word in _TAIWAN.split():
        costs[word] = min(costs.get(word, math.inf), _cost(_TAIWAN_RANK))
    return costs, _cost(2 * len(words))


def _cost(rank: int) -> float:
    return math.log(rank + _BEFORE_FIRST) + math.log(math.log(100_000))


def words(text: str) -> list[tuple[int, int]]:
    """Return the spans of the words of a text in Traditional or Simplified characters, end to end."""
    spans: list[tuple[int, int]] = []
    at = 0
    for word in cut(simplified(text)):
        spans.append((at, at + len(word)))
        at += len(word)
    return spans


def simplified(text: str) -> str:
    """Return `text` in Simplified characters, one for one."""
    converter = _converter()
    out = str(converter.convert(text))
    if len(out) == len(text):
        return out
    return "".join(c if len(s := str(converter.convert(c))) != 1 else s for c in text)


@cache
def _converter() -> Any:
    from opencc import OpenCC

    return OpenCC("tw2s")
