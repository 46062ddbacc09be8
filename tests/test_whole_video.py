"""A whole short video in English and in Traditional Chinese, with the real voice, full size."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import _measure
from _workers import Bench, bench, story
from app.media import audio, captions, ffmpeg

pytestmark = [pytest.mark.acceptance, pytest.mark.redis, pytest.mark.ffmpeg, pytest.mark.slow]

STORIES = {
    "en": """---
language: en
music: none
---
# Why bees dance

## The news

A bee that finds flowers comes home and dances. Her sisters follow every step in the dark.

## The map

In 1973 the dance won a Nobel Prize. It tells them how far, and which way.
""",
    "zh-TW": """---
language: zh-TW
music: none
---
# 蜜蜂為什麼跳舞

## 消息

找到花的蜜蜂回到家裡，會跳一支舞。姊妹們在黑暗中跟著每一步。

## 地圖

1973 年，這支舞得到了諾貝爾獎。它告訴大家有多遠，往哪個方向。
""",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("whole")) as made:
        made.environment |= {
            "SPEECH_PROVIDER": "kokoro",
            "RENDER_SCALE": "1",
            "X264_PRESET": "veryfast",
        }
        made.start_worker(concurrency=1)
        yield made


@pytest.fixture(scope="module", params=list(STORIES))
def project(house: Bench, request: pytest.FixtureRequest) -> Path:
    path = story(house.folder / request.param, STORIES[request.param])
    number = house.call(f"tell(create_project({str(path)!r}).id)")
    house.call(f"tell(start({number}).get(timeout=280))", seconds=280)
    return house.data / "projects" / str(number)


def test_the_film_is_what_players_and_sites_expect(project: Path, tmp_path: Path) -> None:
    film = project / "video.mp4"
    info = ffmpeg.probe(film)
    assert (info.width, info.height, info.fps) == (1920, 1080, 30)
    assert (info.video_codec, info.audio_codec) == ("h264", "aac")
    assert (info.sample_rate, info.channels) == (48_000, 2)
    described = ffmpeg.run(["-i", film, "-map", "0:v", "-frames:v", "1", "-f", "null", "-"])
    for fact in ("High", "yuv420p", "tv", "bt709"):
        assert fact in described
    assert _measure.boxes(film).index("moov") < _measure.boxes(film).index("mdat")


def test_every_frame_is_there_at_its_time(project: Path, tmp_path: Path) -> None:
    times = _measure.frame_times(project / "video.mp4", tmp_path)
    facts = json.loads((project / "project_state.json").read_text())["stages"]["video_rendering"][
        "facts"
    ]
    assert len(times) == facts["frames"]
    steps = {after - before for before, after in itertools.pairwise(times)}
    assert len(steps) == 1
    assert times[0] == 0


def test_it_is_as_loud_as_it_should_be(project: Path) -> None:
    measured = audio.measure(project / "video.mp4")
    assert measured.integrated == pytest.approx(-14, abs=0.5)
    assert measured.true_peak <= -1


def test_captions_keep_time_with_the_voice(project: Path, tmp_path: Path) -> None:
    errors = _measure.caption_errors(project, tmp_path)
    late = [e for e in errors if max(abs(e[0]), abs(e[1])) > 0.080]
    assert not late
    shown = _measure.cues((project / "captions.srt").read_text())
    marked = _measure.sung((project / "captions.ass").read_text())
    for (start, _, _), (first, _) in zip(shown, marked, strict=True):
        assert first - captions.LEAD - 0.01 <= start <= first + 0.01


def test_words_and_silences_tile_the_samples(project: Path) -> None:
    for path in (project / "assets" / "voice").glob("*.json"):
        speech = json.loads(path.read_text())
        ends = 0.0
        for word in speech["words"]:
            assert ends - 1e-6 <= word["start"] < word["end"]
            start, end = word["span"]
            assert speech["text"][start:end] == word["text"]
            ends = word["end"]
        assert ends <= speech["samples"] / speech["sample_rate"] + 1e-6
        wav = path.with_suffix(".wav").read_bytes()
        assert int.from_bytes(wav[40:44], "little") // 2 == speech["samples"]


def test_a_thumbnail_and_captions_lie_beside_it(project: Path) -> None:
    thumbnail = project / "thumbnail.jpg"
    assert thumbnail.stat().st_size < 2_000_000
    assert thumbnail.read_bytes()[:3] == b"\xff\xd8\xff"
    assert (project / "captions.vtt").read_text().startswith("WEBVTT\n")
    assert _measure.cues((project / "captions.srt").read_text())


def test_the_check_finds_nothing_wrong(house: Bench, project: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "app", "check", project.name, "--json"],
        env=house.environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    found = json.loads(ran.stdout)
    assert [row for row in found["rows"] if row["verdict"] == "fail"] == []
    assert ran.returncode == 0
    assert (found["size"], found["draft"]) == ([1920, 1080], False)
