"""YouTube: a video is uploaded once, resumably, within the day's quota; then all that belongs to it."""

from __future__ import annotations

from typing import ClassVar

from app.providers import Announcement, Desk, Published, PublishRequest, Tariff
from app.providers.youtube import auth, config, metadata


class YouTubePublisher:
    """Publishes on the channel whose token `./reelchain auth youtube` has written."""

    name: ClassVar[str] = "youtube"
    version: ClassVar[str] = "1"
    replaces: ClassVar[bool] = False

    def tariff(self) -> Tariff:
        """Return what its calls cost of the OAuth client's quota."""
        return config.get().tariff(auth.key_id())

    def check(self, announcement: Announcement) -> None:
        """Raise `InputError` for what YouTube would refuse; a marker as long as any is counted."""
        metadata.check(announcement, "rc-000000-000000000000")
        auth.require()

    def publish(self, request: PublishRequest, desk: Desk) -> Published:
        """Publish, or go on with what an earlier call began for the same marker."""
        from app.providers.youtube.publication import Publication

        return Publication(request, desk).run()
