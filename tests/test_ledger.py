"""The quota ledger: nothing is overspent, whoever asks at once, whatever is lost, whatever the clock says."""

from __future__ import annotations

import json
import logging
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from _processes import in_processes
from _workers import ROOT
from app import disk, forecast, ledger, patience, providers, records, settings
from app.cli import app as command_line
from app.errors import InputError, QuotaError, ServiceError
from app.models import ProjectSpec
from app.project import Project
from app.providers import Tariff
from app.records import _quota
from app.tasks import dispatch, sync_quotas

TARIFF = Tariff(
    service="tube",
    key="client-1",
    as_of="2026-11-21",
    limits={"uploads": 100, "units": 10_000},
    costs={
        "upload": ("uploads", 1),
        "caption": ("units", 400),
        "thumbnail": ("units", 50),
        "look": ("units", 1),
    },
    per_video={"upload": 1, "caption": 1, "thumbnail": 2, "look": 12},
)
"""One video takes 1 of `uploads` and 512 of `units`: 19 fit in a day."""
VIDEO = TARIFF.per_video


class Clock:
    """The ledger's clock; it starts at the real time, which files are dated by."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


class Metered:
    """A publisher with a quota."""

    name = "metered"

    def tariff(self) -> Tariff:
        return TARIFF


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(ledger, "clock", made)
    return made


@pytest.fixture
def metered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish where there is a quota."""
    monkeypatch.setitem(providers.TABLE["publisher"], "metered", "nowhere")
    monkeypatch.setitem(providers._made, ("publisher", "metered"), Metered())
    monkeypatch.setenv("PUBLISHER", "metered")
    settings.get.cache_clear()


def new(count: int = 1, *, runs: bool = False) -> list[Project]:
    home = settings.get().projects_dir
    made = [Project.create(home, ProjectSpec(topic="the tides")) for _ in range(count)]
    for project in made if runs else ():
        project.begin_run(["youtube_upload"])
    return made


def stand(name: str, bucket: str = "units", tariff: Tariff = TARIFF) -> Any:
    rows = {row["bucket"]: row for row in ledger.standing(tariff)["buckets"]}
    return rows[bucket][name]


def all_rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ledger.standing(TARIFF)["buckets"]
    return rows


def refusal(project: Project, calls: dict[str, int] = VIDEO, tariff: Tariff = TARIFF) -> QuotaError:
    with pytest.raises(QuotaError) as caught:
        ledger.reserve(tariff, calls, project)
    assert caught.value.code == "quota_spent"
    return caught.value


def events(project: Project, code: str) -> list[dict[str, Any]]:
    lines = (project.folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["code"] == code]


def lose_database() -> None:
    records.close()
    for path in settings.get().data_dir.glob("reelchain.db*"):
        path.unlink()


# -- the day --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "reset"),
    [
        ("2026-11-21T12:00:00", "2026-11-22T08:00:00"),
        ("2026-11-22T07:59:59", "2026-11-22T08:00:00"),
        ("2026-11-22T08:00:00", "2026-11-23T08:00:00"),
        ("2026-07-01T12:00:00", "2026-07-02T07:00:00"),
        ("2026-03-08T08:00:00", "2026-03-09T07:00:00"),  # a day of 23 hours
        ("2026-03-08T07:59:59", "2026-03-08T08:00:00"),
        ("2026-11-01T07:00:00", "2026-11-02T08:00:00"),  # a day of 25 hours
        ("2026-11-02T07:59:59", "2026-11-02T08:00:00"),
        ("2026-12-31T23:00:00", "2027-01-01T08:00:00"),
    ],
)
def test_the_quota_is_reset_at_midnight_pacific(moment: str, reset: str) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert patience.next_quota_day(at) == datetime.fromisoformat(reset).replace(tzinfo=UTC)


