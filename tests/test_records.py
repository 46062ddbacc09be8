"""Task history and quota ledger: right under many writers, never in the way of a stage."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, insert, select

from _processes import in_processes
from _redis import until
from app import patience, records, settings
from app.records import _quota, _writer


@pytest.fixture(autouse=True)
def fresh(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer of this test's own, which complains each time."""
    monkeypatch.setattr(_writer, "_writer", _writer.Writer())
    monkeypatch.setattr(_writer, "QUIET", 0.0)


def close() -> None:
    records.flush(10)
    records.close()


def note(attempt: int = 1, *, project_id: int = 1, status: str = "running", **facts: Any) -> None:
    facts = {"started_at": "2026-11-21T10:00:00Z", **facts}
    records.stage_event(
        project_id, "asset_generation", 1, attempt, task_id="t1", status=status, **facts
    )
    assert records.flush(30)


TODAY = date(2026, 11, 22)


def book(
    bucket: str,
    units: int,
    *,
    service: str = "youtube",
    project_id: int | None = None,
    day: date = TODAY,
    entry: str = "",
) -> bool:
    name = entry or uuid4().hex
    row = records.Entry(name, day.isoformat(), service, "k", bucket, units, "call", project_id)
    return records.with_books(service, "k", lambda books: books.book(row))


EARLIER = """
CREATE TABLE task_history (
    project_id INTEGER NOT NULL, stage VARCHAR(64) NOT NULL, run INTEGER NOT NULL,
    attempt INTEGER NOT NULL, task_id VARCHAR(64) NOT NULL, status VARCHAR(16) NOT NULL,
    started_at VARCHAR(32), finished_at VARCHAR(32), seconds FLOAT, worker VARCHAR(255),
    error_code VARCHAR(64), error TEXT, PRIMARY KEY (project_id, stage, run, attempt)
);
INSERT INTO task_history VALUES (
    1, 'asset_generation', 1, 1, 't1', 'completed', '2026-11-21T09:00:00Z', NULL, 3.5, 'w', NULL, NULL
);
"""
"""The history of version 0.1.0."""


# -- history ------------------------------------------------------------------------------------


def test_a_try_is_one_row_however_often_it_is_told() -> None:
    note()
    note()
    note(status="completed", finished_at="2026-11-21T10:01:00Z", seconds=60.0)
    note(2, status="failed", error_code="font_missing", error="No glyph.")
    rows = records.history(1)
    assert [(row["attempt"], row["status"], row["seconds"]) for row in rows] == [
        (1, "completed", 60.0),
        (2, "failed", None),
    ]
    assert rows[0]["started_at"] == "2026-11-21T10:00:00Z"
    assert records.history(2) == []


def test_the_oldest_try_comes_first() -> None:
    for hour in (12, 9, 15):
        note(hour, started_at=f"2026-11-21T{hour:02}:00:00Z")
    assert [row["attempt"] for row in records.history(1)] == [9, 12, 15]


def test_processes_that_start_on_an_empty_database_at_once_lose_nothing() -> None:
    def work(number: int) -> None:
        for attempt in range(8):
            note(attempt, project_id=number)
            note(attempt, project_id=100, status="completed")
            book("insert", 1, project_id=number)

    in_processes(6, work)
    for number in range(6):
        assert len(records.history(number)) == 8
    assert len(records.history(100)) == 8
    assert records.spent(TODAY) == {"youtube": {"insert": 48}}


