"""Reelchain: script → assets → FFmpeg render → thumbnail → publish, one resumable chain per project."""

from __future__ import annotations

__version__ = "0.1.0"
