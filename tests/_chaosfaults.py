"""The faults: each is one act against the house, and says what it did to whom."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from _chaoshouse import LEASE, House
from _chaosparts import Process, born

WEIGHTS = {
    "child": 18,
    "worker": 14,
    "term": 10,
    "redis": 8,
    "lost": 4,
    "ffmpeg": 14,
    "all": 5,
    "stop": 9,
    "cut": 9,
    "freeze": 5,
    "full": 3,
    "readonly": 3,
}
"""Kind → how often, relative to the others."""

DEADLY = ("child", "worker", "all")
"""Kinds whose owners are dead at once: from there to work going on is the recovery."""
AIM_SECONDS = 4.0
"""How long a fault waits for its target: FFmpeg is not always at work."""


@dataclass
class Fault:
    """One fault.

    Attributes:
        kind: A key of WEIGHTS.
        at: Seconds since the chaos began.
        until: When its effect was over; `at` for a blow.
        clock: `at` on the machine's monotonic clock.
        victims: Project → the process that worked on it and was struck.
        text: What was done to whom.
        struck: False where there was nothing to strike.
    """

    kind: str
    at: float
    clock: float
    until: float = 0.0
    victims: dict[int, Process] = field(default_factory=dict)
    text: str = ""
    struck: bool = True

    def line(self) -> str:
        """Return the fault as it is printed."""
        hit = ", ".join(map(str, sorted(self.victims))) or "none"
        return f"{self.at:8.2f} s  {self.kind:<8} {self.text}; at work: {hit}"


class Faults:
    """Strikes a house, with choices from one generator."""

    def __init__(self, house: House, chance: random.Random, began: float) -> None:
        self.house = house
        self.chance = chance
        self.began = began
        self.done: list[Fault] = []
        self.armed: list[tuple[float, Fault]] = []

    def absent(self) -> dict[str, str]:
        """Return the kinds that this machine can't have, and why."""
        missing = {}
        if self.house.disk is None:
            missing["full"] = "neither a tmpfs may be mounted nor RLIMIT_FSIZE be set"
        if self.house.read_only is None:
            missing["readonly"] = "neither mounts nor chattr nor permissions bind here"
        return missing

    def strike(self, kind: str) -> Fault:
        """Commit one fault now; one at FFmpeg waits until there is one."""
        house = self.house
        house.tend()
        clock = time.monotonic()
        fault = Fault(kind, clock - self.began, clock)
        self.done.append(fault)
        getattr(self, f"_do_{kind}")(fault)
        # on a busy machine the blow itself takes its time
        fault.until = max(fault.until, time.monotonic())
        return fault

    def aim(self) -> None:
        """Let the faults that wait for an FFmpeg strike as soon as there is one."""
        media = self.house.media() if self.armed else []
        for given, fault in list(self.armed):
            clock = time.monotonic()
            if media:
                self.armed.remove((given, fault))
                self._shoot(fault, media)
            elif clock - given > AIM_SECONDS:
                self.armed.remove((given, fault))
                fault.struck, fault.text = False, "no FFmpeg came by"

    # -- the acts ------------------------------------------------------------------------------

    def _kill(self, processes: list[Process]) -> None:
        self.house.coroner.watch(pid for pid, _ in processes)
        self.house.signal(processes, signal.SIGKILL)

    def _worker(self) -> str:
        """Choose a worker: mostly one that is at work on something."""
        busy = set(self.house.at_work().values())
        names = self.house.names
        at_work = [n for n in names if busy.intersection(self.house.pool(self.house.by_name[n]))]
        pick, at = self.chance.random(), self.chance.random()
        choice = at_work if at_work and pick < 0.85 else names
        return choice[int(at * len(choice))]

    def _of(self, processes: list[Process]) -> dict[int, Process]:
        """Return the projects that these processes work on."""
        chosen = set(processes)
        return {p: owner for p, owner in self.house.at_work().items() if owner in chosen}

    def _main(self, name: str) -> list[Process]:
        worker = self.house.by_name[name]
        since = born(worker.pid)
        return [] if since is None else [(worker.pid, since)]

    def _do_child(self, fault: Fault) -> None:
        busy = sorted(set(self.house.at_work().values()))
        name = self._worker()
        idle = self.house.pool(self.house.by_name[name])
        pick = self.chance.random()
        choice = busy if busy and pick < 0.85 else idle
        if not choice:
            fault.struck, fault.text = False, "no pool child there"
            return
        victim = choice[int(self.chance.random() * len(choice))]
        fault.victims = self._of([victim])
        fault.text = f"kill -9 of pool child {victim[0]}"
        self._kill([victim])

    def _do_worker(self, fault: Fault) -> None:
        name = self._worker()
        worker = self.house.by_name[name]
        pool = self.house.pool(worker)
        self.house.coroner.watch(pid for pid, _ in pool)
        fault.victims = self._of(pool)
        fault.text = f"kill -9 of worker {name} ({worker.pid})"
        self._kill(self._main(name))

    def _do_term(self, fault: Fault) -> None:
        name = self._worker()
        worker = self.house.by_name[name]
        main, pool = self._main(name), self.house.pool(worker)
        patience = self.chance.uniform(2, 8)
        fault.victims = self._of(pool)
        fault.text = f"SIGTERM of worker {name} ({worker.pid}), SIGKILL after {patience:.1f} s"
        fault.until = fault.clock + patience
        self.house.signal(main, signal.SIGTERM)
        self.house.later(patience, lambda: self._kill(main))

    def _do_redis(self, fault: Fault) -> None:
        away = self.chance.uniform(0.1, 2)
        fault.victims = self.house.at_work()
        fault.text = f"kill -9 of Redis, away for {away:.1f} s"
        fault.until = fault.clock + away
        self.house.kill_redis(away)

    def _do_lost(self, fault: Fault) -> None:
        away = self.chance.uniform(0.1, 1)
        fault.victims = self.house.at_work()
        fault.text = f"Redis killed with all its data, away for {away:.1f} s"
        fault.until = fault.clock + away
        self.house.kill_redis(away)
        self.house.forget_redis()

    def _do_ffmpeg(self, fault: Fault) -> None:
        media = self.house.media()
        if media:
            self._shoot(fault, media)
        else:
            self.armed.append((fault.clock, fault))

    def _shoot(self, fault: Fault, media: list[Process]) -> None:
        victim = media[int(self.chance.random() * len(media))]
        clock = time.monotonic()
        fault.clock, fault.at = clock, clock - self.began
        fault.victims = self.house.at_work()
        fault.text = f"kill -9 of FFmpeg {victim[0]}"
        self._kill([victim])
        fault.until = time.monotonic()

    def _do_all(self, fault: Fault) -> None:
        away = self.chance.uniform(0.1, 1)
        fault.victims = self.house.at_work()
        fault.text = f"kill -9 of everything, Redis away for {away:.1f} s"
        self.house.kill_redis(away)
        mains = [process for name in self.house.names for process in self._main(name)]
        self._kill([*mains, *self.house.media()])
        fault.until = fault.clock + away

    def _do_stop(self, fault: Fault) -> None:
        name = self._worker()
        worker = self.house.by_name[name]
        seconds = self.chance.uniform(1.2, 2) * LEASE
        pool = self.house.pool(worker)
        whole = self.chance.random() < 0.5 or not pool
        chosen = self._main(name) + pool if whole else [pool[int(self.chance.random() * len(pool))]]
        fault.victims = self._of(chosen)
        what = f"worker {name} with its children" if whole else f"pool child {chosen[0][0]}"
        fault.text = f"SIGSTOP of {what} for {seconds:.1f} s"
        fault.until = fault.clock + seconds
        self.house.signal(chosen, signal.SIGSTOP)
        self.house.later(seconds, lambda: self.house.signal(chosen, signal.SIGCONT))

    def _do_cut(self, fault: Fault) -> None:
        fault.victims = self.house.at_work()
        fault.text = f"{self.house.cut()} connections to Redis cut"

    def _do_freeze(self, fault: Fault) -> None:
        seconds = self.chance.uniform(1, 4)
        frozen = self.house.redis_process
        fault.victims = self.house.at_work()
        fault.text = f"Redis frozen for {seconds:.1f} s"
        fault.until = fault.clock + seconds
        if frozen.poll() is None:
            frozen.send_signal(signal.SIGSTOP)
            self.house.later(seconds, lambda: frozen.send_signal(signal.SIGCONT))

    def _do_full(self, fault: Fault) -> None:
        seconds = self.chance.uniform(0.3, 1.2)
        fault.victims = self.house.at_work()
        disk = self.house.disk
        fault.struck = disk is not None and disk.fill()
        if disk is None or not fault.struck:
            fault.text = "the disk could not be filled"
            return
        fault.text = f"disk full for {seconds:.1f} s ({disk.name})"
        fault.until = fault.clock + seconds
        self.house.later(seconds, disk.relieve)

    def _do_readonly(self, fault: Fault) -> None:
        seconds = self.chance.uniform(0.3, 1.2)
        busy = sorted(self.house.at_work())
        pick = int(self.chance.random() * (len(busy) + 1))
        data, way = self.house.data, self.house.read_only
        folder = data / "projects" / str(busy[pick]) if pick < len(busy) else data / "published"
        folder.mkdir(exist_ok=True)
        fault.victims = {
            p: o for p, o in self.house.at_work().items() if p in busy[pick : pick + 1]
        }
        fault.struck = way is not None and way.set(folder)
        if way is None or not fault.struck:
            fault.text = f"{self._short(folder)} could not be made read-only"
            return
        fault.text = f"{self._short(folder)} read-only for {seconds:.1f} s ({way.name})"
        fault.until = fault.clock + seconds
        self.house.later(seconds, lambda: way.unset(folder))

    def _short(self, folder: Path) -> str:
        return str(folder.relative_to(self.house.data))
