"""A house that publishes on a YouTube of our own, under faults, and what is left of its videos.

with house(folder, server) as made:
    mixes = Mixes(made, seed=1, count=25)
    mixes.run(seconds=60)
    assert not mixes.problems()
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _publish_films import topic
from _redis import until
from _workers import QUEUES, Bench
from _youtube import Video, YouTube, environment, video_bytes

SCALED = "retries after 0.1, 0.25, 0.5 s (2, 5, 10); polls and look-ups every 0.1 s (2-40), for 2 s (120)"
"""What `_publish_app` and `SETTINGS` cut short."""
MEBIBYTE = 1024 * 1024
CHUNK = MEBIBYTE
SETTINGS = {
    "LEASE_SECONDS": "3",
    "WATCHDOG_SECONDS": "0.5",
    "QUEUE_GRACE_SECONDS": "2",
    "DRAIN_SECONDS": "2",
    "YOUTUBE_CHUNK_MB": str(CHUNK // MEBIBYTE),
    "YOUTUBE_LOOKUP_SECONDS": "2",
    "YOUTUBE_TIMEOUT": "5",
}
NO_LIMITS = "videos.insert=1000000,units=1000000000"
ENDED = ("completed", "failed", "cancelled")
MOST_BY_HAND = 5
"""Times that a user would start a project again that has failed."""


class House(Bench):
    """Redis, workers that are restarted when they die, and their YouTube.

    Args:
        folder: For everything.
        server: Where they publish.
        settings: Environment of workers and client, on top of `SETTINGS`.
    """

    def __init__(self, folder: Path, server: YouTube, **settings: str) -> None:
        self.keys = folder / "keys"
        self.clock = folder / "clock"
        where = {"CLIENT_IMPORT": "_publish_app", "PUBLISH_CLOCK": str(self.clock)}
        super().__init__(
            folder, **{**SETTINGS, **environment(server, self.keys), **where, **settings}
        )
        self.server = server
        self.deaths = 0
        self._by_name: dict[str, subprocess.Popen[bytes]] = {}
        self._concurrency = 1

    # -- workers ---------------------------------------------------------------------------------

    def staff(self, workers: int, concurrency: int) -> None:
        """Start workers and wait until all take tasks."""
        self._concurrency = concurrency
        names = [f"w{number}" for number in range(workers)]
        for name in names:
            self._spawn(name)
        until(lambda: all("ready." in self.log(n) for n in names), 60, "the workers ready")

    def _spawn(self, name: str) -> None:
        self._by_name[name] = self.spawn_worker(name, QUEUES, self._concurrency, "_publish_app")

    def tend(self) -> None:
        """Start anew every worker that has died."""
        for name, worker in list(self._by_name.items()):
            if worker.poll() is not None:
                self.deaths += 1
                self.workers.remove(worker)
                self._spawn(name)

    def dismiss(self) -> None:
        """Kill all workers, and start none in their place."""
        for worker in self._by_name.values():
            self.kill_worker(worker)
            self.workers.remove(worker)
        self._by_name.clear()

    def kill_one(self, number: int) -> None:
        """Kill a worker's main process; its children die with it."""
        names = sorted(self._by_name)
        self.kill_worker(self._by_name[names[number % len(names)]])

    # -- projects --------------------------------------------------------------------------------

    def error(self, number: int) -> dict[str, Any]:
        """Return what the upload stage failed with; empty where it did not."""
        return dict(self.state(number)["stages"].get("youtube_upload", {}).get("error") or {})

    def failure(self, number: int) -> str:
        """Return the code of the error that a project failed with, at whichever stage."""
        stages = self.state(number)["stages"].values()
        return next((part["error"]["code"] for part in stages if part.get("error")), "none")

    def finished(self, numbers: list[int], seconds: float) -> None:
        """Wait until all are completed."""

        def done() -> bool:
            self.tend()
            return all(self.state(n)["status"] == "completed" for n in numbers)

        until(done, seconds, f"projects {numbers} completed")

    def video(self, number: int) -> Video:
        """Return the one video of a project."""
        (found,) = self.videos(number)
        return found

    def videos(self, number: int) -> list[Video]:
        """Return a project's videos, by their markers."""
        return [v for v in list(self.server.videos.values()) if number_of(v.marker) == number]

    # -- deaths ----------------------------------------------------------------------------------

    def kill_owner(self, facts: dict[str, Any]) -> bool:
        """Kill the pool's child that made the call a fault strikes; False if it is gone."""
        number = number_of(facts["marker"])
        pid = self._at_playlists() if number is None else self._at_project(number)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
        return False

    def _at_project(self, number: int) -> int | None:
        note = self.project(number).owner()
        alive = note is not None and note.purpose == "work" and note.alive
        return note.pid if note is not None and alive else None

    def _at_playlists(self) -> int | None:
        """Return who holds the lock of the channel's playlists (/proc/locks, proc(5))."""
        path = self.data / "private/youtube_playlists.lock"
        if not path.exists():
            return None
        inode = str(path.stat().st_ino)
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return int(words[4])
        return None