@pytest.mark.parametrize(("noon", "hours"), [("2026-03-08", 23), ("2026-11-01", 25)])
def test_a_project_that_waits_on_a_long_or_short_day_comes_back_after_it(
    clock: Clock, noon: str, hours: int
) -> None:
    day = datetime.fromisoformat(noon).replace(tzinfo=patience.PACIFIC)
    clock.now = day.astimezone(UTC) + timedelta(hours=1)
    ledger.refused(TARIFF, "look", None)
    (project,) = new()
    wait = refusal(project).retry_after or 0
    left = (hours - 1) * 3600
    assert left < wait <= left + ledger.MARGIN + ledger.SPREAD
    clock.now += timedelta(seconds=wait)
    ledger.reserve(TARIFF, VIDEO, project)


def test_a_refusal_in_a_days_first_minutes_is_the_last_days(clock: Clock) -> None:
    clock.now = patience.next_quota_day(clock.now) + timedelta(seconds=3)
    waits = ledger.refused(TARIFF, "look", None)
    assert ledger.CLOCKS_APART.total_seconds() <= waits < 1000
    clock.now += timedelta(seconds=waits)
    (project,) = new()
    ledger.reserve(TARIFF, VIDEO, project)
    assert not ledger.sync()["corrected"]


def test_past_the_reset_a_whole_day_is_left_but_for_what_is_still_reserved(clock: Clock) -> None:
    working, waiting = new(2)
    ledger.reserve(TARIFF, VIDEO, working)
    for _ in range(24):
        ledger.book(TARIFF, "caption")
    error = refusal(waiting)
    clock.now += timedelta(seconds=error.retry_after or 0)
    ledger.reserve(TARIFF, VIDEO, waiting)
    assert (stand("spent"), stand("reserved")) == (0, 1024)
    ledger.book(TARIFF, "caption", working)
    assert (stand("spent"), stand("reserved")) == (400, 624)


# -- reserving ------------------------------------------------------------------------------------


def test_what_fits_is_reserved_and_who_comes_late_looks_again_soon() -> None:
    projects = new(21)
    for project in projects[:19]:
        ledger.reserve(TARIFF, VIDEO, project)
    assert ledger.standing(TARIFF)["fits"] == 0
    late, later = refusal(projects[19]), refusal(projects[20])
    assert "of 10000, 0 are spent and 9728 reserved by others; it takes 512" in late.message
    soon = ledger.AGAIN.total_seconds()
    for error in (late, later):  # the others may need less than they have reserved
        assert 1 <= (error.retry_after or 0) - soon <= ledger.MARGIN + ledger.SPREAD
    assert abs((late.retry_after or 0) - (later.retry_after or 0)) >= 1
    ledger.release(projects[0].id)
    ledger.reserve(TARIFF, VIDEO, projects[20])


def test_where_too_little_is_left_whatever_others_do_it_waits_until_the_reset(clock: Clock) -> None:
    (project,) = new()
    for _ in range(24):
        ledger.book(TARIFF, "caption")
    reset = (patience.next_quota_day(clock.now) - clock.now).total_seconds()
    assert 1 <= (refusal(project).retry_after or 0) - reset <= ledger.MARGIN + ledger.SPREAD
    ledger.reserve(TARIFF, {"caption": 1}, project)
    assert stand("left") == 0


def test_a_thousand_that_wait_come_back_over_a_minute() -> None:
    ledger.refused(TARIFF, "look", None)
    now, until = ledger.clock(), patience.next_quota_day(ledger.clock())
    waits = [round(ledger._wait_for(until, "", n, now).retry_after or 0) for n in range(1, 1001)]
    assert max(Counter(waits).values()) <= 17
    assert max(waits) - min(waits) < ledger.SPREAD


def test_reserving_again_replaces_what_was_reserved() -> None:
    project, other = new(2)
    ledger.reserve(TARIFF, {"look": 9_000}, project)
    ledger.reserve(TARIFF, {"look": 10_000}, project)
    ledger.reserve(TARIFF, {"caption": 2, "upload": 1}, project)
    assert (stand("reserved"), stand("reserved", "uploads")) == (800, 1)
    ledger.reserve(TARIFF, {}, project)
    ledger.reserve(TARIFF, {"look": 10_000}, other)
    assert stand("reserved", "uploads") == 0


def test_who_has_to_wait_keeps_nothing_from_others() -> None:
    greedy, other = new(2)
    ledger.reserve(TARIFF, {"look": 6_000}, greedy)
    ledger.reserve(TARIFF, {"look": 4_000}, other)
    refusal(greedy, {"look": 6_001})
    assert stand("reserved") == 4_000
    ledger.reserve(TARIFF, {"look": 10_000}, other)


