"""A line of what the doctor found, and how to ask a part that may break or be silent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from app import logs
from app.errors import ReelchainError, describe

PROBE_SECONDS = 15.0
"""No part is asked longer than this."""

Status = Literal["ok", "mended", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One line of the table."""

    name: str
    status: Status
    what: str
    hint: str = ""

    def facts(self) -> dict[str, str]:
        return asdict(self)


Probe = Callable[[], Iterable[Check]]


def asked(name: str, probe: Probe, seconds: float | None = None) -> list[Check]:
    """Run one probe: its errors and its silence become a line, too."""
    found: list[Check] = []

    def ask() -> None:
        try:
            found.extend(probe())
        except ReelchainError as error:
            found.append(Check(name, "fail", logs.masked(error.message), logs.masked(error.hint)))
        except Exception as error:  # noqa: BLE001 - a broken part must not hide the others
            ours = describe(error)
            again = "Install the requirements again."
            hint = again if isinstance(error, ImportError) else ours.hint
            found.append(Check(name, "fail", logs.masked(ours.message), hint))

    patience = PROBE_SECONDS if seconds is None else seconds
    thread = threading.Thread(target=ask, name=f"doctor {name}", daemon=True)
    thread.start()
    thread.join(patience)
    if thread.is_alive():
        told = f"No answer within {patience:.0f} seconds."
        return [*found, Check(name, "fail", told, "See whether its disk or its address answers.")]
    return found
