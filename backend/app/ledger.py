"""The quota ledger: every call is booked before it is made, every video's whole cost reserved before.

Truth is in the projects' folders: each booking is a line of `events.jsonl`, and a database that is new,
or was away, takes over what it lacks from there. A fault of the database is logged and lets the work go
on. Days are Pacific ones, whichever service it is.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from app import logs, patience, providers, records, settings
from app.errors import InputError, NotFoundError, QuotaError, ReelchainError, ServiceError
from app.project import Project, active, ids
from app.providers import Tariff
from app.records import Books, Closing, Entry, Recalled

log = logging.getLogger(__name__)
T = TypeVar("T")

SPREAD = 60
"""Seconds over which the projects that wait for one moment come back, each at its own."""
MARGIN = 5.0
"""Seconds after such a moment that the first comes back: the service's clock may be behind."""
CLOCKS_APART = timedelta(minutes=10)
"""Into a day, for which a refusal may still be the last day's."""
AGAIN = timedelta(seconds=30)
"""Until a project looks again that has no room only for what others have reserved."""
EARLIER = timedelta(minutes=5)
"""A file changed this long before the day began is read all the same: clocks differ."""


def _utc() -> datetime:
    return datetime.now(UTC)


clock: Callable[[], datetime] = _utc
"""The time, aware, in UTC. Everything here asks it."""


def _now() -> datetime:
    return clock()


def tariffs() -> list[Tariff]:
    """Return what the calls of the configured publisher cost; nothing where there is no quota."""
    tariff = providers.publisher(settings.get().publisher).tariff()
    return [] if tariff is None else [tariff]


# -- while a video is published -----------------------------------------------------------------


def book(tariff: Tariff, call: str, project: Project | None = None) -> None:
    """Book a call, before it is made; its units come off what the project has reserved.

    A fault of the database is logged: the line in the project's history stands for the row.
    """
    bucket, units = tariff.costs[call]
    number = None if project is None else project.id
    day = _day(_now())
    entry = Entry(uuid4().hex, day, tariff.service, tariff.key, bucket, units, call, number)
    if project is not None:
        project.log(
            "quota",
            service=tariff.service,
            bucket=bucket,
            units=units,
            call=call,
            key=tariff.key,
            day=day,
            entry=entry.entry,
        )

    def work(books: Books) -> None:
        _recall(books, day)
        books.book(entry)

    _unless_broken(tariff, work)


def reserve(tariff: Tariff, calls: Mapping[str, int], project: Project) -> None:
    """Keep the quota of all calls to come free for a project; what it had reserved is replaced.

    Args:
        tariff: What they cost.
        calls: Call → how many.
        project: Whose they are.

    Raises:
        QuotaError: `quota_spent`: too little is left, or the service refuses such calls. It holds
            the seconds until another try makes sense; the project keeps nothing reserved.
        InputError: `quota_too_small`: a whole day's quota would not do.
    """
    need = _units(tariff, calls)
    _check_possible(tariff, need)
    refusal = _unless_broken(tariff, lambda books: _reserve(books, tariff, need, project))
    if refusal is not None:
        raise refusal


def _reserve(
    books: Books, tariff: Tariff, need: Mapping[str, int], project: Project
) -> QuotaError | None:
    """Reserve, or return why not; in a transaction."""
    now = _now()  # not sooner: the turn may have been waited for over midnight
    day = _day(now)
    _recall(books, day)
    refusal = _refusal(books, tariff, need, project.id, now)
    entry = uuid4().hex
    wanted = need if refusal is None else {}
    had = books.hold(project.id, wanted, entry)
    if wanted:
        facts = {"service": tariff.service, "key": tariff.key, "units": dict(wanted)}
        project.log("quota_reserved", **facts, day=day, entry=entry)
    elif had:
        project.log("quota_released")
    return refusal


def _refusal(
    books: Books, tariff: Tariff, need: Mapping[str, int], number: int, now: datetime
) -> QuotaError | None:
    closed = books.closed(_text(now))
    shut = [closed[bucket] for bucket in need if bucket in closed]
    if shut:
        last = max(shut, key=lambda closing: closing.until)
        return _wait_for(
            datetime.fromisoformat(last.until),
            f"{tariff.service} refuses calls of the quota {last.bucket!r} for now.",
            number,
            now,
        )
    spent = books.spent(_day(now))
    others = books.reserved(but=number)
    for bucket, units in need.items():
        limit = tariff.limits.get(bucket)
        gone, kept = spent.get(bucket, 0), others.get(bucket, 0)
        if limit is not None and gone + kept + units > limit:
            soon = gone + units <= limit  # the others may need less than they keep
            told = (
                f"The day's quota {bucket!r} of {tariff.service} has no room for this video: of "
                f"{limit}, {gone} are spent and {kept} reserved by others; it takes {units}."
            )
            until = now + AGAIN if soon else patience.next_quota_day(now)
            return _wait_for(until, told, number, now)
    return None


