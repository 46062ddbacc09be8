"""The chaos: a batch under a seeded schedule of faults, then what must be true of the end.

Everything is real: Redis, workers, FFmpeg, signals. `run` returns a report; nothing is asserted here.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _chaosverdict as verdict
from _chaosfaults import DEADLY, WEIGHTS, Fault, Faults
from _chaoshouse import House
from _chaosparts import Caller

STORIES = (
    ("The Blue Door", "A door stood here.", "It was blue."),
    ("Two Boats", "One boat came home.", "The other did not."),
    ("The Bell", "It rang once.", "Then it was still."),
)
STORY = "---\nlanguage: en\nmusic: none\n---\n# {}\n\n## One\n\n{}\n\n## Two\n\n{}\n"
UNITS = 14
"""Things built for one of these projects."""
IDLE = 4
"""How many times longer a fault waits while nobody works: there would be nothing to strike."""
FIRST_SECONDS = 30.0
"""How long the first fault waits for the first thing to be built, at most."""
MAY_FAIL = ("disk_full", "disk_unwritable", "worker_lost")
"""Clear failures that a user mends by starting again: the disk's, and the guard against poison."""

CALLER = """
import time
from app.errors import ReelchainError, ServiceError
tries = []
while len(tries) < 200:
    try:
        waiting = batch_processing_task.delay(BATCH) if BATCH else start(PROJECT)
    except Exception as error:  # Redis is away, or the disk full, at this very moment
        tries.append({"not sent": repr(error)[:200]})
        time.sleep(0.5)
        continue
    try:
        outcome = waiting.get(timeout=SECONDS)
        entries = outcome["projects"] if BATCH else [outcome]
        codes = {str(p["project_id"]): (p.get("error") or {}).get("code") or p["status"]
                 for p in entries if p["status"] != "completed"}
        tries.append({"status": outcome["status"], "failed": codes})
        if not codes:
            break
    except ServiceError as error:
        tries.append({"not sent": repr(error)[:200]})
    except ReelchainError as error:
        tries.append({"status": "failed", "failed": {str(PROJECT or "batch"): error.code}})
    except Exception as error:
        tries.append({"status": "failed", "failed": {str(PROJECT or "batch"): repr(error)[:200]}})
    time.sleep(1)
tell(tries)
"""


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        seed: Of every choice.
        faults: How many.
        projects: How many, those started alone included.
        kinds: Kind → weight; each comes at least once where there are enough faults.
        seconds: When to give up.
        slowest: Most seconds between two faults.
        alone: Of the projects, how many are started alone, each with a caller of its own.
        own_disk: Whether the data folder may be a small disk of its own, to be filled.
    """

    seed: int
    faults: int
    projects: int
    kinds: dict[str, int] = field(default_factory=lambda: dict(WEIGHTS))
    seconds: float = 1500
    slowest: float = 4.0
    alone: int = 2
    own_disk: bool = True

    def schedule(self) -> list[tuple[str, float, float]]:
        """Return kind, share of the usual gap and longest wait of each fault, in order."""
        chance = random.Random(self.seed)  # noqa: S311 - a schedule, not a secret
        chosen = [*self.kinds][: self.faults]
        more = self.faults - len(chosen)
        chosen += chance.choices([*self.kinds], [*self.kinds.values()], k=more)
        chance.shuffle(chosen)
        return [
            (kind, chance.uniform(0, 2), chance.uniform(0.2, 1) * self.slowest) for kind in chosen
        ]


@dataclass
class Report:
    """What came of it.

    Attributes:
        problems: Sentences, one for each thing that is not as it must be.
        facts: Figures, for a table.
    """

    plan: Plan
    faults: list[Fault] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return the seed, every fault and every problem: enough to do it again."""
        head = (
            f"chaos seed {self.plan.seed}, {self.plan.faults} faults, {self.plan.projects} projects"
        )
        lines = [fault.line() for fault in self.faults]
        return "\n".join([head, *lines, f"{self.facts}", *(f"! {p}" for p in self.problems)])


