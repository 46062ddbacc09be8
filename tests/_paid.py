"""A house that asks paid services on our own servers: what each project asked, and what it paid.

with Gemini(delay=0.1) as server, house(folder, server) as made:
    made.start_worker(app="_paid_app")
    kills = Kills(made, seed=1, count=6)
    kills.run(60)
    assert not kills.problems()
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import _gemini_answers
from _gemini import Call, Gemini, environment
from _redis import until
from _workers import Bench
from app import prices
from app.spending import Usage

SCALED = "retries after 0.1, 0.25, 0.5 s (2, 5, 10); a dead child's turns end after 2 s (30)"
"""What `_paid_app` and `SETTINGS` cut short."""
SETTINGS = {
    "WATCHDOG_SECONDS": "0.5",
    "DRAIN_SECONDS": "2",
    "PAID_LEASE": "2",
    "SCRIPT_PROVIDER": "gemini",
    "IMAGE_PROVIDER": "gemini",
    "SPEECH_PROVIDER": "gemini",
    "GEMINI_TIMEOUT": "60",
    "GEMINI_AT_ONCE": "2",
    "ALIGN": "off",
}
ENDED = ("completed", "failed", "cancelled")
WANTS = ("text", "picture", "speech")
LENGTH = 32.0
"""Seconds of a film for which the writer makes four scenes."""


class House(Bench):
    """Redis and workers, and the Gemini they ask.

    Args:
        folder: For everything.
        server: Whom they ask.
        settings: Environment of workers and client, on top of `SETTINGS`.
    """

    def __init__(self, folder: Path, server: Gemini, **settings: str) -> None:
        super().__init__(folder, **{**SETTINGS, **environment(server), **settings})
        self.server = server
        server.answers = written
        self.at_once = int(self.environment["GEMINI_AT_ONCE"])
        self._made = 0
        self.codes: dict[int, int] = {}

    def create(self, count: int, **spec: Any) -> list[int]:
        """Make projects, each with a word of its own in all that it asks; return their numbers."""
        codes = list(range(self._made, self._made + count))
        self._made += count
        specs = [{"topic": f"{word(c)} rivers", "length": LENGTH, **spec} for c in codes]
        numbers = self.make(specs)
        self.codes |= dict(zip(numbers, codes, strict=True))
        return numbers

    def ended(self, numbers: list[int], seconds: float) -> dict[int, str]:
        """Wait until all have ended; return how."""

        def states() -> dict[int, str]:
            return {n: self.state(n)["status"] for n in numbers}

        until(lambda: set(states().values()) <= set(ENDED), seconds, f"projects {numbers} ended")
        return states()

    def finish(self, numbers: list[int], seconds: float, **how: Any) -> None:
        """Start projects and wait until all are completed."""
        self.start(numbers, **how)
        found = self.ended(numbers, seconds)
        failed = {n: self.error(n) for n, status in found.items() if status != "completed"}
        assert not failed, failed

    def error(self, number: int) -> dict[str, Any]:
        """Return what a project failed with; empty where it did not."""
        stages = self.state(number)["stages"].values()
        return next((dict(part["error"]) for part in stages if part.get("error")), {})

    def warnings(self, number: int) -> list[str]:
        """Return what its stages warned of."""
        stages = self.state(number)["stages"].values()
        return [line for part in stages for line in part.get("warnings", ())]

    def calls(self, number: int) -> list[Call]:
        """Return what a project asked, in order."""
        code = self.codes[number]
        return [call for call in list(self.server.calls) if code_in(call.prompt) == code]

    def spent(self, number: int) -> Decimal:
        """Return what its answers cost, by what the server says of them."""
        paid = [call for call in self.calls(number) if call.paid]
        return sum((cost(call) for call in paid), Decimal(0))

    def booked(self, number: int) -> tuple[int, Decimal]:
        """Return the calls in its book, and what they cost."""
        rows = self.state(number).get("spend", {}).values()
        return sum(row["calls"] for row in rows), sum((Decimal(r["usd"]) for r in rows), Decimal(0))

    def kill_owner(self, number: int) -> bool:
        """Kill the pool's child at work on a project; False if there is none."""
        note = self.project(number).owner()
        if note is None or note.purpose != "work" or not note.alive:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(note.pid, signal.SIGKILL)
            return True
        return False


