"""What services ask for: one dated table, which a file of the user's may correct; exact arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from app import settings
from app.errors import InputError
from app.models import Value
from app.spending import Usage

AS_OF = "2026-11-21"
"""Date of the table."""
MILLION = Decimal(1_000_000)
CENT = Decimal("0.01")
ALL = "*"
"""In the place of a model's name: every model of the service."""

Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=18, decimal_places=10)]


class Price(Value):
    """What a model costs, in US dollars. What is None is not known, and that is never nothing.

    Attributes:
        input: A million tokens of prompts.
        output: A million tokens of answers, with what the model thinks.
        picture: A picture.
        characters: A million characters that are spoken.
    """

    input: Dollars | None = None
    output: Dollars | None = None
    picture: Dollars | None = None
    characters: Dollars | None = None

    def of(self, usage: Usage) -> Decimal | None:
        """Return what a use costs, None where that is not known."""
        if silent(usage) and self != FREE:
            return None
        total = Decimal(0)
        for used, each, unit in (
            (usage.input_tokens, self.input, MILLION),
            (usage.output_tokens, self.output, MILLION),
            (usage.pictures, self.picture, Decimal(1)),
            (usage.characters, self.characters, MILLION),
        ):
            if used and each is None:
                return None
            total += used * (each or 0) / unit
        return total


def _price(**dollars: str) -> Price:
    return Price(**{name: Decimal(text) for name, text in dollars.items()})


FREE = _price(input="0", output="0", picture="0", characters="0")


def _text(tokens_in: str, tokens_out: str) -> Price:
    return _price(input=tokens_in, output=tokens_out)


def _picture(tokens_in: str, each: str) -> Price:
    # the tokens of a picture are in its price; a few words beside it cost less than a tenth of a cent
    return _price(input=tokens_in, output="0", picture=each)


def _speech(tokens_in: str, tokens_out: str) -> Price:
    return _price(input=tokens_in, output=tokens_out, characters="0")


START = date(2026, 1, 1)
_RISE = date(2027, 1, 1)
"""Google's introductory prices of the 3.8 models end the day before."""

# PLEASE CHECK against https://ai.google.dev/gemini-api/docs/pricing: these are the prices of the paid
# tier, of prompts up to 200,000 tokens and pictures of 1K, as others have copied them from Google's
# page in September and October 2026. Those marked ASSUMED were not found there: sources disagree, and
# the dearest is taken. A free tier, batches and caches cost less.
TABLE: Mapping[str, Mapping[date, Price]] = {
    "gemini/gemini-3.8-flash": {START: _text("0.75", "3.75"), _RISE: _text("1.50", "7.50")},
    "gemini/gemini-3.7-flash": {START: _text("1.50", "7.50")},  # ASSUMED
    "gemini/gemini-3.6-flash": {START: _text("1.50", "7.50")},  # ASSUMED
    "gemini/gemini-3.5-flash": {START: _text("1.50", "9.00")},
    "gemini/gemini-3.5-flash-lite": {START: _text("0.30", "2.50")},
    "gemini/gemini-3.1-pro-preview": {START: _text("2.00", "12.00")},
    "gemini/gemini-3.1-flash-image": {START: _picture("0.50", "0.067")},
    "gemini/gemini-3-pro-image": {START: _picture("2.00", "0.134")},
    "gemini/gemini-3.8-flash-tts": {
        START: _speech("0.50", "9.00"),
        _RISE: _speech("1.00", "18.00"),
    },
    "gemini/gemini-3.8-flash-lite-tts": {
        START: _speech("0.50", "6.00"),
        _RISE: _speech("1.00", "12.00"),
    },
    # the providers of this machine, and stocks of pictures that take no money
    **{
        f"{service}/{ALL}": {START: FREE}
        for service in (
            *("template", "kokoro", "hibari", "openjtalk", "cards", "folder"),
            *("pexels", "pixabay"),
        )
    },
}
"""`service/model` → the first day of a price → the price. What is not in it, nobody knows here."""


def today() -> date:
    """Return the day whose prices count."""
    return datetime.now(UTC).date()


