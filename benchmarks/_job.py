"""What the benchmarks share: a house of their own, a story of a wanted length, tables."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

SENTENCES = (
    "The harbour was still asleep when the first boat slipped out between the stones.",
    "Its captain had made the same short journey every morning for thirty years.",
    "Nobody could say what she was looking for, and she never told anyone.",
    "Some days the fog was so thick that the bell had to show her the way home.",
    "On others, the sea lay flat and bright, and the islands seemed to float.",
    "She counted the gulls, wrote the number in a small book, and turned around.",
)
"""About five seconds each when spoken."""


def story(folder: Path, seconds: float, *, scene_sentences: int = 2) -> Path:
    """Write a story of roughly this many seconds; every second scene has a picture."""
    pictures = Path(__file__).resolve().parents[1] / "backend" / "app" / "demo" / "pictures"
    found = sorted(pictures.glob("*.jpg"))
    lines = ["---", "language: en", "---", "# The book of gulls", ""]
    count = max(2, round(seconds / 5.2))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(0, count, scene_sentences):
        picture = found[number // scene_sentences % len(found)]
        (folder / picture.name).write_bytes(picture.read_bytes())
        lines += [f"## Morning {number // scene_sentences + 1}", ""]
        if number // scene_sentences % 2 == 0:
            lines += [f"![A morning]({picture.name})", ""]
        chosen = [SENTENCES[n % len(SENTENCES)] for n in range(number, number + scene_sentences)]
        lines += [" ".join(chosen), ""]
    path = folder / "story.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def print_rows(title: str, rows: Sequence[dict[str, object]], *, as_json: bool) -> None:
    """Print rows as a Markdown table or as JSON."""
    if as_json:
        print(json.dumps({"benchmark": title, "rows": list(rows)}, indent=2))
        return
    print(f"\n{title}\n")
    columns = list(rows[0])
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(str(row[column]) for column in columns) + " |")


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Return `median (min-max)`."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"