@contextlib.contextmanager
def house(folder: Path, server: Gemini, **settings: str) -> Iterator[House]:
    """Yield a house; when it is left, all its processes have ended."""
    made = House(folder, server, **settings)
    try:
        yield made
    finally:
        made.close()


def cost(call: Call) -> Decimal:
    """Return what an answer costs."""
    told = Usage(
        service="gemini",
        model=call.model,
        input_tokens=call.paid["promptTokenCount"],
        output_tokens=call.paid["totalTokenCount"] - call.paid["promptTokenCount"],
        pictures=1 if call.want == "picture" and call.status == 200 else 0,
    )
    found = prices.price(told)
    assert found is not None, call.model
    return found


# -- words of a project's own ------------------------------------------------------------------

_CONSONANTS, _VOWELS = "bdfgklmnprst", "aeiou"
_EACH = len(_CONSONANTS) * len(_VOWELS)
_CODE = re.compile(rf"\bzal((?:[{_CONSONANTS}][{_VOWELS}]){{2}})\b", re.IGNORECASE)


def word(number: int, stem: str = "Zal") -> str:
    """Return a word that can be said and stands for a number."""
    return stem + "".join(_syllable(part) for part in divmod(number, _EACH))


def _syllable(number: int) -> str:
    consonant, vowel = divmod(number, len(_VOWELS))
    return _CONSONANTS[consonant] + _VOWELS[vowel]


def code_in(text: str) -> int | None:
    """Return the number that the first such word in a text stands for."""
    found = _CODE.search(text)
    if found is None:
        return None
    letters = found[1].lower()
    parts = [
        _CONSONANTS.index(letters[at]) * len(_VOWELS) + _VOWELS.index(letters[at + 1])
        for at in (0, 2)
    ]
    return parts[0] * _EACH + parts[1]


def written(prompt: str, body: dict[str, Any]) -> str:
    """Return a script of which no sentence and no picture is asked for twice, in any project."""
    config = body["generationConfig"]
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    if schema is None:
        return _gemini_answers.written(schema, prompt)
    made = json.loads(_gemini_answers.written(schema, prompt))
    code = word(code_in(prompt) or 0)
    made["title"] = f"{code} and its rivers"
    sentences = 0
    for number, scene in enumerate(made["scenes"]):
        told = []
        for sentence in re.split(r"(?<=\.) ", scene["narration"]):
            words = sentence.split()
            # in the place of two of its words: the length stays what was asked for
            told.append(" ".join((code, word(sentences, "mor"), *words[2:])))
            sentences += 1
        scene["narration"] = " ".join(told)
        if "picture" in scene:
            scene["picture"] = f"{code} {word(number, 'mor')}: a quiet river between stones"
    return json.dumps(made)


# -- kills -------------------------------------------------------------------------------------

GRACE = 5.0
"""Seconds after an answer in which it may not be kept yet: it has to be read, cut, written, recorded,
each of which takes its time where many do it at once and the machine is busy."""
BACKLOG = 1.0
"""Seconds by which the call of a dead child may come late: the busy machine has it, the server not."""
KINDS = ("arrived", "worked", "answered", "later")
"""When a child dies: as its call comes, while it is worked at, within 50 ms of the answer, within 0.6 s."""
CALLS = 13
"""About as many as a project makes: a script, two sentences and a picture for each of four scenes."""
MOST_BY_HAND = 3


@dataclass(frozen=True)
class Death:
    """A kill: of which project, when, how."""

    number: int
    at: float
    kind: str


@dataclass
class Plan:
    """The calls of a project after whose arrival its child dies, and how."""

    at: dict[int, str]
    asked: int = 0


@dataclass(frozen=True)
class Again:
    """A prompt that was paid for and asked once more.

    Attributes:
        first: The answer that was lost.
        death: The kill that it was in flight at; None if there was none.
    """

    number: int
    first: Call
    death: Death | None

    @property
    def age(self) -> float:
        """Return the seconds from the answer to the kill."""
        return max(0.0, self.death.at - self.first.ended) if self.death else 0.0