def _wait_for(until: datetime, told: str, number: int, now: datetime) -> QuotaError:
    seconds = _seconds_to(until, now, number)
    clock_time = until.strftime("%Y-%m-%d %H:%M UTC")
    hint = f"It goes on by itself after {clock_time}; ./reelchain quota shows what is left."
    return QuotaError("quota_spent", told, hint, round(seconds, 3))


def _check_possible(tariff: Tariff, need: Mapping[str, int]) -> None:
    for bucket, units in need.items():
        limit = tariff.limits.get(bucket)
        if limit is not None and units > limit:
            raise InputError(
                "quota_too_small",
                f"This video takes {units} of the quota {bucket!r} of {tariff.service}; "
                f"a whole day has {limit}.",
                "Correct the quota's limits in the settings, or leave out captions or thumbnail.",
            )


def refused(
    tariff: Tariff, call: str, seconds: float | None, project: Project | None = None
) -> float:
    """Close a call's bucket for everybody with that key: the service said no.

    A refusal in a day's first minutes is the last day's: the service's clock is behind ours.

    Args:
        tariff: Whose call it was.
        call: The call.
        seconds: For how long; None is until the quota's day ends, and the project, which waits for
            that, keeps nothing reserved.
        project: Whose call it was, if any project's.

    Returns:
        The seconds until the project tries again, each at a moment of its own.
    """
    now, bucket = _now(), tariff.costs[call][0]
    begun = now - patience.midnight(patience.quota_day(now))
    whole_day = seconds is None and begun > CLOCKS_APART
    if seconds is None and not whole_day:
        seconds = CLOCKS_APART.total_seconds()
    until = patience.next_quota_day(now) if seconds is None else now + timedelta(seconds=seconds)
    day = _day(now)
    closing = Closing(tariff.service, tariff.key, bucket, _text(until), day if whole_day else None)
    if project is not None:
        project.log("quota_refused", call=call, key=tariff.key, **_told(closing))

    def work(books: Books) -> None:
        _recall(books, day)
        books.close(closing)
        if whole_day and project is not None and books.hold(project.id, {}, ""):
            project.log("quota_released")

    _unless_broken(tariff, work)
    return _seconds_to(until, now, 0 if project is None else project.id)


def _seconds_to(until: datetime, now: datetime, number: int) -> float:
    return max(0.0, (until - now).total_seconds()) + MARGIN + number % SPREAD


def _told(closing: Closing) -> dict[str, Any]:
    return {name: getattr(closing, name) for name in ("service", "bucket", "until", "day")}


def release(project_id: int) -> None:
    """Drop what a project has reserved; a fault of the database is logged."""
    try:
        if records.free(project_id):
            _log_released(project_id)
    except records.FAULTS as error:
        _complain(error)


def _log_released(project_id: int) -> None:
    with contextlib.suppress(ReelchainError):  # the project may be gone
        Project.open(settings.get().projects_dir, project_id).log("quota_released")


# -- how it stands --------------------------------------------------------------------------------


