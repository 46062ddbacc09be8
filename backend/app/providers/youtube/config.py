"""The settings of the YouTube publisher, and what its calls cost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from app import settings
from app.providers import Tariff
from app.settings import RootPath

AS_OF = "2026-11-21"
LIMITS = {"videos.insert": 100, "units": 10_000}
"""Bucket → units a day of one Google project (YouTube Data API, quota calculator, as of `AS_OF`)."""
COSTS: dict[str, tuple[str, int]] = {
    "videos.insert": ("videos.insert", 1),
    "videos.list": ("units", 1),
    "channels.list": ("units", 1),
    "playlists.list": ("units", 1),
    "playlistItems.list": ("units", 1),
    "playlists.insert": ("units", 50),
    "playlistItems.insert": ("units", 50),
    "thumbnails.set": ("units", 50),
    "captions.list": ("units", 50),
    "captions.insert": ("units", 400),
}
"""Call → its bucket and units; a refused call costs as much (the same source)."""
PER_VIDEO = {
    "videos.insert": 1,
    "thumbnails.set": 1,
    "captions.insert": 1,
    "playlists.list": 1,
    "playlistItems.list": 1,
    "playlistItems.insert": 1,
    "videos.list": 10,
}
"""What one publication takes where nothing goes wrong; a playlist that has to be made comes on top."""


def _pairs(value: Any) -> Any:
    """Read `name=1,name=2`, as a setting is written."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    return {name.strip(): number.strip() for name, _, number in pairs}


def _known(value: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    if set(value) - set(names):
        raise ValueError(f"the names are {', '.join(names)}")
    return value


Pairs = Annotated[dict[str, Annotated[int, Field(ge=0)]], NoDecode, BeforeValidator(_pairs)]


class YouTubeSettings(settings.Base):
    """What `.env.example` explains, field for field."""

    youtube_client_secrets: RootPath | None = None
    youtube_token_file: RootPath | None = None
    youtube_api_root: str = Field(
        default="https://youtube.googleapis.com/", pattern=r"^https?://[^\s?#]+$"
    )
    google_token_uri: str = Field(
        default="https://oauth2.googleapis.com/token", pattern=r"^https?://[^\s?#]+$"
    )
    youtube_timeout: float = Field(default=60, gt=0, le=3600)
    """Seconds without a byte after which a call is given up."""
    youtube_chunk_mb: int = Field(default=16, ge=1, le=1024)
    """Mebibytes sent before the service is heard again."""
    youtube_lookup_seconds: float = Field(default=120, ge=0, le=3600)
    """How long a video whose upload lost its last answer is looked for before it is sent again."""
    youtube_processing_hours: float = Field(default=24, ge=0)
    """How long YouTube's processing is waited for."""
    youtube_thumbnail: bool = True
    youtube_captions: bool = True
    youtube_quota_limits: Pairs = Field(default_factory=dict)
    youtube_quota_costs: Pairs = Field(default_factory=dict)

    @field_validator("youtube_quota_limits")
    @classmethod
    def _are_buckets(cls, value: dict[str, int]) -> dict[str, int]:
        return _known(value, LIMITS)

    @field_validator("youtube_quota_costs")
    @classmethod
    def _are_calls(cls, value: dict[str, int]) -> dict[str, int]:
        return _known(value, COSTS)

    @property
    def client_secrets(self) -> Path:
        """Return the file of the OAuth client, as Google's console gives it."""
        return self.youtube_client_secrets or _private() / "client_secret.json"

    @property
    def token_file(self) -> Path:
        """Return the file of the channel's token."""
        return self.youtube_token_file or _private() / "youtube_token.json"

    def tariff(self, key: str) -> Tariff:
        """Return the costs with the user's changes.

        Args:
            key: Names the OAuth client whose quota it is.
        """
        costs = {
            call: (bucket, self.youtube_quota_costs.get(call, units))
            for call, (bucket, units) in COSTS.items()
        }
        return Tariff(
            service="youtube",
            key=key,
            as_of=AS_OF,
            limits={**LIMITS, **self.youtube_quota_limits},
            costs=costs,
            per_video={call: n for call, n in PER_VIDEO.items() if call not in self.left_out},
        )

    @property
    def left_out(self) -> frozenset[str]:
        """Return the calls that are not made at all."""
        switches = {
            "thumbnails.set": self.youtube_thumbnail,
            "captions.insert": self.youtube_captions,
        }
        return frozenset(call for call, wanted in switches.items() if not wanted)


def get() -> YouTubeSettings:
    """Return the settings.

    Raises:
        InputError: `setting_invalid`.
    """
    return settings.load(YouTubeSettings)


def _private() -> Path:
    return settings.get().data_dir / "private"