class Kills:
    """Projects that are made while the children that make them are killed.

    Args:
        made: The house; its workers are at work.
        seed: Of where and how they die.
        count: How many projects.
        deaths: How many of each.
    """

    def __init__(self, made: House, *, seed: int, count: int, deaths: int = 2) -> None:
        self.house, self.server = made, made.server
        self.random = random.Random(seed)  # noqa: S311 - deaths are to come again
        self.numbers = made.create(count)
        self.deaths: list[Death] = []
        self.missed = 0
        self.by_hand: Counter[str] = Counter()
        self.stopped: list[str] = []
        self._failures: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._by_code = {code: number for number, code in made.codes.items()}
        self._plans = {number: self._planned(deaths) for number in self.numbers}
        self._killers: list[threading.Thread] = []
        self.server.fault = self._fault

    def _planned(self, deaths: int) -> Plan:
        where = self.random.sample(range(CALLS), deaths)
        if self.random.random() < 0.3:
            where[0] = 0  # the script is but one call of many
        return Plan({at: self.random.choice(KINDS) for at in where})

    def _fault(self, point: str, facts: dict[str, Any]) -> str | None:
        code = code_in(facts["prompt"])
        number = self._by_code.get(-1 if code is None else code)
        if number is None:
            return None
        with self._lock:
            plan = self._plans[number]
            kind = plan.at.get(plan.asked)
            plan.asked += 1
            wait = self.random.random()
        if kind == "arrived":
            self._kill(number, kind)
        elif kind:
            (call, *_) = [
                c
                for c in reversed(self.server.calls)
                if (c.want, c.prompt) == (point, facts["prompt"])
            ]
            killer = threading.Thread(target=self._kill_later, args=(number, kind, call, wait))
            self._killers.append(killer)
            killer.start()
        return None

    def _kill_later(self, number: int, kind: str, call: Call, wait: float) -> None:
        if kind != "worked":
            with contextlib.suppress(AssertionError):
                until(lambda: call.ended, 30, "the call ended")
        time.sleep(wait * {"worked": self.server.delay, "answered": 0.05, "later": 0.6}[kind])
        self._kill(number, kind)

    def _kill(self, number: int, kind: str) -> None:
        if not self.house.kill_owner(number):
            self.missed += 1
            return
        self.deaths.append(Death(number, time.monotonic(), kind))

    def run(self, seconds: float, say: Callable[[str], None] = lambda _: None) -> None:
        """Start all and wait until each is completed; start anew by hand what has failed."""
        self.house.start(self.numbers)
        began, left, told = time.monotonic(), set(self.numbers), 0
        while left and time.monotonic() - began < seconds:
            left -= self._look(left)
            done = len(self.numbers) - len(left)
            if done >= told + 10:
                told = done
                say(f"{done} of {len(self.numbers)} made, {time.monotonic() - began:.0f} s")
            time.sleep(0.1)
        self.server.fault = None
        for killer in self._killers:
            killer.join(30)
        self.stopped = [f"project {n}: {self.house.state(n)['status']}" for n in sorted(left)]

    def _look(self, left: set[int]) -> set[int]:
        done, failed = set(), []
        for number in left:
            status = self.house.state(number)["status"]
            if status == "completed" or self._failures[number] > MOST_BY_HAND:
                done.add(number)
            elif status in ENDED:
                self._failures[number] += 1
                self.by_hand[self.house.error(number).get("code", status)] += 1
                failed.append(number)
        if failed:
            self.house.start(failed)
        return done

    # -- what came of it -------------------------------------------------------------------------

    def paid(self) -> dict[tuple[int, str, str], list[Call]]:
        """Return the paid answers to each prompt: of a project, its kind, its text."""
        answers: dict[tuple[int, str, str], list[Call]] = defaultdict(list)
        for number in self.numbers:
            for call in self.house.calls(number):
                if call.status == 200:
                    answers[number, call.want, f"{call.system}\n{call.prompt}"].append(call)
        return answers

    def again(self) -> list[Again]:
        """Return each answer that was paid for and asked for once more."""
        found = []
        for (number, _, _), calls in self.paid().items():
            for first, second in itertools.pairwise(calls):
                between = [
                    death
                    for death in self.deaths
                    if death.number == number
                    and first.at - BACKLOG <= death.at <= second.at
                    and first.ended >= death.at - GRACE
                ]
                found.append(Again(number, first, between[0] if between else None))
        return found

    def doubled(self) -> list[Again]:
        """Return those of them that were not in flight: too old, or more than there can be."""
        every = self.again()
        found = [one for one in every if one.death is None]
        for death, want in itertools.product(self.deaths, WANTS):
            flying = [one for one in every if one.death is death and one.first.want == want]
            found += sorted(flying, key=lambda one: one.age)[self.house.at_once :]
        return found

    def problems(self) -> list[str]:
        """Return all that is not as it must be."""
        wrong = [*self.stopped, *(f"violation: {v}" for v in self.server.violations)]
        for number in self.numbers:
            state = self.house.state(number)
            if state["status"] != "completed":
                wrong.append(f"project {number}: {state['status']}, {self.house.error(number)}")
            wrong += [f"project {number}: {line}" for line in self.house.warnings(number)]
        return wrong + [self._told(one) for one in self.doubled()]

    def _told(self, one: Again) -> str:
        deaths = [round(d.at - one.first.ended, 2) for d in self.deaths if d.number == one.number]
        return (
            f"project {one.number} paid twice for {one.first.want} {one.first.prompt[:60]!r}; "
            f"its kills came so many s after the answer: {sorted(deaths)}"
        )

    def unbooked(self) -> int:
        """Return how many paid answers are in no book: those whose asker died before it wrote it."""
        asked = sum(c.status == 200 for n in self.numbers for c in self.house.calls(n))
        return asked - sum(self.house.booked(number)[0] for number in self.numbers)


