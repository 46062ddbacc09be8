"""A house that asks four services with four keys while all kinds of calls fail, and who listens to it."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

import _openai
from _gemini import Gemini
from _openai import OpenAI
from _paid import House, house
from _stock import PEXELS_KEY, PIXABAY_KEY, StockHouse

CHAINS = {
    "SCRIPT_PROVIDER": "openai,gemini,template",
    "IMAGE_PROVIDER": "pexels,pixabay,gemini,cards",
    "SPEECH_PROVIDER": "gemini,hibari",
    "LOG_LEVEL": "DEBUG",
    "PIXABAY_TIMEOUT": "5",
    "PEXELS_TIMEOUT": "5",
    "OPENAI_TIMEOUT": "5",
    "GEMINI_TIMEOUT": "5",
}
GEMINI_FAULTS = (
    "400:echo", "400:key", "401", "403", "404", "429:minute:0", "429:none", "500", "502", "503",
    "block:SAFETY", "drop", "lost", "garbage", "odd", "empty",
)  # fmt: skip
OPENAI_FAULTS = ("400:echo", "401:echo", "404", "503", "redirect", "drop", "garbage", "odd")
STOCK_FAULTS = ("400", "401", "403", "503", "drop", "junk", "shape", "none", "hostile")


@dataclass
class Keys:
    """All keys, as `_publish_secrets.Watch` asks for them."""

    found: list[str]

    def secrets(self) -> list[str]:
        """Return what may stand nowhere."""
        return self.found


@dataclass
class Seen:
    """What `_publish_secrets.Watch` looks at."""

    folder: Path
    data: Path
    keys: Path
    port: int
    redis: redis.Redis
    environment: dict[str, str]
    server: Keys


class Mishaps:
    """Faults of all services, seeded: one call in three fails."""

    def __init__(self, seed: int, gemini: Gemini, openai: OpenAI, stock: StockHouse) -> None:
        self._random = random.Random(seed)  # noqa: S311 - faults are to come again
        self.struck: Counter[str] = Counter()
        gemini.fault = lambda point, _: self._one(f"gemini {point}", GEMINI_FAULTS)
        openai.fault = lambda _number, _body: self._one("openai", OPENAI_FAULTS)
        stock.fault = lambda call: self._one(f"{call.service} {call.kind}", STOCK_FAULTS)

    def _one(self, where: str, kinds: tuple[str, ...]) -> str | None:
        if self._random.random() > 0.4:
            return None
        kind = self._random.choice(kinds)
        self.struck[f"{where} {kind}"] += 1
        return kind


@contextlib.contextmanager
def four_keys(folder: Path, seed: int) -> Iterator[tuple[House, Seen, Mishaps]]:
    """Yield a house whose services fail, what a listener looks at, and the faults."""
    with Gemini() as gemini, OpenAI() as openai, StockHouse() as stock:
        settings: dict[str, Any] = {**CHAINS, **_openai.environment(openai), **stock.environment}
        with house(folder, gemini, **settings) as made:
            keys = [gemini.key, openai.key, PEXELS_KEY, PIXABAY_KEY]
            nowhere = folder / "none"
            seen = Seen(
                folder, made.data, nowhere, made.port, made.redis, made.environment, Keys(keys)
            )
            yield made, seen, Mishaps(seed, gemini, openai, stock)