def test_the_database_lies_beside_the_projects_and_is_read_while_written(data_dir: Path) -> None:
    note()
    with sqlite3.connect(data_dir / "reelchain.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_deleted_database_is_made_anew(data_dir: Path) -> None:
    note()
    close()
    for path in data_dir.glob("reelchain.db*"):
        path.unlink()
    note(7)
    assert [row["attempt"] for row in records.history(1)] == [7]


def _unlink(*endings: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        for ending in endings:
            (folder / f"reelchain.db{ending}").unlink()

    return harm


def _cut(size: int) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        with (folder / "reelchain.db").open("r+b") as file:
            file.truncate(size)

    return harm


@pytest.mark.parametrize(
    "harm",
    [_unlink(""), _unlink("-wal"), _unlink("", "-wal", "-shm"), _cut(0), _cut(100), _cut(5000)],
    ids=["file", "log", "all", "cut to nothing", "cut to its head", "cut to a page"],
)
def test_a_database_deleted_or_cut_while_it_is_open_is_made_anew(
    data_dir: Path, harm: Callable[[Path], None]
) -> None:
    note()
    harm(data_dir)
    note(7)
    assert records.dropped() == 0
    close()
    assert records.history(1)[-1]["attempt"] == 7
    close()
    with contextlib.closing(sqlite3.connect(data_dir / "reelchain.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_processes_that_use_a_database_while_it_is_deleted_go_on_with_one_new_one(
    data_dir: Path,
) -> None:
    over = data_dir.with_suffix(".over")

    def work(number: int) -> None:
        for attempt in range(1, 61):
            note(attempt, project_id=number)
            if number == 0 and attempt % 20 == 0:
                for path in data_dir.glob("reelchain.db*"):
                    path.unlink(missing_ok=True)
        if number == 0:
            over.touch()
        until(over.exists, 30, "the last deletion")
        note(99, project_id=number)

    in_processes(4, work)
    assert [records.history(number)[-1]["attempt"] for number in range(4)] == [99] * 4
    with contextlib.closing(sqlite3.connect(data_dir / "reelchain.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("where", [0, 100, 4096])
def test_a_damaged_database_is_put_aside_and_a_new_one_begins(
    data_dir: Path, caplog: pytest.LogCaptureFixture, where: int
) -> None:
    for attempt in range(1, 40):
        note(attempt)
    close()
    with (data_dir / "reelchain.db").open("r+b") as file:
        file.seek(where)
        file.write(b"this is no database, " * 10_000)
    note(50)
    note(51, project_id=2)
    assert [row["attempt"] for row in records.history(2)] == [51]
    assert records.dropped() == 0
    (aside,) = data_dir.glob("reelchain.damaged-*.db")
    assert aside.name in caplog.text
    assert b"this is no database" in aside.read_bytes()


def test_a_database_of_an_earlier_version_gets_what_it_lacks(data_dir: Path) -> None:
    data_dir.mkdir()
    with contextlib.closing(sqlite3.connect(data_dir / "reelchain.db")) as connection:
        connection.executescript(EARLIER)
    note(2, status="retrying", error_code="busy")
    assert [(row["attempt"], row["status"], row["retries"]) for row in records.history(1)] == [
        (1, "completed", None),
        (2, "retrying", 1),
    ]
    records.task_event("t", "SUCCESS", name="x")
    assert len(records.task_lives()) == 1


def test_a_database_of_half_the_tables_is_completed(data_dir: Path) -> None:
    note()
    with records.engine().begin() as connection:
        records.ledger.drop(connection)
    close()
    book("insert", 3)
    assert records.spent(TODAY) == {"youtube": {"insert": 3}}
    assert len(records.history(1)) == 1


# -- it never reaches a stage ----------------------------------------------------------------------


def _folder(folder: Path) -> None:
    (folder / "reelchain.db").mkdir()


def _other_shape(folder: Path) -> None:
    with sqlite3.connect(folder / "reelchain.db") as connection:
        connection.execute("CREATE TABLE task_history (x)")
    connection.close()


@pytest.mark.parametrize("spoil", [_folder, _other_shape])
def test_a_broken_database_is_logged_and_nothing_else(
    data_dir: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    data_dir.mkdir()
    spoil(data_dir)
    with caplog.at_level(logging.WARNING):
        note()
    assert "records not written (1 so far)" in caplog.text
    assert records.dropped() == 1


def test_a_data_folder_that_can_not_be_made_is_logged(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data_dir.write_text("a file where the folder should be")
    note()
    assert "records not written" in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hunter2@127.0.0.1:1/db",
        "oracle+oracledb://me:hunter2@127.0.0.1:1/db",
        "nonsense://me:hunter2@x/y",
        "no url at all",
        "sqlite:////proc/nowhere/x.db",
    ],
)
def test_an_address_of_no_database_is_logged_without_its_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    settings.get.cache_clear()
    note()
    assert "records not written" in caplog.text
    assert "hunter2" not in caplog.text


def test_text_that_no_database_takes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    note()
    note(2, error="a lone surrogate \udcff")
    note(1, seconds=1, project_id=10**30)
    assert caplog.text.count("records not written") == 2
    assert len(records.history(1)) == 1


def test_a_database_that_is_locked_for_long_is_waited_for_and_then_logged(
    data_dir: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    note()
    with records.engine().connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    blocker = sqlite3.connect(data_dir / "reelchain.db")
    try:
        blocker.execute("BEGIN IMMEDIATE")
        note(2)
        assert "records not written" in caplog.text
    finally:
        blocker.close()
    note(3)
    assert [row["attempt"] for row in records.history(1)] == [1, 3]


# -- the ledger --------------------------------------------------------------------------------------


def book_on(day: str, units: int, service: str = "youtube", bucket: str = "insert") -> None:
    row = {"day": day, "service": service, "bucket": bucket, "units": units}
    with records.engine().begin() as connection:
        connection.execute(insert(records.ledger).values(**row))


def closed_days() -> list[tuple[Any, ...]]:
    with records.engine().connect() as connection:
        rows = connection.execute(select(records.ledger_days).order_by(records.ledger_days.c.day))
        return [tuple(row) for row in rows]


def test_booked_units_are_summed_by_service_and_bucket() -> None:
    for units in (1600, 50):
        book("insert", units, project_id=3)
    book("search", 100)
    book("requests", 1, service="gemini")
    assert records.spent(TODAY) == {
        "youtube": {"insert": 1650, "search": 100},
        "gemini": {"requests": 1},
    }
    assert records.spent(date(2020, 1, 1)) == {}


def test_a_call_is_on_record_once_by_its_name_and_its_day() -> None:
    assert [book("insert", 5, entry="a") for _ in range(2)] == [True, False]
    assert book("insert", 7, entry="a", day=date(2026, 11, 23))
    assert records.spent(TODAY) == {"youtube": {"insert": 5}}


def test_a_ledger_of_an_earlier_version_goes_on(data_dir: Path) -> None:
    data_dir.mkdir()
    with sqlite3.connect(data_dir / "reelchain.db") as connection:
        connection.executescript(
            """CREATE TABLE ledger (
                id INTEGER NOT NULL PRIMARY KEY, day VARCHAR(10) NOT NULL,
                service VARCHAR(64) NOT NULL, bucket VARCHAR(64) NOT NULL,
                units INTEGER NOT NULL, project_id INTEGER
            );
            INSERT INTO ledger VALUES (1, '2026-11-22', 'youtube', 'insert', 4, 1);"""
        )
    connection.close()
    book("insert", 3)
    assert records.spent(TODAY) == {"youtube": {"insert": 7}}


def test_a_day_is_closed_once() -> None:
    for day, units in (("2026-11-20", 5), ("2026-11-20", 7), ("2026-11-21", 1), ("2026-11-22", 9)):
        book_on(day, units)
    today = date(2026, 11, 22)
    assert records.roll_over(today) == ["2026-11-20", "2026-11-21"]
    assert records.roll_over(today) == []
    assert closed_days() == [
        ("2026-11-20", "youtube", "insert", 12, 2),
        ("2026-11-21", "youtube", "insert", 1, 1),
    ]
    assert records.spent(date(2026, 11, 20)) == {"youtube": {"insert": 12}}
    assert records.spent(today) == {"youtube": {"insert": 9}}


def test_a_late_booking_of_a_closed_day_is_added_to_it() -> None:
    book_on("2026-11-20", 5)
    records.roll_over(date(2026, 11, 21))
    book_on("2026-11-20", 2)
    assert records.spent(date(2026, 11, 20)) == {"youtube": {"insert": 7}}
    assert records.roll_over(date(2026, 11, 21)) == ["2026-11-20"]
    assert closed_days() == [("2026-11-20", "youtube", "insert", 7, 2)]


def test_workers_that_close_a_day_at_once_count_it_once() -> None:
    for n in range(40):
        book_on(f"2026-11-{n % 4 + 1:02}", 1, bucket=f"b{n % 2}")
    close()
    closed = in_processes(6, lambda _n: records.roll_over(date(2026, 11, 22)))
    assert sorted(day for days in closed for day in days) == [
        f"2026-11-{n:02}" for n in (1, 2, 3, 4)
    ]
    assert sum(row[3] for row in closed_days()) == 40
    assert sum(row[4] for row in closed_days()) == 40


def test_a_close_that_fails_halfway_closes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    book_on("2026-11-20", 5)
    book_on("2026-11-21", 6)
    real, calls = _quota._add_to_day, []

    def fails_at_the_second(connection: Any, row: dict[str, Any]) -> None:
        calls.append(row)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(connection, row)

    monkeypatch.setattr(_quota, "_add_to_day", fails_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        records.roll_over(date(2026, 11, 22))
    monkeypatch.undo()
    assert closed_days() == []
    assert records.spent(date(2026, 11, 20)) == {"youtube": {"insert": 5}}


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2026-03-08T07:59:59", "2026-03-07"),  # 23:59:59 PST
        ("2026-03-08T08:00:00", "2026-03-08"),  # the day of 23 hours begins
        ("2026-03-09T06:59:59", "2026-03-08"),
        ("2026-03-09T07:00:00", "2026-03-09"),
        ("2026-11-01T06:59:59", "2026-10-31"),
        ("2026-11-01T07:00:00", "2026-11-01"),  # the day of 25 hours begins
        ("2026-11-02T07:59:59", "2026-11-01"),
        ("2026-11-02T08:00:00", "2026-11-02"),
        ("2026-12-31T23:00:00", "2026-12-31"),
    ],
)
def test_quotas_count_in_pacific_days(utc: str, day: str) -> None:
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert patience.quota_day(moment).isoformat() == day


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-07-01", 24)]
)
def test_a_day_has_as_many_hours_as_it_has_there(day: str, hours: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=24)
    found = [start + timedelta(minutes=15 * n) for n in range(4 * 96)]
    assert sum(patience.quota_day(moment).isoformat() == day for moment in found) == 4 * hours


def test_hourly_closing_over_the_change_of_the_clocks_loses_no_unit() -> None:
    start = datetime(2026, 10, 31, tzinfo=UTC)
    for hour in range(72):
        day = patience.quota_day(start + timedelta(hours=hour))
        records.roll_over(day)
        book("insert", 1, day=day)
        assert records.spent(day)["youtube"]["insert"] >= 1
    records.roll_over(date(2026, 12, 1))
    assert [(row[0], row[3]) for row in closed_days()] == [
        ("2026-10-30", 7),
        ("2026-10-31", 24),
        ("2026-11-01", 25),
        ("2026-11-02", 16),
    ]
    with records.engine().begin() as connection:
        assert connection.execute(delete(records.ledger)).rowcount == 0
