"""What is measured of publishing, apart from mixes of faults: a day's quota, refusals, memory."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from _publish import MEBIBYTE, House
from _publish_films import set_clock, topic
from _redis import until
from _youtube import Call
from app import ledger, patience

PLAYLIST = "Films of the day"
SMALL = 200_000
SPREAD_SECONDS = round(ledger.MARGIN + ledger.SPREAD) + 2
"""Within which those who waited for midnight go on; our reading of the times is that exact."""

# -- a day's quota -----------------------------------------------------------------------------


@dataclass
class Day:
    """How a day went whose quota was not enough, and the next one.

    Attributes:
        before: Projects by status when the day's quota was used up.
        waits: For each waiting project the ledger's moment at which it goes on, after midnight, in s.
        refused: Calls that the service refused for its quota, over both days.
        idle: Whether no worker was at anything while they waited.
        booked: Bucket → units that the ledger had booked of the day, and the service charged.
        after: Projects by status at the end.
        doubled: Projects that have not exactly one video at the end.
        seconds: From the midnight on.
    """

    before: dict[str, int] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    refused: int = 0
    idle: bool = False
    booked: dict[str, tuple[int, int]] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    doubled: int = 0
    seconds: float = 0.0


def day(made: House, count: int, *, fit: int, ahead: float, seconds: float) -> Day:
    """Let projects be published on a day with quota for some; then let midnight pass.

    Args:
        made: The house; its workers are at work, the clock is the machine's.
        count: How many projects.
        fit: How many of them the day's quota does for.
        ahead: Seconds before midnight Pacific at which the ledger's clock stands still.
        seconds: The most that each half may take.
    """
    told = Day()
    midnight = patience.next_quota_day(datetime.now(UTC))
    moment = midnight - timedelta(seconds=ahead)
    set_clock(made.clock, moment)
    numbers = made.make([{"topic": topic(SMALL), "playlist": PLAYLIST}] * count)
    made.start(numbers)
    with contextlib.suppress(AssertionError):  # what is there instead is told
        until(lambda: _full(made, numbers, fit), seconds, "the day is full")
    told.before = _counts(made, numbers)
    told.idle = _idle(made)
    told.waits = [_wait(made, n, moment, midnight) for n in numbers if _waits(made, n)]
    told.booked = _booked(made)
    began = time.monotonic()
    made.server.reset_quota()
    set_clock(made.clock, midnight + timedelta(seconds=1))
    with contextlib.suppress(AssertionError):
        made.finished(numbers, seconds)
    told.seconds = time.monotonic() - began
    told.after = _counts(made, numbers)
    told.refused = sum(call.status in (403, 429) for call in made.server.calls)
    told.doubled = sum(len(made.videos(number)) != 1 for number in numbers)
    return told


def _counts(made: House, numbers: list[int]) -> dict[str, int]:
    return dict(Counter(made.state(number)["status"] for number in numbers))


def _full(made: House, numbers: list[int], fit: int) -> bool:
    made.tend()
    return _counts(made, numbers) == {"completed": fit, "waiting": len(numbers) - fit}


def _waits(made: House, number: int) -> bool:
    return bool(made.state(number)["status"] == "waiting")


def _wait(made: House, number: int, moment: datetime, midnight: datetime) -> float:
    """Return how long after the ledger's midnight a project goes on."""
    lines = (made.data / f"projects/{number}/events.jsonl").read_text().splitlines()
    last = [line for line in map(json.loads, lines) if line["code"] == "waiting"][-1]
    since = datetime.fromisoformat(last["time"]).timestamp()
    return float((moment - midnight).total_seconds() + last["due"] - since)


def _idle(made: House) -> bool:
    """Tell whether each worker says that it is at nothing."""

    def idle() -> bool:
        told = made.call("tell(celery_app.control.inspect(timeout=1).active())")
        return bool(told) and not any(told.values())

    with contextlib.suppress(AssertionError):
        until(idle, 15, "idle workers")
        return True
    return False


def _booked(made: House) -> dict[str, tuple[int, int]]:
    rows = made.call(
        "from app import ledger\ntell(ledger.standing(ledger.tariffs()[0])['buckets'])"
    )
    return {row["bucket"]: (row["spent"], made.server.spent[row["bucket"]]) for row in rows}


