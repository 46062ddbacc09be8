"""Pages as a test reads them: fences, code spans, links, headings, tables."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
READMES = (ROOT / "README.md", ROOT / "README.zh-TW.md")
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))

_PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Fence:
    """A fenced block: its language, its text, its line, the file name told just above it."""

    language: str
    text: str
    line: int
    name: str


@cache
def tokens(page: Path) -> list[Token]:
    return _PARSER.parse(page.read_text(encoding="utf-8"))


def fences(page: Path, *languages: str) -> list[Fence]:
    """Return the fences in their order; of the languages given, or all."""
    found, name = [], ""
    for token in tokens(page):
        if token.type == "inline":
            names = [t.content for t in token.children or () if t.type == "code_inline"]
            files = [n for n in names if re.fullmatch(r"[\w-]+\.(md|txt|yaml)", n)]
            name = files[0] if files else name
        elif token.type == "fence" and (not languages or token.info in languages):
            assert token.map is not None
            found.append(Fence(token.info, token.content, token.map[0] + 1, name))
    return found


def code_spans(page: Path) -> list[str]:
    """Return what stands between single backticks."""
    inline = (token for token in tokens(page) if token.type == "inline")
    return [t.content for token in inline for t in token.children or () if t.type == "code_inline"]


def commands(page: Path) -> list[str]:
    """Return the lines of all shell fences, without comments."""
    lines = (line.strip() for fence in fences(page, "bash") for line in fence.text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        for inner in token.children or ():
            target = inner.attrs.get("href") or inner.attrs.get("src")
            if target:
                yield str(target)


@cache
def anchors(page: Path) -> set[str]:
    """Return the names GitHub gives to a page's headings."""
    found = set()
    parsed = tokens(page)
    for opening, inline in itertools.pairwise(parsed):
        if opening.type == "heading_open":
            text = re.sub(r"[`*]", "", inline.content).lower()
            kept = (c for c in text if unicodedata.category(c)[0] in "LNM" or c in " -_")
            found.add("".join(kept).replace(" ", "-"))
    return found


def table(page: Path, first: str) -> list[dict[str, str]]:
    """Return the rows of all tables of a page whose first column is headed `first`."""
    rows: list[dict[str, str]] = []
    heads: list[str] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            heads = []
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not heads:
            heads = cells
        elif heads[0] == first and not re.fullmatch(r":?-+:?", cells[0]):
            rows.append(dict(zip(heads, cells, strict=True)))
    return rows
