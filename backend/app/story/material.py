"""What a writer works from: text, Markdown and PDF files, read as text and bounded.

Nothing is left out in silence: what does not fit is told as a warning.
"""

from __future__ import annotations

import contextlib
import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.errors import InputError
from app.story.parts import bounded, decoded, tidy

SUFFIXES = (".txt", ".md", ".markdown", ".pdf")
"""Names of files that can be read end like this."""
MOST_BYTES = 20_000_000
MOST_PAGES = 500
MOST_CHARACTERS = 200_000
"""Of all files together: about 50,000 tokens of English."""
MOST_SECONDS = 60
"""Of reading one PDF."""
_MOST_OPERANDS = 500_000
"""Of one page of a PDF, which is taken apart before anybody can look at the clock: about ten seconds."""
_MOST_UNPACKED = 10_000_000
"""Bytes of a PDF's stream; as one string they take as long."""


@dataclass(frozen=True)
class Material:
    """What was read.

    Attributes:
        texts: Name and words of each file, in the order given.
        warnings: What was left out, one sentence each.
    """

    texts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()


def read(paths: Sequence[Path]) -> Material:
    """Return the words of files, `MOST_CHARACTERS` at most: longer ones give way first.

    Raises:
        InputError: `source_missing`, `source_format`, `source_too_large`, `source_empty`,
            `source_broken`, `source_encrypted`, `source_without_text`, or `not_text`.
    """
    texts = [(path.name, text(path)) for path in paths]
    room = _shares([len(words) for _, words in texts])
    kept, warnings = [], []
    for (name, words), most in zip(texts, room, strict=True):
        kept.append((name, words[:most]))
        if len(words) > most:
            cut = name.lower().endswith(".pdf") and len(words) > MOST_CHARACTERS
            whole = f"more than {MOST_CHARACTERS:,}" if cut else f"{len(words):,}"
            warnings.append(
                f"{name} is longer than the writer is given: it saw the first {most:,} of "
                f"{whole} characters."
            )
    return Material(tuple(kept), tuple(warnings))


def _shares(lengths: list[int]) -> list[int]:
    """Return how much of each file is kept: short ones whole, the others as much as each other."""
    shares, left = [0] * len(lengths), MOST_CHARACTERS
    for done, at in enumerate(sorted(range(len(lengths)), key=lengths.__getitem__)):
        shares[at] = min(lengths[at], left // (len(lengths) - done))
        left -= shares[at]
    return shares


def text(path: Path) -> str:
    """Return the words of one file.

    Raises:
        InputError: As `read`.
    """
    name, suffix = path.name, path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            "source_format",
            f"{name} is not a source we can read.",
            f"Give it as text, Markdown or PDF, with a name ending in {', '.join(SUFFIXES)}.",
        )
    data = bounded(
        path,
        MOST_BYTES,
        missing=InputError(
            "source_missing", f"There is no source {name}.", "Check its name and folder."
        ),
        larger=InputError(
            "source_too_large",
            f"{name} is larger than {MOST_BYTES // 1_000_000} MB.",
            "Give the part that matters.",
        ),
    )
    words = _of_pdf(data, name) if suffix == ".pdf" else decoded(data, name)
    words = tidy(words.encode("utf-8", "replace").decode()).strip()
    if any(map(str.isalnum, words)):
        return words
    if suffix == ".pdf" and data:
        raise InputError(
            "source_without_text",
            f"{name} has no text: its pages are pictures.",
            "Run a text recognition over it (ocrmypdf, for example), or give its words as text.",
        )
    raise InputError("source_empty", f"{name} is empty.", "Give a file with words, or none.")


def _of_pdf(data: bytes, name: str) -> str:
    if not data:
        return ""
    from pypdf import PdfReader  # only who gives a PDF pays for it

    with _quiet():
        reader: Any = _tried(name, lambda: PdfReader(io.BytesIO(data)))
        if _tried(name, lambda: reader.is_encrypted) and not _opened(reader):
            raise InputError(
                "source_encrypted",
                f"{name} is protected by a password.",
                "Save it without one, or give its words as text.",
            )
        count = _tried(name, lambda: len(reader.pages))
        if count > MOST_PAGES:
            raise InputError(
                "source_too_large",
                f"{name} has {count:,} pages, {MOST_PAGES} are the most.",
                "Give the pages that matter.",
            )
        return "\n\n".join(_of_pages(reader, count, name))


def _of_pages(reader: Any, count: int, name: str) -> Iterator[str]:
    """Yield page by page what can be of use: a small file may unpack to days of work."""
    from pypdf import apply_configuration
    from pypdf.errors import LimitReachedError

    end, room = time.monotonic() + MOST_SECONDS, MOST_CHARACTERS
    too_much = InputError(
        "source_too_large",
        f"{name} takes too long to read.",
        "Give the pages that matter, or its words as text.",
    )

    def watch(*_: Any) -> None:
        if time.monotonic() > end:
            raise too_much

    def page(number: int) -> Any:
        try:
            return reader.pages[number].extract_text(visitor_operand_before=watch)
        except LimitReachedError:
            raise too_much from None

    for number in range(count):
        watch()
        with apply_configuration(
            stream_parsing_work_maximum_count=_MOST_OPERANDS,
            zlib_maximum_output_length=_MOST_UNPACKED,
            lzw_maximum_output_length=_MOST_UNPACKED,
            run_length_maximum_output_length=_MOST_UNPACKED,
            brotli_maximum_output_length=_MOST_UNPACKED,
            array_based_stream_maximum_output_length=_MOST_UNPACKED,
        ):
            words = _tried(name, partial(page, number))
        yield words
        room -= len(tidy(words).strip())
        if room < 0:
            return


def _tried(name: str, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - a broken file makes the reader raise anything
        raise InputError(
            "source_broken",
            f"{name} can't be read as PDF: {type(error).__name__}.",
            "Open it and save it anew, or give its words as text.",
        ) from None


def _opened(reader: Any) -> bool:
    """Tell whether a protected file opens without a password, as those do that only forbid printing."""
    try:
        return bool(reader.decrypt(""))
    except Exception:  # noqa: BLE001 - a cipher that is not known, or a broken table of it
        return False


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep what the reader says of faults that it mended to itself."""
    log = logging.getLogger("pypdf")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
