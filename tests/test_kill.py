"""kill -9 of the worker in each stage, then `reelchain run ID`: the right video comes out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from _redis import until
from _workers import Bench, bench, story

pytestmark = [pytest.mark.acceptance, pytest.mark.redis, pytest.mark.ffmpeg, pytest.mark.slow]

TEXT = """---
music: none
---
# Five Lanterns

## One

The first lantern was lit at dusk, when the harbour was quiet. Nobody spoke.

## Two

The second one followed, and then the third. The wind waited.

## Three

At last all five were burning, and the boats came home one by one.
"""

STAGES = {
    "script_generation": 1,
    "asset_generation": 3,
    "video_rendering": 3,
    "thumbnail_generation": 1,
    "youtube_upload": 1,
}
"""Stage → at which of its builds and steps the worker is killed: what they began is half made."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an undisturbed run makes."""
    folder = tmp_path_factory.mktemp("reference")
    with bench(folder) as made:
        made.start_worker()
        number = made.call(f"tell(create_project({str(story(folder, TEXT))!r}).id)")
        made.call(f"tell(start({number}).get(timeout=120))")
        return frames(made, number)


def frames(house: Bench, number: int) -> dict[str, str]:
    """Return digests of decoded picture and sound of the published film."""
    film = house.data / "published" / str(number) / "video.mp4"
    code = (
        "import sys; from app.media import ffmpeg; from pathlib import Path\n"
        "out = Path(sys.argv[2])\n"
        "ffmpeg.run(['-i', sys.argv[1], '-map', '0:v', '-map', '0:a', '-f', 'framemd5', out])"
    )
    target = house.folder / "frames.txt"
    subprocess.run(
        [sys.executable, "-c", code, str(film), str(target)],
        env=house.environment,
        check=True,
        timeout=60,
    )
    return {"video": target.read_text()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_worker_costs_no_video(
    house: Bench, stage: str, reference: dict[str, str]
) -> None:
    flag = house.folder / "half way"
    house.environment |= {
        "HOLD_STAGE": stage,
        "HOLD_AT": str(STAGES[stage]),
        "HOLD_FLAG": str(flag),
    }
    worker = house.start_worker(concurrency=1, app="_held_app")
    children = psutil.Process(worker.pid).children(recursive=True)
    number = house.call(f"tell(create_project({str(story(house.folder, TEXT))!r}).id)")
    house.call(f"video_pipeline({number}).apply_async()")
    until(flag.exists, 60, f"{stage} half way")
    media = psutil.Process(worker.pid).children(recursive=True)
    house.kill_worker(worker)
    struck = house.state(number)
    assert struck["stages"][stage]["status"] == "running"
    until(lambda: not any(p.is_running() and p.status() != "zombie" for p in {*children, *media}),
          5, "the worker's children are gone")  # fmt: skip

    made_before = artifacts(house, number)
    house.start_worker(concurrency=1)
    ran = subprocess.run(
        [sys.executable, "-m", "app", "run", str(number), "--json"],
        env=house.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr + house.logs()[-3000:]
    outcome = json.loads(ran.stdout)
    assert outcome["status"] == "completed"
    assert frames(house, number) == reference
    kept = artifacts(house, number)
    assert {name: kept.get(name) for name in made_before} == made_before, "paid for twice"
    assert len(list((house.data / "published").iterdir())) == 1
    assert not list((house.data / f"projects/{number}").rglob(".tmp-*"))


def artifacts(house: Bench, number: int) -> dict[str, int]:
    """Return recorded artifact → time its file was made, for all that is expensive."""
    folder = house.data / f"projects/{number}"
    state = json.loads((folder / "project_state.json").read_text())
    names = [name for part in state["stages"].values() for name in part["artifacts"]]
    return {name: (folder / name).stat().st_mtime_ns for name in names}