def standing(tariff: Tariff) -> dict[str, Any]:
    """Return what today's quota still allows.

    Returns:
        `service, key, day, as_of, resets_at, resets_in` (seconds), `buckets` (each `bucket, limit,
        spent, reserved, left, closed_until`), `cost` (bucket → units of one video), `fits` (how many
        more videos).

    Raises:
        ServiceError: `database_unusable`.
    """
    now = _now()
    day, resets = _day(now), patience.next_quota_day(now)
    rows = _readable(lambda: _buckets(tariff, day, _text(now)))
    cost = _units(tariff, tariff.per_video)
    end = _text(resets)
    for row in rows:
        if (row["closed_until"] or "") >= end:
            row["left"] = 0
    left = {row["bucket"]: row["left"] for row in rows}
    return {
        "service": tariff.service,
        "key": tariff.key,
        "day": day,
        "as_of": tariff.as_of,
        "resets_at": end,
        "resets_in": round((resets - now).total_seconds()),
        "buckets": rows,
        "cost": cost,
        "fits": min((left[b] // n for b, n in cost.items() if n and b in left), default=0),
    }


def _buckets(tariff: Tariff, day: str, now: str) -> list[dict[str, Any]]:
    def work(books: Books) -> list[dict[str, Any]]:
        spent, reserved, closed = books.spent(day), books.reserved(), books.closed(now)
        return [
            {
                "bucket": bucket,
                "limit": limit,
                "spent": spent.get(bucket, 0),
                "reserved": reserved.get(bucket, 0),
                "left": max(0, limit - spent.get(bucket, 0) - reserved.get(bucket, 0)),
                "closed_until": closed[bucket].until if bucket in closed else None,
            }
            for bucket, limit in tariff.limits.items()
        ]

    def first(books: Books) -> list[dict[str, Any]]:
        _recall(books, day)
        return work(books)

    found = records.read_books(tariff.service, tariff.key, day, work)
    # only the day's first look has to write
    return found if found is not None else records.with_books(tariff.service, tariff.key, first)


# -- keeping it right -------------------------------------------------------------------------------


def sync() -> dict[str, Any]:
    """Close the days that are over, take over what the database lacks, drop what is stale.

    Where the service refused a bucket for the day, what is spent is brought up to the limit, once.

    Returns:
        `day` (ISO date), `closed` (days closed now), `spent` (service → bucket → units), `corrected`
        (bucket → units added), `dropped` (reservations and closings).
    """
    day = patience.quota_day(_now())
    closed = records.roll_over(day)
    rebuild()  # a booking whose row could not be written has its line
    dropped = _drop_stale()
    corrected: dict[str, int] = {}
    for tariff in tariffs():
        dropped += _sync(tariff, corrected)
    return {
        "day": day.isoformat(),
        "closed": closed,
        "spent": records.spent(day),
        "corrected": corrected,
        "dropped": dropped,
    }


def _sync(tariff: Tariff, corrected: dict[str, int]) -> int:
    def work(books: Books) -> int:
        now = _now()
        day = _day(now)
        _recall(books, day)
        dropped = books.open_again(_text(now))
        spent = books.spent(day)
        for bucket, closing in books.closed(_text(now)).items():
            units = tariff.limits.get(bucket, 0) - spent.get(bucket, 0)
            name = f"correction-{day}-{tariff.service}-{tariff.key}-{bucket}"
            whose = (tariff.service, tariff.key, bucket)
            entry = Entry(name, day, *whose, units, "correction", None)
            if closing.day == day and units > 0 and books.book(entry):
                corrected[bucket] = units
        return dropped

    return records.with_books(tariff.service, tariff.key, work)


def rebuild() -> int:
    """Book what today's history of the projects tells of and the database lacks.

    Returns:
        How many bookings were missing.
    """
    day = _day(_now())
    told = _history(day)
    missing = 0
    for service, key in {(entry.service, entry.key_id) for entry in told.entries}:
        ours = [entry for entry in told.entries if (entry.service, entry.key_id) == (service, key)]

        def work(books: Books, ours: list[Entry] = ours) -> int:
            _recall(books, day)
            return sum(map(books.book, ours))

        missing += records.with_books(service, key, work)
    return missing


def _drop_stale() -> int:
    """Drop what projects have reserved whose run is over, or waits."""
    dropped = 0
    stale = {entry: number for entry, number in records.holders().items() if _is_over(number)}
    for entry, number in stale.items():
        # by its name: the project may have reserved anew meanwhile
        if records.free_exactly(entry):
            dropped += 1
            _log_released(number)
    return dropped


def _is_over(number: int) -> bool:
    try:
        state = Project.open(settings.get().projects_dir, number).state()
    except NotFoundError:
        return True
    except ReelchainError:
        return False  # unreadable: who knows
    return not state.run.on_its_way or state.status == "waiting"


def _recall(books: Books, day: str) -> None:
    books.recall(day, lambda: _history(day))


def _history(day: str) -> Recalled:
    """Return what the projects that wrote anything since a day began tell of it."""
    home = settings.get().projects_dir
    start = patience.midnight(date.fromisoformat(day)) - EARLIER
    alive = set(active(home))
    folders = {}
    for number in ids(home):
        folder = home / str(number)
        try:
            changed = (folder / "events.jsonl").stat().st_mtime
        except OSError:
            continue
        if number in alive or changed >= start.timestamp():
            folders[number] = folder
    return records.recalled(folders, day, alive)


def _units(tariff: Tariff, calls: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for call, count in calls.items():
        bucket, units = tariff.costs[call]
        if count * units:
            found[bucket] = found.get(bucket, 0) + count * units
    return found


def _unless_broken(tariff: Tariff, work: Callable[[Books], T]) -> T | None:
    try:
        return records.with_books(tariff.service, tariff.key, work)
    except records.FAULTS as error:
        _complain(error)
        return None


def _complain(error: Exception) -> None:
    log.warning("the quota ledger can't be used, work goes on: %s", logs.masked(str(error)))


def _readable(work: Callable[[], T]) -> T:
    try:
        return work()
    except records.FAULTS as error:
        raise ServiceError(
            "database_unusable",
            f"The database of records can't be read: {logs.masked(str(error))}",
            "Mend or remove it: it is made anew from the projects' folders.",
        ) from None


def _day(moment: datetime) -> str:
    return patience.quota_day(moment).isoformat()


def _text(moment: datetime) -> str:
    return records.moment(moment.timestamp())
