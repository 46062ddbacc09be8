"""Captions against the decoded voice: how far sentence starts and ends lie from its energy."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from _job import print_rows


def main(argv: Sequence[str]) -> int:
    """Make the demo stories without music; print the largest distances and the word sums."""
    parser = argparse.ArgumentParser(prog="reelchain bench captions", description=__doc__)
    parser.add_argument("--voice", default="kokoro", help="speech provider")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    import _measure
    from _workers import bench

    demo = Path(__file__).resolve().parents[1] / "backend" / "app" / "demo"
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="reelchain-bench-") as name, bench(Path(name)) as house:
        house.environment["SPEECH_PROVIDER"] = given.voice
        house.start_worker(concurrency=1)
        for story in ("story.md", "story.zh-TW.md", "story.ja.md"):
            number = house.call(
                f"tell(create_project({str(demo / story)!r}, overrides={{'music': 'none'}}).id)"
            )
            house.call(f"tell(start({number}).get(timeout=900))", seconds=900)
            project = house.data / "projects" / str(number)
            errors = _measure.caption_errors(project, Path(name))
            starts, ends = [abs(e[0]) * 1000 for e in errors], [abs(e[1]) * 1000 for e in errors]
            rows.append(
                {
                    "story": story,
                    "sentences": len(errors),
                    "start, ms (worst)": round(max(starts)),
                    "end, ms (worst)": round(max(ends)),
                    "limit, ms": 80,
                }
            )
    print_rows("captions", rows, as_json=given.json)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
