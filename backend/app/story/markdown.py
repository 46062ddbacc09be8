"""Markdown: front matter = settings, `#` = title, `##` = scenes, paragraphs = narration.

Deeper headings start scenes, too. `![alt](path)` is the scene's picture; a further picture of
the same section starts a scene of its own where words follow it. `<!-- card: quote -->` on a line
of its own chooses the design of the scene's card; three items of a list under a heading make it a
list. A verse keeps its lines. Without any heading below the title, the text is cut by reading time
like plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app import language as lang
from app.story import parts
from app.story.fields import front_matter
from app.story.parts import Draft, Source, Story

_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_CARD = re.compile(r"<!--\s*card\s*:([^>]*?)-->", re.IGNORECASE)
_VERSE_COLUMNS = 44
"""Of the longest line of a verse; who breaks lines to fit a page has longer ones."""
_UNSPOKEN = {"fence": "a code block", "code_block": "a code block", "table_open": "a table"}


@dataclass
class _Words:
    text: str
    line: int


@dataclass
class _Picture:
    path: str
    alt: str
    line: int


def read(source: Source) -> Story:
    """Return the story in a Markdown file."""
    fields, body = front_matter(source)
    builder = _Builder(source)
    for token, inline in _blocks(source, _parser().parse(body)):
        if inline is None:
            builder.note(token)
        else:
            builder.add(token, inline)
    drafts = builder.drafts
    if fields.get("topic") and not any(draft.narration or draft.picture for draft in drafts):
        return parts.story(source, fields, None)
    headed = any(draft.heading for draft in drafts)
    by_time = not headed and not any(draft.picture or draft.card for draft in drafts)
    script = parts.script(source, drafts, fields, builder.title, by_time=by_time)
    return parts.story(source, fields, script)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table")
    # Every address is read as a picture's and then refused with its line, not spoken as text.
    setattr(parser, "validateLink", _any)  # noqa: B010 - a method; the library documents this
    return parser


def _any(_: str) -> bool:
    return True


def _blocks(source: Source, tokens: list[Token]) -> Iterator[tuple[Token, Token | None]]:
    """Yield (opening token, inline token) of headings and paragraphs; warn of what is not spoken.

    A block of HTML, which is not spoken either, comes alone, for it may be a note of ours, and so
    does the start of an item of a list.
    """
    opening, in_table = None, False
    for token in tokens:
        if token.type in _UNSPOKEN and token.map:
            source.warn(token.map[0] + 1, f"{_UNSPOKEN[token.type]} is not spoken; left out.")
        in_table = token.type == "table_open" or (in_table and token.type != "table_close")
        if token.type in ("heading_open", "paragraph_open"):
            opening = token
        elif token.type in ("html_block", "list_item_open"):
            yield token, None
        elif token.type == "inline" and opening is not None and not in_table:
            yield opening, token


class _Builder:
    """Turns blocks into drafts, in the order of the file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.title = ""
        self.drafts = [Draft(line=1)]

    def add(self, opening: Token, inline: Token) -> None:
        line = inline.map[0] + 1 if inline.map else 1
        verse = opening.type == "paragraph_open" and _is_verse(inline.content)
        pieces = list(_pieces(inline.children or (), line, verse=verse))
        if opening.type == "heading_open":
            self._heading(opening.tag, pieces, line)
            pieces = [piece for piece in pieces if isinstance(piece, _Picture)]
        words: list[_Words] = []
        for piece in pieces:
            if isinstance(piece, _Words):
                self.source.check(piece.text, piece.line)
                words.append(piece)
            elif self._picture(piece):
                self._say(words, line)
                words = []
                self.drafts.append(self._with(Draft(piece.line, further=True), piece))
        self._say(words, line)

    def note(self, block: Token) -> None:
        """Read what a comment says of the scene it stands in; count the items of its lists."""
        self.drafts[-1].items += block.type == "list_item_open"
        line = block.map[0] + 1 if block.map else 1
        for found in _CARD.finditer(block.content):
            at = line + block.content.count("\n", 0, found.start())
            self.drafts[-1].card = parts.card(self.source, found[1], at)

    def _heading(self, tag: str, pieces: list[_Words | _Picture], line: int) -> None:
        text = self.source.words(_flat(pieces), line)
        if tag == "h1" and not self.title:
            self.title = text
        else:
            self.drafts.append(Draft(line, heading=text))

    def _picture(self, piece: _Picture) -> bool:
        """Give the scene its picture; return True where it has one and a new scene must start."""
        draft = self.drafts[-1]
        if draft.picture:
            return True
        self._with(draft, piece)
        return False

    def _with(self, draft: Draft, piece: _Picture) -> Draft:
        draft.picture = parts.inner_file(self.source, piece.path, piece.line, "picture")
        draft.alt = self.source.words(piece.alt, piece.line)
        draft.picture_line = piece.line
        return draft

    def _say(self, words: list[_Words], line: int) -> None:
        text = self.source.words(_flat(words), line)
        if lang.speakable(text):
            self.drafts[-1].narration.append(text)


def _flat(pieces: Iterable[_Words | _Picture]) -> str:
    lines = "".join(piece.text for piece in pieces if isinstance(piece, _Words)).split("\n")
    return "\n".join(" ".join(line.split()) for line in lines).strip()


def _is_verse(content: str) -> bool:
    """Return True for a paragraph whose lines were broken for their own sake, not for the page.

    In Chinese and Japanese they are short and not all of them end in a mark; in English each
    begins with a capital, too.
    """
    lines = [line.strip() for line in content.split("\n")]
    widths = [lang.width(line) for line in lines]
    if len(lines) < 2 or max(widths) > _VERSE_COLUMNS or not all(widths):
        return False
    if all(lang.width(line[0]) == 1 for line in lines):
        return all(line.lstrip("\"'“‘—-")[:1].isupper() for line in lines)
    if any("a" <= line[0] <= "z" for line in lines):
        return False
    even = max(widths) > _VERSE_COLUMNS / 2 and min(widths[:-1]) >= 0.8 * max(widths)
    return not even and any(line[-1].isalnum() for line in lines[:-1])


def _pieces(children: Iterable[Token], line: int, *, verse: bool) -> Iterator[_Words | _Picture]:
    """Yield the words of an inline token as plain text, and its pictures with their lines."""
    last = ""
    soft = False
    for token in children:
        if token.type == "softbreak" and verse:
            yield _Words("\n", line)
            line += 1
            continue
        if token.type == "softbreak":
            line, soft = line + 1, True
            continue
        if token.type == "image":
            yield _Picture(unquote(str(token.attrs.get("src", ""))), _alt(token), line)
            continue
        text = _text(token)
        if token.type == "hardbreak":
            line += 1
        if not text:
            continue
        if soft and last and not (lang.width(last) == 2 and lang.width(text[0]) == 2):
            text = f" {text}"
        soft = False
        last = text[-1]
        yield _Words(text, line)


def _text(token: Token) -> str:
    if token.type in ("text", "code_inline", "text_special"):
        return token.content
    if token.type == "hardbreak" or (token.type == "html_inline" and _BREAK.match(token.content)):
        return "\n"
    return ""


def _alt(token: Token) -> str:
    return "".join(
        _text(child) or " " * (child.type == "softbreak") for child in token.children or ()
    )
