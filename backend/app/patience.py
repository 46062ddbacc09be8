"""How long a service wants to be left alone: what its answer says, and the end of its quota's day."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as daytime
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

PACIFIC = ZoneInfo("America/Los_Angeles")
"""Google's quotas of the day end at midnight Pacific time (YouTube Data API, quota calculator)."""
LONGEST = 3600.0
"""Most seconds that a service's word is taken for."""

_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def retry_after(text: object) -> float | None:
    """Return the seconds that a Retry-After header asks for, `LONGEST` at most.

    Args:
        text: The header's value: seconds, or a date (RFC 9110, 10.2.3).

    Returns:
        None where it says neither.
    """
    told = str(text or "").strip()
    if _SECONDS.fullmatch(told):
        seconds = float(told)
    else:
        try:
            seconds = parsedate_to_datetime(told).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST)


def quota_day(moment: datetime) -> date:
    """Return the day that quotas are counted in at `moment`: the Pacific one."""
    return moment.astimezone(PACIFIC).date()


def midnight(day: date) -> datetime:
    """Return when a quota's day begins, in UTC."""
    return datetime.combine(day, daytime(), tzinfo=PACIFIC).astimezone(UTC)


def next_quota_day(moment: datetime) -> datetime:
    """Return when the quota's next day begins, in UTC.

    It is the wall's midnight, so that a day of 23 or 25 hours ends when it does.
    """
    return midnight(quota_day(moment) + timedelta(days=1))
