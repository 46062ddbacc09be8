"""Captions as files: SubRip, WebVTT, and ASS, which keeps the look of the chosen style.

Text is data in all three: what a player would take for markup is escaped, or broken up by an
invisible joiner where the format has no escape.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from app.media import fonts
from app.media.captions import places
from app.media.captions.cues import Cue, Mark
from app.media.captions.cutting import pieces
from app.media.styles import RGB, Style
from app.models import Language

_JOINER = "\u2060"


def srt(cues: Sequence[Cue]) -> str:
    """Return the cues as SubRip text."""
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        + "".join(f"{_untagged(line)}\n" for line in cue.lines)
        for number, cue in enumerate(_shown(cues, 1000), 1)
    ]
    return "\n".join(blocks)


def vtt(cues: Sequence[Cue]) -> str:
    """Return the cues as WebVTT, where `&`, `<` and `>` are markup and so escaped."""
    blocks = [
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n"
        + "".join(f"{escape(line, quote=False)}\n" for line in cue.lines)
        for cue in _shown(cues, 1000)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _shown(cues: Sequence[Cue], ticks: int) -> list[Cue]:
    """Return the cues a player can show: those that last a tick of the format's clock at least."""
    return [cue for cue in cues if round(cue.end * ticks) > round(cue.start * ticks)]


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{point}{thousandths:03}"


def _untagged(line: str) -> str:
    """Return `line` such that no player takes part of it for a tag or a time (SubRip can't escape)."""
    for sign in ("<", "{", "\\"):
        line = line.replace(sign, sign + _JOINER)
    return line.replace("-->", f"--{_JOINER}>")


# --- ASS ------------------------------------------------------------------------------------
#
# libass takes a font by the name of its family only, and a size for the height of a line. A header
# "Language" would give Noto Sans CJK TC the forms of the mainland, so there is none.

_FAMILIES: dict[fonts.Family, dict[Language, str]] = {
    "sans": {"en": "Noto Sans CJK JP", "zh-TW": "Noto Sans CJK TC", "ja": "Noto Sans CJK JP"},
    "serif": {"en": "Noto Serif JP", "zh-TW": "Noto Serif TC", "ja": "Noto Serif JP"},
}
_BORDER = {"karaoke": 4, "boxed": 3, "clean": 1, "phrase": 1}
"""4 is libass's one box around all lines; 3 is the standard's, around each."""
_OUTLINE = {"karaoke": 0.0, "boxed": 0.28, "clean": 0.06, "phrase": 0.095}
_SHADOW = {"karaoke": 0.3, "boxed": 0.0, "clean": 0.045, "phrase": 0.06}
"""Of the type size; the padding of the box where `_BORDER` is 4."""
_POP = r"\fad(80,0)\fscx90\fscy90\t(0,100,\fscx100\fscy100)"
_FORMAT = (
    "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, "
    "Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, "
    "Shadow, Alignment, MarginL, MarginR, MarginV, Encoding"
)


def ass(cues: Sequence[Cue], *, style: Style, language: Language, size: tuple[int, int]) -> str:
    """Return the cues as Advanced SubStation Alpha in the look of `style.captions.style`.

    Args:
        cues: On the clock of the video.
        style: Its fonts, colours and caption style.
        language: Decides the font's region, and where a phrase breaks.
        size: Of the frame; all lengths are in its pixels.
    """
    kind = style.captions.style
    if kind == "phrase":
        cues = [part for cue in cues for part in pieces(cue, language=language, size=size)]
    lines = [
        "[Script Info]",
        "ScriptType: v4.00+",
        f"PlayResX: {size[0]}",
        f"PlayResY: {size[1]}",
        "WrapStyle: 2",
        "ScaledBorderAndShadow: yes",
        "YCbCr Matrix: TV.709",
        "",
        "[V4+ Styles]",
        _FORMAT,
        _style_line(style, language, size),
        "",
        "[Events]",
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text",
    ]
    for cue in _shown(cues, 100):
        sung = kind == "karaoke" and cue.marks
        text = _sung(cue, style) if sung else _plain(cue, style)
        lines.append(f"Dialogue: 0,{_short(cue.start)},{_short(cue.end)},Caption,,0,0,0,,{text}")
    return "\n".join(lines) + "\n"


