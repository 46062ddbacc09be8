"""Publishing by real workers: once under faults and kills, within the quota, without a secret told.

`reelchain bench publish` is the long form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from _publish import NO_LIMITS, House, Mixes, house, number_of
from _publish_films import topic
from _publish_rows import CASES, PLAYLIST, SMALL, day, refusals
from _publish_secrets import Watch
from _redis import until
from _youtube import YouTube

pytestmark = [pytest.mark.acceptance, pytest.mark.redis]


@dataclass
class Watched:
    """A house that publishes, and who listens to it."""

    house: House
    watch: Watch


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("publish")
    settings = {"YOUTUBE_QUOTA_LIMITS": NO_LIMITS, "LOG_LEVEL": "DEBUG"}
    with (
        YouTube(processing_polls=1, lag_lookups=1, not_ready=1) as server,
        house(folder, server, **settings) as made,
        Watch(made) as watch,
    ):
        made.staff(2, 3)
        yield Watched(made, watch)
        assert not server.violations


@pytest.fixture
def made(watched: Watched) -> Iterator[House]:
    watched.house.server.fault = None
    yield watched.house
    watched.house.server.fault = None


def test_mixes_of_faults_end_in_one_right_video_each(made: House) -> None:
    mixes = Mixes(made, seed=20, count=15, playlists=3, kills=2, largest=3_500_000)
    mixes.run(150)
    assert mixes.problems() == []
    # how many beyond the planned ones is for the order of the workers' calls to say
    assert mixes.struck().total() >= 2 * len(mixes.plans)


def test_a_child_killed_after_each_step_leaves_no_step_undone_or_done_twice(made: House) -> None:
    steps = ["videos.insert.last", "thumbnails.set", "captions.insert", "playlistItems.insert"]
    numbers = made.make([{"topic": topic(SMALL), "playlist": PLAYLIST}] * len(steps))
    where = dict(zip(numbers, steps, strict=True))
    killed: set[int] = set()

    def fault(point: str, facts: dict[str, Any]) -> str | None:
        number = number_of(facts["marker"]) or 0
        if where.get(number) != point or number in killed or not made.server.videos:
            return None
        if facts["n"] == 1 and point != "videos.insert.last":
            return None  # the service does not know the video yet
        killed.add(number)
        return "do+kill"

    made.server.fault, made.server.on_kill = fault, made.kill_owner
    made.start(numbers)
    made.finished(numbers, 60)
    assert killed == set(numbers)
    (playlist,) = (p for p in made.server.playlists.values() if p.title == PLAYLIST)
    for number in numbers:
        video = made.video(number)
        assert len(set(video.thumbnails)) == len(video.captions) == 1
        assert playlist.items.count(video.id) == 1


def test_a_published_project_that_was_edited_is_not_published_again(made: House) -> None:
    (number,) = made.make([{"topic": topic(SMALL)}])
    made.start([number])
    made.finished([number], 30)
    project, before = made.project(number), made.video(number)
    with project.transaction() as state:
        state.spec = state.spec.model_copy(update={"category": "education"})
    made.start([number])
    until(lambda: made.state(number)["status"] == "failed", 30, "the edited project ended")
    assert made.error(number)["code"] == "already_published"
    assert before.id in made.error(number)["message"]
    assert made.video(number).id == before.id


def test_a_refusal_that_a_person_has_to_see_to_is_not_tried_again(made: House) -> None:
    some = {"401:authError", "413:uploadTooLarge"}
    cases = tuple(case for case in CASES if case.answer in some)
    told = list(refusals(made, cases))
    assert len(told) == len(some)
    assert [problem for one in told for problem in one.problems] == []


def test_no_secret_stands_where_others_may_see_it(watched: Watched) -> None:
    """The last of the module: it reads what all before it left behind."""
    made = watched.house
    (number, *_) = made.make([{"topic": topic(SMALL)}])
    made.server.fault = lambda point, _: (
        "refuse:400:invalidVideoMetadata" if point == "videos.insert.last" else None
    )
    made.start([number])
    until(lambda: made.state(number)["status"] == "failed", 30, "the project failed")
    planted = made.server.accounts.grant(())
    made.redis.set("planted", planted)
    found = watched.watch.findings([number], ("show {n} --json", "tasks --json"))
    ours = {finding.place for finding in found if planted.startswith(finding.secret)}
    assert ours >= {"Redis planted", "Redis' commands"}
    assert [finding for finding in found if not planted.startswith(finding.secret)] == []
    assert watched.watch.allowed() > 3


def test_the_quota_of_a_day_lets_some_through_and_the_rest_on_the_next(tmp_path: Path) -> None:
    limits = {"videos.insert": 100, "units": 2500}
    settings = {"YOUTUBE_QUOTA_LIMITS": "units=2500", "PUBLISH_SPREAD": "2"}
    with (
        YouTube(processing_polls=1, limits=limits) as server,
        house(tmp_path, server, **settings) as made,
    ):
        made.staff(1, 2)
        told = day(made, 6, fit=4, ahead=2, seconds=60)
        assert not server.violations
    assert told.before == {"completed": 4, "waiting": 2}
    assert told.idle
    assert all(0 <= after <= 4 for after in told.waits)
    assert all(booked == charged for booked, charged in told.booked.values())
    assert (told.refused, told.after, told.doubled) == (0, {"completed": 6}, 0)