# -- refusals ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Refused:
    """A refusal that comes again for the same prompt, of whom it is asked, and our code for it."""

    want: str
    fault: str
    code: str


REFUSED = (
    *(
        Refused(want, fault, code)
        for want in WANTS
        for fault, code in (
            ("400", "gemini_refused"),
            ("401", "gemini_key_refused"),
            ("403", "gemini_key_refused"),
            ("404", "gemini_model_gone"),
            ("block:SAFETY", "gemini_blocked"),
            ("finish:SAFETY", "gemini_blocked"),
        )
    ),
    Refused("picture", "finish:IMAGE_SAFETY", "gemini_blocked"),
    Refused("picture", "finish:NO_IMAGE", "gemini_blocked"),
    Refused("text", "block:PROHIBITED_CONTENT", "gemini_blocked"),
    Refused("text", "finish:RECITATION", "gemini_blocked"),
)
STANDS_IN = {"text": "template", "picture": "card", "speech": "hibari"}
"""Who is named in the warning where Gemini could not."""
CHAINS = {
    "SCRIPT_PROVIDER": "gemini,template",
    "IMAGE_PROVIDER": "gemini,cards",
    "SPEECH_PROVIDER": "gemini,hibari",
}


@dataclass
class Outcome:
    """What became of one project whose calls of one kind are refused."""

    case: Refused
    number: int
    status: str = ""
    tries: int = 0
    error: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def refuse(made: House, cases: tuple[Refused, ...], seconds: float, **spec: Any) -> list[Outcome]:
    """Let a project meet each case, all at once, and return what became of them."""
    numbers = made.create(len(cases), **spec)
    by_code = {made.codes[n]: case for n, case in zip(numbers, cases, strict=True)}

    def fault(point: str, facts: dict[str, Any]) -> str | None:
        code = code_in(facts["prompt"])
        case = by_code.get(-1 if code is None else code)
        return case.fault if case and case.want == point else None

    made.server.fault = fault
    made.start(numbers)
    states = made.ended(numbers, seconds)
    made.server.fault = None
    told = []
    for number, case in zip(numbers, cases, strict=True):
        tries = Counter(c.prompt for c in made.calls(number) if c.want == case.want)
        told.append(
            Outcome(
                case,
                number,
                states[number],
                max(tries.values(), default=0),
                made.error(number),
                made.warnings(number),
            )
        )
    return told


def failed_wrong(one: Outcome) -> list[str]:
    """Return what is not right with a project that had to fail."""
    checks = {
        f"it is {one.status}": one.status == "failed",
        f"{one.tries} tries of one prompt": one.tries == 1,
        f"code {one.error.get('code')}": one.error.get("code") == one.case.code,
        "no reason": bool(one.error.get("message")),
        "no hint": bool(one.error.get("hint")),
    }
    return [f"{one.case}: {what}" for what, right in checks.items() if not right]


def fell_back_wrong(one: Outcome) -> list[str]:
    """Return what is not right with a project for which another provider had to stand in."""
    named = [w for w in one.warnings if STANDS_IN[one.case.want] in w]
    checks = {
        f"it is {one.status}: {one.error}": one.status == "completed",
        f"{one.tries} tries of one prompt": one.tries == 1,
        f"no warning names it: {one.warnings}": bool(named),
    }
    return [f"{one.case}: {what}" for what, right in checks.items() if not right]