@contextlib.contextmanager
def house(folder: Path, server: YouTube, **settings: str) -> Iterator[House]:
    """Yield a house; when it is left, all its processes have ended."""
    made = House(folder, server, **settings)
    try:
        yield made
    finally:
        made.close()


def number_of(marker: str) -> int | None:
    """Return the project that a marker names."""
    found = re.fullmatch(r"ref rc-(\d+)-[0-9a-f]+", marker)
    return int(found[1]) if found else None


# -- mixes of faults ---------------------------------------------------------------------------


ANYWHERE = ("500", "502", "503", "504", "429", "drop", "lost", "401", "kill", "do+kill")
ADDRESS = ("expire", "gone", "move")
CHUNK_FAULTS = (*ANYWHERE, *ADDRESS, "mid", "mid", "short", "mid+kill")
FAULTS = {
    "videos.insert.chunk": CHUNK_FAULTS,
    "videos.insert.last": (*CHUNK_FAULTS, "lost", "do+kill", "finish+expire", "finish+expire"),
    "videos.insert.status": (*ANYWHERE, *ADDRESS),
}
"""What may go wrong where; elsewhere it is `ANYWHERE`."""
COMMON_POINTS = ("playlists.insert", "playlists.list", "channels.list", "token")
COMMON = ("500", "503", "429", "drop", "lost")
"""What goes wrong with calls that are no project's own, and where."""
TOKEN_SECONDS = 5.0
"""A 401 ends every project's token. Two in a row tell a call that its new token is no good either, and
then a person is asked, so they come no closer than this."""
STEPS = 8
"""Calls of a publication in which nothing goes wrong, the chunks but one left out."""


@dataclass
class Plan:
    """The faults of one project: at its `at`-th calls.

    Attributes:
        asked: Calls made so far.
        struck: Point and kind of each fault that struck.
    """

    random: random.Random
    at: set[int]
    asked: int = 0
    struck: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, seed: int, number: int, size: int) -> Plan:
        """Return 1 to 6 faults, each at a call of its own."""
        chance = random.Random(f"{seed}-{number}")  # noqa: S311 - faults are to come again
        calls = STEPS + size // CHUNK
        return cls(chance, set(chance.sample(range(calls), chance.randint(1, 6))))

    def next(self, point: str) -> str | None:
        """Return what goes wrong with the next call."""
        self.asked += 1
        if self.asked - 1 not in self.at:
            return None
        return self.random.choice(FAULTS.get(point, ANYWHERE))