def _style_line(style: Style, language: Language, size: tuple[int, int]) -> str:
    look, kind = style.captions, style.captions.style
    family: fonts.Family = style.fonts.caption
    type_size = places.type_size(style, size, phrase=kind == "phrase")
    ascent, descent = fonts.face(language, "bold", 1000, family).getmetrics()
    text, mark, box = _colour(look.text), _colour(look.mark), _colour(look.box)
    back = _colour(look.box, look.opacity if kind == "karaoke" else 0.7)
    free, block = places.safe(size), places.block(style, size)
    above = round(places.PADDING[1] * places.type_size(style, size))
    below = (block - type_size * places.LINE_HEIGHT) / 2 if kind == "phrase" else above
    values = (
        "Caption",
        _FAMILIES[family][language],
        round(type_size * (ascent + descent) / 1000, 1),
        mark if kind == "karaoke" else text,
        text,
        box,
        back,
        *(-1, 0, 0, 0, 100, 100, 0, 0),
        _BORDER[kind],
        round(_OUTLINE[kind] * type_size, 1),
        round(_SHADOW[kind] * type_size, 1),
        2,
        size[0] - free.right,
        size[0] - free.right,
        round(size[1] - free.bottom + below),
        1,
    )
    return "Style: " + ",".join(map(str, values))


def _colour(colour: RGB, opacity: float = 1.0) -> str:
    """Return a colour as ASS writes it: what is seen through it, then blue, green, red."""
    red, green, blue = colour
    return f"&H{round(255 * (1 - opacity)):02X}{blue:02X}{green:02X}{red:02X}"


def _short(seconds: float) -> str:
    whole, hundredths = divmod(round(seconds * 100), 100)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}.{hundredths:02}"


def _plain(cue: Cue, style: Style) -> str:
    text = r"\N".join(map(_escaped, cue.lines))
    match style.captions.style:
        case "phrase":
            return f"{{{_POP}}}{text}"
        case "karaoke":  # no words to mark: the colour of those that are not
            return f"{{\\1c{_tint(style.captions.text)}}}{text}"
        case _:
            return text


def _escaped(text: str) -> str:
    """Return `text` such that none of it is an override or a line break."""
    return text.replace("\\", "\\" + _JOINER).replace("{", r"\{").replace("}", r"\}")


def _sung(cue: Cue, style: Style) -> str:
    r"""Return the text with a `\k` for each word, which goes back to the text's colour after it."""
    start = round(cue.start * 100)
    ends = [round(mark.start * 100) - start for mark in cue.marks[1:]]
    ends.append(round(cue.end * 100) - start)
    made: list[str] = []
    at = 0
    for number, line in enumerate(cue.lines):
        parts: list[str] = []
        place = 0
        for mark, end in zip(cue.marks, ends, strict=True):
            if mark.line != number:
                continue
            parts += _rest(line[place : mark.begin], style)
            begins = max(at, round(mark.start * 100) - start)
            wait = f"\\k{begins - at}" if begins > at else ""
            at = max(begins, end)
            parts.append(_word(line, mark, wait, (begins, at), style))
            place = mark.until
        made.append("".join([*parts, *_rest(line[place:], style)]))
    return r"\N".join(made)


def _word(line: str, mark: Mark, wait: str, sung: tuple[int, int], style: Style) -> str:
    begins, end = sung
    on, off = _tint(style.captions.mark), _tint(style.captions.text)
    before = f"{{{wait}}}" if wait else ""
    back = f"\\t({10 * end},{10 * end},\\1c{off})"
    tags = f"{{\\1c{on}\\2c{off}\\k{end - begins}{back}}}"
    return f"{before}{tags}{_escaped(line[mark.begin : mark.until])}"


def _rest(text: str, style: Style) -> Iterator[str]:
    """Yield what stands between two words, never marked."""
    if text:
        yield f"{{\\1c{_tint(style.captions.text)}\\k0}}{_escaped(text)}"


def _tint(colour: RGB) -> str:
    red, green, blue = colour
    return f"&H{blue:02X}{green:02X}{red:02X}&"