def run(folder: Path, plan: Plan, say: Callable[[str], object] = lambda _line: None) -> Report:
    """Make the projects of a plan under its faults and check the end."""
    house = House(folder, seal=plan.own_disk)
    try:
        return _Chaos(house, plan, say).run()
    finally:
        house.close()


class _Chaos:
    """One run of the chaos over a house."""

    def __init__(self, house: House, plan: Plan, say: Callable[[str], object]) -> None:
        self.house = house
        self.plan = plan
        self.say = say
        self.report = Report(plan)
        self.references: list[int] = []
        self.projects: list[int] = []
        self.batch = 0
        self.units: set[tuple[int, str]] = set()
        self.began = time.monotonic()

    def run(self) -> Report:
        self.house.settle(lambda: all(map(self.house.ready, self.house.names)), 90, "workers ready")
        self._undisturbed()
        self._create()
        self.began = time.monotonic()
        chance = random.Random(self.plan.seed + 1)  # noqa: S311 - a schedule, not a secret
        self.faults = Faults(self.house, chance, self.began)
        self.report.faults = self.faults.done
        self.say(
            f"seed {self.plan.seed}: {self.plan.faults} faults over {self.plan.projects} projects"
        )
        for kind, why in self.faults.absent().items():
            self.say(f"not to be had on this machine: {kind} ({why})")
        callers = self._callers()
        schedule = [s for s in self.plan.schedule() if s[0] not in self.faults.absent()]
        finished = self._play(schedule, callers)
        took = time.monotonic() - self.began
        self._calm()
        self._judge(callers, finished=finished, took=took)
        return self.report

    def _story(self, number: int) -> str:
        return STORY.format(*STORIES[number % len(STORIES)])

    def _undisturbed(self) -> None:
        code = f"a = [create_project({{'text': t}}).id for t in {[self._story(n) for n in range(3)]!r}]\n"
        made = self.house.call(
            f"{code}r = [start(i) for i in a]\nfor x in r: x.get(timeout=120)\ntell(a)"
        )
        self.references = made
        self.house.tend()

    def _create(self) -> None:
        entries = [{"text": self._story(n)} for n in range(self.plan.projects)]
        alone = self.plan.alone
        made = self.house.call(
            f"""
            entries = {entries!r}
            b = create_batch(entries[{alone}:], title="Chaos")
            alone = [create_project(e).id for e in entries[:{alone}]]
            tell([b.batch_id, alone, list(b.projects)])
            """,
            seconds=300,
        )
        self.batch, self.alone, inside = made
        self.projects = [*self.alone, *inside]

    def _callers(self) -> dict[str, Caller]:
        def caller(batch: int, project: int) -> Caller:
            facts = f"BATCH, PROJECT, SECONDS = {batch}, {project}, {self.plan.seconds}\n"
            return self.house.caller(facts + CALLER)

        alone = {f"project {number}": caller(0, number) for number in self.alone}
        return {"batch": caller(self.batch, 0), **alone}

    # -- the faults ----------------------------------------------------------------------------

    def _play(self, schedule: list[tuple[str, float, float]], callers: dict[str, Caller]) -> bool:
        """Strike by the schedule until all is made; True if all callers were answered in time."""
        left, since, told = list(schedule), time.monotonic(), 0
        goal = 1.0
        while time.monotonic() - self.began < self.plan.seconds:
            self._listen()
            self.faults.aim()
            moment = time.monotonic()
            if left and self._is_due(moment - since, goal, left[0][2]):
                kind = left.pop(0)[0]
                self.faults.strike(kind)
                since = moment
                if left:
                    goal = len(self.units) + left[0][1] * self._gap(len(left))
            while told < len(self.faults.done) and self.faults.done[told].text:
                self.say(self.faults.done[told].line())
                told += 1
            if all(caller.answered() for caller in callers.values()):
                return True
            time.sleep(0.01)
        return False

    def _is_due(self, waited: float, goal: float, longest: float) -> bool:
        """Tell whether to strike: enough was built, or time is up; sooner where there is work."""
        patience = longest if self.house.at_work() else IDLE * longest
        if not self.units:  # the callers are still starting
            patience = max(patience, FIRST_SECONDS)
        return len(self.units) >= goal or waited >= patience

    def _gap(self, faults: int) -> float:
        """Return how many units to let be built before the next fault, so that the work lasts."""
        everything = UNITS * len(self.projects)
        return max(0.0, everything * 0.9 - len(self.units)) / faults

    def _listen(self) -> None:
        for event in self.house.tend():
            if event["ev"] == "unit-end" and event["well"] and event["project"] in self.projects:
                self.units.add((event["project"], event["unit"]))

    def _calm(self) -> None:
        """Let what is still due happen, and give the house the time to put things away.

        A message that a killed worker had taken and not begun comes back after the visibility
        timeout only, when all is long done; nobody waits for it but this.
        """
        begun, patience = time.monotonic(), 20.0
        while time.monotonic() < begun + patience:
            self._listen()
            left = verdict.left_behind(self.house)
            calm = not left and not self.house.at_work()
            if calm and time.monotonic() > max((f.until for f in self.faults.done), default=0):
                return
            taken = bool(left) and all("unacked" in text for text in left)
            patience = verdict.VISIBILITY + 20 if taken else 20
            time.sleep(0.2)

    # -- the end -------------------------------------------------------------------------------

    def _judge(self, callers: dict[str, Caller], *, finished: bool, took: float) -> None:
        report, house = self.report, self.house
        self._listen()
        house.coroner.watch(house.pids())
        story = verdict.Story(house.witness.events, house.coroner.death)
        right = verdict.right(house, self.projects, self.references)
        answers = {name: c.answer() if c.answered() else "no answer" for name, c in callers.items()}
        struck = [fault for fault in self.faults.done if fault.struck]
        remade, unexplained = story.remade(struck, self.projects)
        again = verdict.started_again(answers)
        problems = [
            *([] if finished else [f"not all were made within {self.plan.seconds:g} s"]),
            *verdict.answers(answers, MAY_FAIL),
            *(f"project {p}: {why}" for p, why in right.items() if why),
            *(f"both at once: {text}" for text in story.overlaps()),
            *(f"published twice: project {p}" for p in story.published_twice()),
            *(f"the run fell: {text}" for text in story.fallen_runs()),
            *(f"remade without a fault: {text}" for text in unexplained),
            *(f"left behind: {text}" for text in verdict.left_behind(house)),
        ]
        hits = sum(max(1, len(fault.victims)) for fault in struck)
        if len(remade) > hits:
            problems.append(f"{len(remade)} units remade for {hits} hits of {len(struck)} faults")
        recovery = story.recovery(struck, DEADLY)
        report.problems = problems
        report.facts = {
            "seed": self.plan.seed,
            "faults": len(struck),
            "by kind": dict(Counter(fault.kind for fault in struck)),
            "nothing to strike": dict(Counter(f.kind for f in self.faults.done if not f.struck)),
            "not to be had": self.faults.absent(),
            "projects": len(self.projects),
            "right": sum(not why for why in right.values()),
            "lost": sum(bool(why) for why in right.values()),
            "published twice": len(story.published_twice()),
            "overlaps": len(story.overlaps()),
            "remade": len(remade),
            "hits": hits,
            "remade per fault": round(len(remade) / max(len(struck), 1), 3),
            "started again": again,
            "recovery": _spread([r.seconds for r in recovery if r.alone]),
            "recovery under further faults": _spread([r.seconds for r in recovery if not r.alone]),
            "worker exits": dict(Counter(str(code) for _, _, code in house.exits)),
            "seconds": round(took, 1),
        }


def _spread(seconds: list[float]) -> dict[str, float | int]:
    """Return count, median and maximum."""
    if not seconds:
        return {"count": 0}
    middle, most = statistics.median(seconds), max(seconds)
    return {"count": len(seconds), "median": round(middle, 2), "max": round(most, 2)}
