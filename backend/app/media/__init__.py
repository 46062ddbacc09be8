"""Film, sound, type and pictures: gets paths, values and a report callable, knows no project."""

from __future__ import annotations