def test_nothing_is_reserved_where_one_bucket_of_two_has_no_room() -> None:
    first, second = new(2)
    ledger.reserve(TARIFF, {"upload": 100}, first)
    refusal(second, {"look": 1, "upload": 1})
    assert (stand("reserved"), stand("reserved", "uploads")) == (0, 100)


def test_each_key_has_a_quota_of_its_own() -> None:
    first, second = new(2)
    other = TARIFF.model_copy(update={"key": "client-2"})
    ledger.reserve(TARIFF, {"look": 10_000}, first)
    ledger.book(TARIFF, "look", first)
    ledger.reserve(other, {"look": 10_000}, second)
    assert stand("spent", tariff=other) == 0
    refusal(second)


def test_what_no_day_has_room_for_fails_at_once() -> None:
    (project,) = new()
    with pytest.raises(InputError) as caught:
        ledger.reserve(TARIFF, {"look": 10_001}, project)
    assert caught.value.code == "quota_too_small"
    assert "10001" in caught.value.message


def test_processes_that_reserve_at_once_never_pass_the_limit() -> None:
    projects = new(20)
    want = {"look": 1_000}  # ten of the twenty fit
    assert stand("left") == 10_000
    records.close()

    def work(number: int) -> bool:
        try:
            ledger.reserve(TARIFF, want, projects[number])
        except QuotaError:
            return False
        ledger.book(TARIFF, "look", projects[number])
        return True

    assert sum(in_processes(20, work)) == 10
    assert (stand("spent"), stand("reserved"), stand("left")) == (10, 9_990, 0)


# -- booking ------------------------------------------------------------------------------------


def test_a_booking_is_a_line_of_the_project_and_comes_off_its_reservation() -> None:
    project, other = new(2)
    for one in (project, other):
        ledger.reserve(TARIFF, VIDEO, one)
    ledger.book(TARIFF, "caption", project)
    assert (stand("spent"), stand("reserved")) == (400, 624)
    (line,) = events(project, "quota")
    facts = {"service": "tube", "bucket": "units", "units": 400, "call": "caption"}
    assert (
        line.items() >= {**facts, "key": "client-1", "day": ledger.standing(TARIFF)["day"]}.items()
    )
    for _ in range(3):
        ledger.book(TARIFF, "caption", project)
    assert (stand("spent"), stand("reserved")) == (1600, 512)
    ledger.release(other.id)
    assert stand("reserved") == 0
    assert [len(events(one, "quota_released")) for one in (project, other)] == [0, 1]


def test_a_call_of_no_project_is_booked_too() -> None:
    ledger.book(TARIFF, "look")
    assert stand("spent") == 1


def test_any_order_of_acts_gives_what_a_model_says(clock: Clock) -> None:
    seed = random.randrange(2**32)  # noqa: S311 - another order each time; the assertion names it
    dice = random.Random(seed)  # noqa: S311 - nobody guards anything with it
    projects = new(4, runs=True)
    spent, reserved = 0, dict.fromkeys(range(4), 0)
    acts = ["reserve"] * 10 + ["book"] * 10 + ["release"] * 4 + ["lose", "midnight"]
    for _ in range(80):
        who, units = dice.randrange(4), dice.randrange(1, 5_000)
        match dice.choice(acts):
            case "reserve":
                fits = spent + sum(reserved.values()) - reserved[who] + units <= 10_000
                try:
                    ledger.reserve(TARIFF, {"look": units}, projects[who])
                    assert fits, seed
                except QuotaError:
                    assert not fits, seed
                reserved[who] = units if fits else 0
            case "book":
                ledger.book(TARIFF, "caption", projects[who])
                spent, reserved[who] = spent + 400, max(0, reserved[who] - 400)
            case "release":
                ledger.release(projects[who].id)
                reserved[who] = 0
            case "lose":
                lose_database()
            case "midnight":
                clock.now, spent = patience.next_quota_day(clock.now), 0
        _, units_now = all_rows()
        model = (spent, sum(reserved.values()))
        assert (units_now["spent"], units_now["reserved"]) == model, seed