# -- refusals that nobody gets over --------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A refusal, and what must become of it.

    Attributes:
        point: The call that is refused, as often as it is made.
        answer: HTTP status and reason.
        code: Code of the error that the project fails with.
        calls: Calls that get the answer: two where a token is renewed once.
    """

    point: str
    answer: str
    code: str
    calls: int = 1


_START, _LAST = "videos.insert", "videos.insert.last"
_INVALID = [
    "invalidTitle",
    "invalidDescription",
    "invalidTags",
    "invalidCategoryId",
    "invalidPublishAt",
    "invalidVideoMetadata",
    "invalidFilename",
    "defaultLanguageNotSet",
    "mediaBodyRequired",
    "badRequest",
]
_CLOSED = ["NotChannel", "AccountClosed", "AccountSuspended"]
CASES = (
    *(Case(_START, f"400:{reason}", "youtube_invalid") for reason in _INVALID),
    Case(_LAST, "400:invalidVideoMetadata", "youtube_invalid"),
    Case("thumbnails.set", "400:mediaBodyRequired", "youtube_invalid"),
    Case("captions.insert", "400:badRequest", "youtube_invalid"),
    Case(_START, "403:forbidden", "youtube_forbidden"),
    Case("thumbnails.set", "403:forbidden", "youtube_forbidden"),
    Case("playlistItems.insert", "403:forbidden", "youtube_forbidden"),
    Case(_START, "403:forbiddenPrivacySetting", "youtube_forbidden"),
    Case(_START, "403:forbiddenLicenseSetting", "youtube_forbidden"),
    Case(_START, "413:uploadTooLarge", "youtube_too_large"),
    Case(_START, "401:authError", "youtube_auth_expired", calls=2),
    Case(_START, "401:expired", "youtube_auth_expired", calls=2),
    Case("token", "400:invalid_grant", "youtube_auth_expired"),
    Case(_START, "401:youtubeSignupRequired", "youtube_no_channel"),
    Case(_START, "403:insufficientPermissions", "youtube_scope"),
    Case("captions.insert", "403:insufficientPermissions", "youtube_scope"),
    *(Case(_START, f"403:authenticatedUser{who}", "youtube_channel_closed") for who in _CLOSED),
)
"""Every row of the service's errors that a person has to see to, or the input."""


@dataclass
class Refused:
    """What became of a project after a refusal.

    Attributes:
        seconds: From the refusal to the failed state.
        calls: Calls that got the refusal.
        after: Calls after the last of them.
        problems: What is not as it must be.
    """

    case: Case
    seconds: float
    calls: int
    after: list[str]
    problems: list[str]


def refusals(made: House, cases: tuple[Case, ...] = CASES) -> Iterator[Refused]:
    """Refuse a call of one project after the other; tell what became of each."""
    numbers = made.make([{"topic": topic(SMALL), "playlist": PLAYLIST}] * len(cases))
    for number, case in zip(numbers, cases, strict=True):
        yield _refused(made, number, case)


def _refused(made: House, number: int, case: Case) -> Refused:
    server = made.server
    first = len(server.calls)
    if case.point == "token":
        server.accounts.expire()
    server.fault = lambda point, facts: f"refuse:{case.answer}" if point == case.point else None
    made.start([number])
    with contextlib.suppress(AssertionError):  # then it has no error, which is told
        until(lambda: made.state(number)["status"] in ("failed", "completed"), 60, str(case))
    failed = time.time()
    # long enough for a try that the watchdog, or a retry, would make
    time.sleep(1.2)
    server.fault = None
    calls = server.calls[first:]
    reason = case.answer.partition(":")[2]
    # a call whose token had just ended is told so first, and is no refusal of ours
    struck = [at for at, call in enumerate(calls) if call.fault and call.reason == reason]
    last = calls[struck[-1]] if struck else Call(0.0, "none")
    after = [call.name for call in calls[struck[-1] + 1 :]] if struck else []
    told = Refused(case, failed - last.at, len(struck), after, [])
    error = made.error(number)
    checks = {
        f"{len(struck)} calls got it": len(struck) == case.calls,
        f"calls after it: {after}": not after,
        f"failed after {told.seconds:.2f} s": 0 <= told.seconds <= 1,
        f"code {error.get('code')}": error.get("code") == case.code,
        f"no hint in {error}": bool(error.get("hint")),
        f"no reason in {error.get('message')!r}": reason in str(error.get("message")),
    }
    told.problems = [f"{case.point} {case.answer}: {w}" for w, right in checks.items() if not right]
    return told


# -- memory --------------------------------------------------------------------------------------


@dataclass
class Large:
    """How the upload of a large file went.

    Attributes:
        peak: Most memory that the child at work had resident, in MiB.
        seconds: Of the upload alone, from its session to its last byte.
        whole: Of the publish stage.
    """

    peak: float
    seconds: float
    whole: float
    right: bool


def large(made: House, size: int, *, seconds: float) -> Large:
    """Publish a file that takes no room on the disk; watch the memory of the child at it."""
    (number,) = made.make([{"topic": topic(size, sparse=True)}])
    made.start([number])
    peaks: dict[int, float] = {}

    def done() -> bool:
        note = made.project(number).owner()
        if note is not None and note.purpose == "work" and note.stage == "youtube_upload":
            with contextlib.suppress(OSError):
                peaks[note.pid] = _peak(note.pid)
        return made.state(number)["status"] in ("completed", "failed")

    with contextlib.suppress(AssertionError):  # then it is not there, which is told
        until(done, seconds, "the large file published")
    calls = [c for c in made.server.calls if c.name.startswith("videos.insert")]
    took = calls[-1].at - calls[0].at if calls else 0.0
    videos = made.videos(number)
    right = len(videos) == 1 and videos[0].size == size
    whole = made.state(number)["stages"].get("youtube_upload", {}).get("seconds") or 0.0
    return Large(max(peaks.values(), default=0.0), took, whole, right)


def _peak(pid: int) -> float:
    """Return the most memory a process ever had resident, in MiB (VmHWM, proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / MEBIBYTE
    return 0.0