class Mixes:
    """Projects that are published while calls fail and workers die.

    Args:
        made: The house; its workers are at work.
        seed: Of sizes and faults.
        count: How many projects.
        playlists: How many playlists they share.
        largest: Most bytes of a video; the least are 100,000.
        kills: How many whole workers are killed besides, evenly over the projects.
    """

    def __init__(
        self,
        made: House,
        *,
        seed: int,
        count: int,
        playlists: int = 7,
        kills: int = 0,
        largest: int = 6_000_000,
    ) -> None:
        self.house, self.server = made, made.server
        self.random = random.Random(seed)  # noqa: S311 - faults are to come again
        self.kills = kills
        self.by_hand: Counter[str] = Counter()
        self._failures: Counter[int] = Counter()
        self.missed_kills = 0
        self.common: list[tuple[str, str]] = []
        self._tokens_ended = 0.0
        self.stopped: list[str] = []
        self._lock = threading.Lock()
        sizes = [self.random.randrange(100_000, largest) for _ in range(count)]
        lists = [f"List {n % playlists}" for n in range(count)]
        specs = [{"topic": topic(s), "playlist": p} for s, p in zip(sizes, lists, strict=True)]
        numbers = made.make(specs)
        self.sizes = dict(zip(numbers, sizes, strict=True))
        self.lists = dict(zip(numbers, lists, strict=True))
        self.plans = {n: Plan.of(seed, n, size) for n, size in self.sizes.items()}
        self.server.fault, self.server.on_kill = self._fault, self._kill

    def _fault(self, point: str, facts: dict[str, Any]) -> str | None:
        with self._lock:
            plan = self.plans.get(number_of(facts["marker"]) or 0)
            action = plan.next(point) if plan else self._common_fault(point)
            if action == "401" and time.monotonic() - self._tokens_ended < TOKEN_SECONDS:
                action = "503"
            if action == "401":
                self._tokens_ended = time.monotonic()
            if action:
                (plan.struck if plan else self.common).append((point, action))
            return action

    def _common_fault(self, point: str) -> str | None:
        if point not in COMMON_POINTS or self.random.random() > 0.15:
            return None
        kinds = (*COMMON, "kill", "do+kill") if point == "playlists.insert" else COMMON
        return self.random.choice(kinds)

    def _kill(self, facts: dict[str, Any]) -> None:
        if not self.house.kill_owner(facts):
            self.missed_kills += 1

    def run(self, seconds: float, say: Callable[[str], None] = lambda _: None) -> None:
        """Start all and wait until each is completed; start anew by hand what has failed."""
        self.house.start(list(self.plans))
        began = time.monotonic()
        left, told, killed = set(self.plans), 0, 0
        while left and time.monotonic() - began < seconds:
            self.house.tend()
            left -= self._look(left)
            done = len(self.plans) - len(left)
            if killed < self.kills and done >= (killed + 1) * len(self.plans) // (self.kills + 1):
                killed += 1
                self.house.kill_one(killed)
            if done >= told + 50:
                told = done
                say(f"{done} of {len(self.plans)} published, {time.monotonic() - began:.0f} s")
            time.sleep(0.2)
        self.server.fault = None
        self.stopped = [f"project {n}: {self.house.state(n)['status']}" for n in sorted(left)]

    def _look(self, left: set[int]) -> set[int]:
        """Return who is done; start the failed ones again, as a user would."""
        done = set()
        failed = []
        for number in left:
            status = self.house.state(number)["status"]
            if status == "completed":
                done.add(number)
            elif status in ENDED and self._failures[number] < MOST_BY_HAND:
                self._failures[number] += 1
                self.by_hand[self.house.failure(number)] += 1
                failed.append(number)
            elif status in ENDED:
                done.add(number)  # as wrong as it is; its verdict tells
        if failed:
            self.house.start(failed)
        return done

    # -- what came of it -------------------------------------------------------------------------

    def struck(self) -> Counter[str]:
        """Return the faults by kind."""
        every = [fault for plan in self.plans.values() for fault in plan.struck]
        return Counter(kind for _, kind in [*every, *self.common])

    def problems(self) -> list[str]:
        """Return all that is not as it must be."""
        wrong = [*self.stopped, *(f"violation: {v}" for v in self.server.violations)]
        for number in self.plans:
            wrong += [f"project {number}: {why}" for why in self.verdict(number)]
        titles = Counter(playlist.title for playlist in self.server.playlists.values())
        wrong += [f"playlist {t!r} made {n} times" for t, n in titles.items() if n != 1]
        wrong += [f"playlist {t!r} that nobody asked for" for t in set(titles) - self.titles]
        wrong += [f"by hand for {code}" for code in self.by_hand if code not in MAY_FAIL]
        wrong += [f"sent again: {again}" for again in resent(self.server) if again.bytes > CHUNK]
        return wrong

    @property
    def titles(self) -> set[str]:
        return set(self.lists.values())

    def waits(self) -> int:
        """Return how often a project gave its slot back until the service would be there again."""
        paths = (self.house.data / f"projects/{n}/events.jsonl" for n in self.plans)
        return sum(path.read_text().count('"code": "waiting"') for path in paths)

    def doubled(self) -> list[int]:
        """Return the projects with more than one video."""
        return [number for number in self.plans if len(self.house.videos(number)) > 1]

    def verdict(self, number: int) -> list[str]:
        """Return what is wrong with a project's publication."""
        videos = self.house.videos(number)
        if len(videos) != 1:
            return [f"{len(videos)} videos; faults {self.plans[number].struck}"]
        video, state = videos[0], self.house.state(number)
        expected = hashlib.sha256(video_bytes(number, self.sizes[number])).hexdigest()
        folder = self.house.data / f"projects/{number}"
        picture, track = (
            hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for name in ("thumbnail.jpg", "captions.srt")
        )
        lists = {p.title: p.items.count(video.id) for p in self.server.playlists.values()}
        in_lists = {title: times for title, times in lists.items() if times}
        checks = {
            "not completed": state["status"] == "completed",
            "other bytes": (video.sha256, video.size) == (expected, self.sizes[number]),
            "no thumbnail, or another": set(video.thumbnails) == {picture},
            "not one caption track": [t["sha256"] for t in video.captions] == [track],
            f"in playlists {in_lists}": in_lists == {self.lists[number]: 1},
            "another publication": (state.get("publication") or {}).get("video_id") == video.id,
            "another record": _read(folder / "publish.json").get("video_id") == video.id,
        }
        struck = self.plans[number].struck
        return [f"{what}; faults {struck}" for what, right in checks.items() if not right]


MAY_FAIL = ("youtube_unavailable", "youtube_not_ready", "worker_lost", "youtube_auth_expired")
"""What a project may fail with where one fault follows another; a user starts it again."""


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return dict(found)


# -- what was sent twice -----------------------------------------------------------------------


@dataclass(frozen=True)
class Again:
    """What a session got again: how far before the end of what had arrived the next chunk began."""

    session: str
    fault: str
    bytes: int


def resent(server: YouTube) -> list[Again]:
    """Return each step back of an upload, by what had arrived at the server.

    A session that the service gave up is another matter: nothing of it is left to go on from.
    """
    arrived: dict[str, tuple[int, str]] = {}
    found = []
    for call in sorted(server.calls, key=lambda call: call.at):
        if call.name != "videos.insert.chunk" or not call.session or not call.sent:
            continue
        end, fault = arrived.get(call.session, (0, ""))
        if call.offset < end:
            found.append(Again(call.session, fault, end - call.offset))
        arrived[call.session] = (call.offset + call.sent, call.fault)
    return found
