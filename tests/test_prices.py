"""Prices: a dated table, a file that corrects it, exact sums, and nothing known is never nothing."""

from __future__ import annotations

import os
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app import prices, settings
from app.errors import InputError
from app.providers import TABLE, costs
from app.spending import Usage


@pytest.fixture(autouse=True)
def autumn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "today", lambda: date(2026, 11, 21))


def use(model: str, service: str = "gemini", **amounts: int) -> Usage:
    return Usage(service=service, model=model, **amounts)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "prices.yaml"
    monkeypatch.setenv("PRICES_FILE", str(path))
    settings.get.cache_clear()
    return path


def test_a_use_costs_its_parts_to_the_last_digit() -> None:
    told = prices.price(use("gemini-3.8-flash", input_tokens=1234, output_tokens=777))
    assert told == Decimal("0.00383925")
    drawn = prices.price(
        use("gemini-3.1-flash-image", input_tokens=7, output_tokens=1120, pictures=3)
    )
    assert drawn == Decimal("0.2010035")
    said = prices.price(
        use("gemini-3.8-flash-tts", input_tokens=3, output_tokens=11, characters=90)
    )
    assert said == Decimal("0.0001005")


def test_a_million_small_calls_add_up_without_a_rest() -> None:
    one = prices.price(use("gemini-3.8-flash", input_tokens=1))
    assert one is not None
    assert sum([one] * 100_000, Decimal(0)) == Decimal("0.075")


@pytest.mark.parametrize(
    "unknown",
    [
        use("gemini-9-flash", input_tokens=5),
        use("gemini-3.8-flash", service="openai", input_tokens=5),
        use("gemini-3.8-flash", input_tokens=5, pictures=1),
        use("gemini-3.8-flash", input_tokens=5, characters=1),
        use("gemini-3.8-flash"),
        use("", service="somebody"),
    ],
    ids=["model", "service", "a picture of a writer", "speech of a writer", "silent", "stranger"],
)
def test_what_is_not_known_is_not_nothing(unknown: Usage) -> None:
    assert prices.price(unknown) is None


def test_whatever_works_here_or_takes_no_money_costs_nothing() -> None:
    for name in costs.FREE:
        assert prices.price(use("", service=name, pictures=3, characters=5)) == 0
    local = {name for kind in ("script", "speech", "picture") for name in TABLE[kind]}
    assert local >= costs.FREE


def test_every_model_that_is_asked_by_default_has_a_price() -> None:
    for kind in ("script", "speech", "picture"):
        asked = costs.usage(kind, "gemini, other", calls=3, seconds=40, language="zh-TW")  # type: ignore[arg-type] # the three kinds
        assert asked is not None
        assert prices.price(asked), kind


def test_a_price_that_rises_on_a_day_counts_from_that_day(monkeypatch: pytest.MonkeyPatch) -> None:
    used = use("gemini-3.8-flash", input_tokens=1_000_000)
    assert prices.price(used) == Decimal("0.75")
    monkeypatch.setattr(prices, "today", lambda: date(2026, 12, 31))
    assert prices.price(used) == Decimal("0.75")
    monkeypatch.setattr(prices, "today", lambda: date(2027, 1, 1))
    assert prices.price(used) == Decimal("1.50")


def test_a_file_corrects_and_completes_the_table(own: Path) -> None:
    own.write_text(
        "as_of: 2027-03-01\n"
        "models:\n"
        "  gemini/gemini-3.8-flash: {input: 0.1, output: 0.30}\n"
        "  openai/*: free\n"
        "  openai/gpt: {input: 2}\n"
    )
    assert prices.price(use("gemini-3.8-flash", input_tokens=3)) == Decimal("0.0000003")
    assert prices.price(use("gemini-3.5-flash", input_tokens=2)) == Decimal("0.000003")
    assert prices.price(use("qwen3:8b", service="openai")) == 0
    assert prices.price(use("gpt", service="openai", input_tokens=5)) == Decimal("0.00001")
    assert prices.price(use("gpt", service="openai", output_tokens=5)) is None
    assert prices.as_of() == "2027-03-01"


def test_a_changed_file_counts_at_once(own: Path) -> None:
    own.write_text("models: {a/b: {input: 1}}")
    used = use("b", service="a", input_tokens=1_000_000)
    assert prices.price(used) == 1
    own.write_text("models: {a/b: {input: 2}}")
    os.utime(own, ns=(1, 1))
    assert prices.price(used) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a", "holds `models`"),
        ("models: [a]", "mapping of service/model"),
        ("model: {}", "holds `models`"),
        ("models: {a: {input: 1}}", "'a' is not service/model"),
        ("models: {a/b: 1}", "a/b: say `free`"),
        ("models: {a/b: {}}", "a/b: say `free`"),
        ("models: {a/b: {input: -1}}", "a/b, input: Input should be greater than or equal to 0"),
        ("models: {a/b: {input: lots}}", "a/b, input: Input should be a valid decimal"),
        ("models: {a/b: {input: NaN}}", "a/b, input"),
        ("models: {a/b: {inputs: 1}}", "a/b, inputs: Extra inputs"),
        ("models: {a/b: {input: !!python/object/apply:os.getcwd []}}", "a/b, input"),
        ("models: {", "not YAML"),
        ("as_of: {a: b}\nmodels: {}", "`as_of` is a date"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(own: Path, text: str, told: str) -> None:
    own.write_text(text)
    with pytest.raises(InputError) as caught:
        prices.check()
    assert caught.value.code == "prices_invalid"
    assert str(own) in caught.value.message
    assert told in caught.value.message


@pytest.mark.parametrize(
    "make",
    [lambda _path: None, Path.mkdir, lambda path: path.write_bytes(b"\xff")],
    ids=["missing", "a folder", "no text"],
)
def test_a_file_that_is_none_is_a_clear_error(own: Path, make: Any) -> None:
    make(own)
    with pytest.raises(InputError) as caught:
        prices.price(use("gemini-3.8-flash", input_tokens=1))
    assert caught.value.code == "prices_invalid"


@pytest.mark.parametrize(
    ("usd", "shown", "plain"),
    [
        (None, "unknown", None),
        ("0", "$0.00", "0"),
        ("0.00", "$0.00", "0"),
        ("1.5", "$1.50", "1.5"),
        ("0.0312", "$0.0312", "0.0312"),
        ("0.000012", "under $0.0001", "0.000012"),
        ("1234.56789", "$1,234.57", "1234.56789"),
        ("1E+2", "$100.00", "100"),
        ("1E-7", "under $0.0001", "0.0000001"),
    ],
)
def test_dollars_as_a_person_and_as_a_file_has_them(
    usd: str | None, shown: str, plain: str | None
) -> None:
    amount = None if usd is None else Decimal(usd)
    assert prices.shown(amount) == shown
    if amount is not None:
        assert prices.plain(amount) == plain
        assert Decimal(prices.plain(amount)) == amount
