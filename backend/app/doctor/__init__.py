"""Is it well, and what is to be mended? The machine, the folders, and a quick answer for others."""

from __future__ import annotations

from app.doctor.checks import Check
from app.doctor.machine import examine

__all__ = ["Check", "examine"]