# -- refusals -----------------------------------------------------------------------------------


def test_what_the_service_refuses_for_the_day_is_left_alone_by_everybody(clock: Clock) -> None:
    first, second = new(2)
    ledger.reserve(TARIFF, VIDEO, first)
    ledger.refused(TARIFF, "caption", None, first)
    assert (stand("reserved"), ledger.standing(TARIFF)["fits"]) == (0, 0)
    error = refusal(second)
    assert "tube refuses" in error.message
    refusal(first, {"look": 1})
    ledger.reserve(TARIFF, {"upload": 1}, first)
    ledger.reserve(TARIFF.model_copy(update={"key": "client-2"}), VIDEO, second)
    (line,) = events(first, "quota_refused")
    assert (line["bucket"], line["call"], line["key"]) == ("units", "caption", "client-1")
    clock.now += timedelta(seconds=error.retry_after or 0)
    ledger.reserve(TARIFF, VIDEO, second)


def test_a_refusal_for_some_seconds_ends_by_itself_and_never_shortens_another(
    clock: Clock,
) -> None:
    (project,) = new()
    ledger.refused(TARIFF, "look", 30.0)
    ledger.refused(TARIFF, "look", 10.0)
    wait = refusal(project).retry_after or 0
    assert 30 < wait <= 31 + ledger.SPREAD
    assert ledger.standing(TARIFF)["fits"] == 19  # later today
    clock.now += timedelta(seconds=31)
    ledger.reserve(TARIFF, VIDEO, project)
    assert stand("closed_until") is None


# -- a database that is new, lost or broken --------------------------------------------------------


def test_a_lost_database_is_filled_from_the_projects() -> None:
    working, idle = new(2)
    working.begin_run(["youtube_upload"])
    for project in (working, idle):
        ledger.reserve(TARIFF, VIDEO, project)
        ledger.book(TARIFF, "caption", project)
    ledger.refused(TARIFF, "upload", None)
    ledger.refused(TARIFF, "upload", 3600, working)
    lose_database()
    assert (stand("spent"), stand("reserved")) == (800, 112)  # who is not at work needs nothing
    assert stand("closed_until", "uploads") is not None
    ledger.book(TARIFF, "thumbnail", working)
    assert (stand("spent"), stand("reserved")) == (850, 62)
    assert ledger.rebuild() == 0
    assert stand("spent") == 850


def test_what_was_booked_on_other_days_or_is_no_booking_does_not_count(clock: Clock) -> None:
    (project,) = new()
    ledger.book(TARIFF, "caption", project)
    clock.now = patience.next_quota_day(clock.now)
    ledger.book(TARIFF, "look", project)
    for line in ({"code": "quota"}, {"code": "quota", "service": "tube", "day": 3}, ["quota"]):
        with (project.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n" + '{"code": "quota", "uni')
    os.utime(project.folder / "events.jsonl", (clock.now.timestamp(),) * 2)
    lose_database()
    assert stand("spent") == 1


def test_a_file_that_has_not_changed_since_the_day_began_is_not_read(clock: Clock) -> None:
    old, young = new(2)
    for project in (old, young):
        ledger.book(TARIFF, "caption", project)
    start = patience.next_quota_day(clock.now - timedelta(days=1)) - timedelta(minutes=6)
    os.utime(old.folder / "events.jsonl", (start.timestamp(),) * 2)
    lose_database()
    assert stand("spent") == 400


def test_processes_that_meet_a_new_database_at_once_count_all_once() -> None:
    projects = new(6)
    for project in projects:
        ledger.book(TARIFF, "caption", project)
    lose_database()
    in_processes(6, lambda number: ledger.book(TARIFF, "look", projects[number]))
    assert stand("spent") == 6 * 401


def _folder(data: Path) -> None:
    lose_database()
    (data / "reelchain.db").mkdir()


def _unreachable(_data: Path) -> None:
    os.environ["DATABASE_URL"] = "postgresql+psycopg://me:hunter2@127.0.0.1:1/db"
    settings.get.cache_clear()


@pytest.mark.parametrize("spoil", [_folder, _unreachable])
def test_a_broken_database_lets_pass_with_a_line_in_the_log(
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None],
) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    (project,) = new()
    spoil(data_dir)
    acts: list[Callable[[], None]] = [
        lambda: ledger.reserve(TARIFF, VIDEO, project),
        lambda: ledger.book(TARIFF, "caption", project),
        lambda: ledger.refused(TARIFF, "look", None, project),
        lambda: ledger.release(project.id),
    ]
    for act in acts:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            act()
        assert "the quota ledger can't be used" in caplog.text
        assert "hunter2" not in caplog.text
    assert len(events(project, "quota")) == 1
    with pytest.raises(ServiceError) as caught:
        ledger.standing(TARIFF)
    assert caught.value.code == "database_unusable"