def silent(usage: Usage) -> bool:
    """Tell whether a use says nothing of how much was used."""
    return not (usage.input_tokens or usage.output_tokens or usage.pictures or usage.characters)


def price(usage: Usage) -> Decimal | None:
    """Return what a use costs in US dollars; None is not known, never nothing.

    Raises:
        InputError: `prices_invalid`, for the file of the setting PRICES_FILE.
    """
    found = _found(usage.service, usage.model)
    return None if found is None else found.of(usage)


def gratis(service: str, model: str) -> bool:
    """Tell whether a model is known to cost nothing, whatever is used of it.

    Raises:
        InputError: `prices_invalid`.
    """
    return _found(service, model) == FREE


def as_of() -> str:
    """Return the date of the prices, that of the user's file if it says one.

    Raises:
        InputError: `prices_invalid`.
    """
    return _own()[1] or AS_OF


def check() -> None:
    """Make sure that the user's file can be used, if there is one.

    Raises:
        InputError: `prices_invalid`.
    """
    _own()


def shown(usd: Decimal | None) -> str:
    """Return dollars as a person reads them: `$0.0312`, `unknown`."""
    if usd is None:
        return "unknown"
    if 0 < usd < Decimal("0.0001"):
        return "under $0.0001"
    return f"${usd:,.2f}" if usd == usd.quantize(CENT) or usd >= 100 else f"${usd:,.4f}"


def plain(usd: Decimal) -> str:
    """Return dollars as our files keep them: no exponent, no needless zeros."""
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded_up(usd: Decimal) -> Decimal:
    """Return dollars as whole cents that are enough."""
    return usd.quantize(CENT, rounding=ROUND_CEILING)


def _found(service: str, model: str) -> Price | None:
    own = _own()[0]
    names = (f"{service}/{model}", f"{service}/{ALL}")
    for name in names:
        if name in own:
            return own[name]
    for name in names:
        dated = {day: each for day, each in TABLE.get(name, {}).items() if day <= today()}
        if dated:
            return dated[max(dated)]
    return None


# -- the user's file ----------------------------------------------------------------------------


def _own() -> tuple[Mapping[str, Price], str | None]:
    path = settings.get().prices_file
    if path is None:
        return {}, None
    try:
        found = path.stat()
    except OSError as error:
        raise _wrong(path, f"it can't be read ({error.strerror})") from None
    # a worker lives for weeks: a changed file counts at once
    return _read(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, _time: int, _size: int) -> tuple[Mapping[str, Price], str | None]:
    import yaml  # `ls` and `show` do without, unless there is such a file

    try:
        # every value as it is written: a float would not be exact
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506 - builds texts, lists and mappings only
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise _wrong(path, f"it is not YAML ({' '.join(str(error).split())[:200]})") from None
    if not isinstance(document, dict) or set(document) - {"as_of", "models"}:
        raise _wrong(path, "it holds `models`, and `as_of` if you like")
    models = document.get("models")
    if not isinstance(models, dict):
        raise _wrong(path, "`models` is a mapping of service/model to prices")
    when = document.get("as_of")
    if when is not None and not isinstance(when, str):
        raise _wrong(path, "`as_of` is a date")
    return {name: _entry(path, name, entry) for name, entry in models.items()}, when


def _entry(path: Path, name: object, entry: Any) -> Price:
    service, slash, model = str(name).partition("/")
    if not (service and slash and model):
        raise _wrong(path, f"{str(name)[:80]!r} is not service/model, such as openai/qwen3:8b")
    if entry == "free":
        return FREE
    if not isinstance(entry, dict) or not entry:
        raise _wrong(path, f"{name}: say `free`, or a mapping of {', '.join(Price.model_fields)}")
    try:
        return Price.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise _wrong(path, f"{name}, {field}: {first['msg']}") from None


def _wrong(path: Path, why: str) -> InputError:
    return InputError(
        "prices_invalid",
        f"The prices in {path} can't be used: {why}.",
        "Correct the file, or unset PRICES_FILE; docs/operations.md has an example.",
    )
