"""Films in every style, shape and language, each checked; contact sheets for the eye."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from _job import print_rows
from _stories import STORIES
from PIL import Image, ImageDraw

from app.errors import CheckError
from app.media import ffmpeg, styles

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {"zh-TW": ("16:9", "9:16", "1:1"), "en": ("16:9",), "ja": ("16:9",)}
FRAMES = 10
"""Of each film on a sheet."""
HEIGHT = {"16:9": 216, "9:16": 480, "1:1": 300}
"""Of a frame on a sheet, in pixels."""


def main(argv: Sequence[str]) -> int:
    """Print a row for each film: what its check found; 1 where one does not pass."""
    parser = argparse.ArgumentParser(prog="reelchain bench looks", description=__doc__)
    parser.add_argument("--style", action="append", help="only this one; may be repeated")
    parser.add_argument("--language", action="append", choices=list(SHAPES))
    parser.add_argument("--shape", action="append", choices=["16:9", "9:16", "1:1"])
    parser.add_argument("--to", type=Path, default=ROOT / "data" / "looks", help="where they go")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    given.to.mkdir(parents=True, exist_ok=True)
    rows = []
    with (
        tempfile.TemporaryDirectory(prefix="reelchain-looks-") as name,
        _House(Path(name)) as house,
    ):
        for language, shape in _wanted(given):
            shown = []
            for style in given.style or styles.names()[:5]:
                rows.append(house.film(language, shape, style, given.to))
                shown.append(rows[-1]["film"])
                print(rows[-1], file=sys.stderr, flush=True)
            _sheet([given.to / f"{one}.mp4" for one in shown], given.to, language, shape)
    passed = [row for row in rows if row["check"] == "pass"]
    told = f"{len(passed)} of {len(rows)} pass"
    total = {"film": "all", "check": told, "fails": "", "warns": ""}
    print_rows("looks", [*rows, total], as_json=given.json)
    return int(len(passed) < len(rows))


def _wanted(given: argparse.Namespace) -> Iterator[tuple[str, str]]:
    for language in given.language or SHAPES:
        for shape in given.shape or SHAPES[language]:
            yield language, shape


class _House:
    """A data folder and a stack of its own, one project for each language and shape."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ,
            "DATA_DIR": str(folder / "data"),
            "PYTHONPATH": str(ROOT / "backend"),
            "STACK_IDLE_SECONDS": "60",
        }
        shutil.copytree(ROOT / "backend" / "app" / "demo" / "pictures", folder / "pictures")
        for language, story in STORIES.items():
            (folder / f"{language}.md").write_text(story, encoding="utf-8")

    def film(self, language: str, shape: str, style: str, to: Path) -> dict[str, object]:
        """Make, check and keep one film; the voice is spoken once for all of a language."""
        look = ["--shape", shape, "--style", style]
        made = self._said("make", f"{language}.md", *look)
        found = self._said("check", str(made["project_id"]), codes=(0, CheckError.exit_code))
        name = f"{language}-{shape.replace(':', 'x')}-{style}"
        project = self._folder / "data" / "projects" / str(made["project_id"])
        shutil.copy(project / "video.mp4", to / f"{name}.mp4")
        shutil.copy(project / "thumbnail.jpg", to / f"{name}.jpg")
        (to / f"{name}.json").write_text(json.dumps(found, ensure_ascii=False, indent=1))
        by = {v: [r["name"] for r in found["rows"] if r["verdict"] == v] for v in ("fail", "warn")}
        return {
            "film": name,
            "check": "fail" if by["fail"] else "pass",
            "fails": ", ".join(by["fail"]),
            "warns": ", ".join(by["warn"]),
        }

    def _said(self, *words: str, codes: Sequence[int] = (0,)) -> dict[str, object]:
        ran = subprocess.run(
            [sys.executable, "-m", "app", *words, "--json"],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            check=False,
        )
        if ran.returncode not in codes:
            raise SystemExit(f"{words}: {ran.returncode}\n{ran.stderr.decode()[-2000:]}")
        answer: dict[str, object] = json.loads(ran.stdout)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the stack, which writes into the folder."""
        code = "from app import embedded; embedded.stop()"
        subprocess.run([sys.executable, "-c", code], env=self._environment, check=False)


def _sheet(films: Sequence[Path], to: Path, language: str, shape: str) -> None:
    """Write a contact sheet: a row of frames and the thumbnail of each film."""
    strips = []
    for film in films:
        strip = film.with_suffix(".strip.png")
        seconds = ffmpeg.probe(film).duration
        graph = f"fps={FRAMES / (seconds - 0.6):.6f}:start_time=0.3,scale=-2:{HEIGHT[shape]},tile={FRAMES}x1"
        ffmpeg.run(["-i", film, "-vf", graph, "-frames:v", "1", strip])
        strips.append((Image.open(strip).convert("RGB"), film))
    width = max(strip.width for strip, _ in strips) + 420
    sheet = Image.new("RGB", (width, sum(s.height + 34 for s, _ in strips)), (24, 24, 24))
    top = 0
    for strip, film in strips:
        ImageDraw.Draw(sheet).text((8, top + 8), film.stem, fill=(255, 255, 255), font_size=18)
        sheet.paste(strip, (0, top + 34))
        thumbnail = Image.open(film.with_suffix(".jpg"))
        thumbnail.thumbnail((400, HEIGHT[shape]))
        sheet.paste(thumbnail, (width - 410, top + 34))
        top += strip.height + 34
    sheet.save(to / f"sheet-{language}-{shape.replace(':', 'x')}.png")
    for _, film in strips:
        film.with_suffix(".strip.png").unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