@pytest.fixture
def impatient(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait 50 ms for a lock of the database, not five seconds."""
    with records.engine().connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    monkeypatch.setattr(_quota, "PATIENCE", 0.0)


def lock_database() -> sqlite3.Connection:
    path = settings.get().data_dir / "reelchain.db"
    blocker = sqlite3.connect(path, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")
    return blocker


def test_what_a_locked_database_did_not_take_is_booked_later(impatient: None) -> None:
    (project,) = new()
    ledger.reserve(TARIFF, VIDEO, project)
    blocker = lock_database()
    ledger.book(TARIFF, "caption", project)
    blocker.close()
    assert (stand("spent"), stand("reserved")) == (0, 512)
    assert [ledger.rebuild(), ledger.rebuild()] == [1, 0]
    assert (stand("spent"), stand("reserved")) == (400, 112)


def test_a_turn_is_waited_for_longer_than_the_database_does(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_quota, "PATIENCE", 60.0)
    (project,) = new()
    ledger.reserve(TARIFF, {"look": 10_000}, project)
    blocker, tries = lock_database(), []

    def attempt(work: Any) -> Any:
        tries.append(work)
        if len(tries) == 3:
            blocker.close()
        return records.attempt(work)

    monkeypatch.setattr(_quota, "attempt", attempt)
    refusal(new()[0])
    assert len(tries) == 3


# -- set right every hour -----------------------------------------------------------------------


def test_reservations_of_runs_that_are_over_gone_or_waiting_are_dropped(metered: None) -> None:
    works, ended, gone, waits = new(4, runs=True)
    for project in (works, ended, gone, waits):
        ledger.reserve(TARIFF, VIDEO, project)
    ended.cancel()
    disk.remove(gone.folder)  # by hand
    with waits.transaction() as state:
        state.status = "waiting"
    assert ledger.sync()["dropped"] == 3
    assert stand("reserved") == 512
    assert [len(events(one, "quota_released")) for one in (works, ended, waits)] == [0, 1, 1]
    assert ledger.sync()["dropped"] == 0
    lose_database()
    assert stand("reserved") == 512


def test_a_refusal_for_the_day_corrects_what_is_spent_once(metered: None, clock: Clock) -> None:
    ledger.book(TARIFF, "caption")
    ledger.refused(TARIFF, "upload", 60)  # not for the day: corrects nothing
    assert ledger.sync()["corrected"] == {}
    ledger.refused(TARIFF, "caption", None)
    told = sync_quotas()
    assert told["corrected"] == {"units": 9_600}
    assert told["spent"] == {"tube": {"units": 10_000}}
    assert sync_quotas()["corrected"] == {}
    clock.now = patience.next_quota_day(clock.now)
    told = sync_quotas()
    assert (len(told["closed"]), told["dropped"], told["corrected"]) == (1, 2, {})
    assert ledger.standing(TARIFF)["fits"] == 19


def test_a_run_that_is_over_releases_what_it_kept(metered: None, redis_url: str) -> None:
    (project,) = new(runs=True)
    ledger.reserve(TARIFF, VIDEO, project)
    assert dispatch.cancel(project)
    assert stand("reserved") == 0


def test_without_a_quota_the_end_of_a_run_touches_no_database(
    data_dir: Path, redis_url: str
) -> None:
    (project,) = new(runs=True)
    assert dispatch.cancel(project)
    assert not (data_dir / "reelchain.db").exists()


# -- as it is told --------------------------------------------------------------------------------


def test_the_command_tells_what_is_left(metered: None) -> None:
    (project,) = new()
    ledger.reserve(TARIFF, VIDEO, project)
    ledger.book(TARIFF, "caption", project)
    ledger.refused(TARIFF, "upload", None)
    said = CliRunner().invoke(command_line, ["quota", "--json"])
    (quota,) = json.loads(said.stdout)["quotas"]
    assert quota == ledger.standing(TARIFF) | {"resets_in": quota["resets_in"]}
    assert quota["cost"] == {"uploads": 1, "units": 512}
    told = CliRunner().invoke(command_line, ["quota"])
    assert told.exit_code == 0
    row = next(line.split() for line in told.stdout.splitlines() if "units" in line)
    assert row == ["units", "10000", "400", "112", "9488", "512"]
    assert "0 more videos fit today" in told.stdout
    assert "as of 2026-11-21" in told.stdout


def test_without_a_quota_the_command_says_so(data_dir: Path) -> None:
    told = CliRunner().invoke(command_line, ["quota"])
    assert (told.exit_code, "no quota" in told.stdout) == (0, True)
    said = CliRunner().invoke(command_line, ["quota", "--json"])
    assert json.loads(said.stdout) == {"publisher": "folder", "quotas": []}
    assert not (data_dir / "reelchain.db").exists()


@pytest.mark.slow
def test_the_command_needs_neither_celery_nor_googles_library(data_dir: Path) -> None:
    code = (
        "import sys; from app.cli import app; app(['quota'], standalone_mode=False); "
        "sys.exit(any(n.partition('.')[0] in ('celery', 'googleapiclient') for n in sys.modules))"
    )
    environment = {
        **os.environ, "PUBLISHER": "youtube", "PYTHONPATH": str(ROOT / "backend")
    }  # fmt: skip
    ran = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert ran.returncode == 0


def jobs(count: int) -> list[forecast.Job]:
    return [forecast.Job("t", "en", "topic", 40.0) for _ in range(count)]


def test_an_estimate_says_how_many_fit_and_what_becomes_of_the_others(
    metered: None, clock: Clock
) -> None:
    clock.now = datetime(2026, 11, 22, 2, 47, 30, tzinfo=UTC)
    told = forecast.estimate(jobs(30))
    assert told["quota_units"] == {"uploads": 30, "units": 15_360}
    assert (told["fits_today"], told["paid_calls"], told["usd"]) == (19, 30, None)
    assert told["note"] == (
        "11 of 30 will wait until midnight Pacific, in 5 h 12 min; about 2 days in all."
    )
    assert "about 3 days" in forecast.estimate(jobs(39))["note"]
    ledger.refused(TARIFF, "upload", None)
    assert forecast.estimate(jobs(1))["note"].startswith("1 of 1 will wait")
    done = forecast.Job("t", "en", "topic", 40.0, done=("youtube_upload",))
    told = forecast.estimate([done])
    assert (told["quota_units"], told["note"]) == ({"uploads": 0, "units": 0}, None)


def test_a_batch_is_told_its_quota_before_it_runs(metered: None, tmp_path: Path) -> None:
    playlist = tmp_path / "playlist.yaml"
    playlist.write_text("projects:\n" + "  - topic: Tea\n" * 21)
    told = CliRunner().invoke(command_line, ["batch", "new", str(playlist), "--dry-run"])
    assert told.exit_code == 0, told.output
    assert "quota 21 of uploads, 10752 of units (19 fit today; prices of 2026-11-21)" in told.stdout
    assert "2 of 21 will wait until midnight Pacific, in " in told.stdout


def test_an_estimate_without_a_ledger_or_a_quota_is_one_all_the_same(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = forecast.estimate(jobs(3))
    assert (told["quota_units"], told["fits_today"], told["note"]) == (0, 3, None)
    (data_dir / "reelchain.db").mkdir(parents=True)
    monkeypatch.setitem(providers._made, ("publisher", "folder"), Metered())
    told = forecast.estimate(jobs(3))
    assert (told["quota_units"], told["fits_today"]) == (None, None)
    assert "can't be read" in told["note"]
