"""A fresh clone, no environment, no FFmpeg or Redis on the PATH: `./reelchain demo` to its video."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _job import print_rows

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("ffmpeg", "ffprobe", "redis-server", "valkey-server")


def main(argv: Sequence[str]) -> int:
    """Print the wall time with installation; exit with the demo's exit code."""
    parser = argparse.ArgumentParser(prog="reelchain bench demo", description=__doc__)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    folders = [
        folder
        for folder in os.environ["PATH"].split(os.pathsep)
        if not any((Path(folder) / name).exists() for name in PROGRAMS)
    ]
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("REELCHAIN_", "PYTHONPATH"))},
        "PATH": os.pathsep.join(folders),
        "STACK_IDLE_SECONDS": "1",
    }
    with tempfile.TemporaryDirectory(prefix="reelchain-bench-") as name:
        clone = Path(name) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        began = time.perf_counter()
        ran = subprocess.run(
            [str(clone / "reelchain"), "demo", "--json"],
            cwd=clone,
            env=environment,
            stdout=subprocess.PIPE,
            check=False,
        )
        wall = time.perf_counter() - began
        facts = json.loads(ran.stdout) if ran.returncode == 0 else {}
        _let_the_stack_end(clone)
    rows: list[dict[str, object]] = [
        {
            "exit code": ran.returncode,
            "wall with installation, s": round(wall, 1),
            "limit, s": 360,
            "job alone, s": facts.get("seconds"),
            "video, s": facts.get("video_seconds"),
        }
    ]
    print_rows("demo", rows, as_json=given.json)
    return ran.returncode


def _let_the_stack_end(clone: Path) -> None:
    python = clone / ".venv" / "bin" / "python"
    if python.exists():
        code = "from app import embedded; embedded.stop()"
        environment = {**os.environ, "PYTHONPATH": str(clone / "backend")}
        subprocess.run([str(python), "-c", code], env=environment, check=False)
    shutil.rmtree(clone, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
