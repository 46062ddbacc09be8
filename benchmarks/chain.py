"""Chain of five stages that are all made, end to end; `ls`; `run` of a finished project."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _job import print_rows, spread, story


def main(argv: Sequence[str]) -> int:
    """Print medians of several runs, all in one house."""
    parser = argparse.ArgumentParser(prog="reelchain bench chain", description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    from _workers import bench

    with tempfile.TemporaryDirectory(prefix="reelchain-bench-") as name, bench(Path(name)) as house:
        house.start_worker()
        path = story(Path(name) / "story", 30)
        number = house.call(f"tell(create_project({str(path)!r}).id)")
        house.call(f"tell(start({number}).get(timeout=300))", seconds=300)
        code = f"""
            import time
            began = time.perf_counter()
            video_pipeline({number}).apply_async().get(timeout=60)
            tell(time.perf_counter() - began)
        """
        house.call(code)
        chains = [house.call(code) for _ in range(given.runs)]
        listing = [_timed(house.environment, "ls") for _ in range(given.runs)]
        again = [_timed(house.environment, "run", str(number)) for _ in range(given.runs)]
    rows: list[dict[str, object]] = [
        {"what": "chain of five made stages, s", "median (min-max)": spread(chains), "limit": 1.0},
        {"what": "reelchain ls, s", "median (min-max)": spread(listing), "limit": 0.7},
        {"what": "reelchain run of a finished project, s", "median (min-max)": spread(again), "limit": 1.0},
    ]  # fmt: skip
    print_rows("chain", rows, as_json=given.json)
    return 0


def _timed(environment: dict[str, str], *arguments: str) -> float:
    launcher = str(Path(__file__).resolve().parents[1] / "reelchain")
    began = time.perf_counter()
    subprocess.run(
        [launcher, *arguments],
        env={**environment, "REELCHAIN_VENV": sys.prefix},
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
