"""The folder publisher: `data/published/{project_id}/`, whole or not at all.

A local folder has one address per project, so an edited video takes the place of the earlier one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import ClassVar

from app import disk, settings
from app.errors import DiskError, MediaError
from app.providers import Announcement, Desk, Published, PublishRequest, Report

NAMES = {
    "video": "video.mp4",
    "thumbnail": "thumbnail.jpg",
    "captions_srt": "captions.srt",
    "captions_vtt": "captions.vtt",
    "captions_ass": "captions.ass",
}
RECORD = "metadata.json"
CHUNK = 4 * 1024 * 1024


class FolderPublisher:
    """Copies the finished files into the published folder."""

    name: ClassVar[str] = "folder"
    version: ClassVar[str] = "1"
    replaces: ClassVar[bool] = True

    def tariff(self) -> None:
        """Copies cost nothing."""

    def check(self, announcement: Announcement) -> None:
        """A folder takes whatever is told."""

    def publish(self, request: PublishRequest, desk: Desk) -> Published:
        """Fill a hidden folder, check it, put it in its place at once.

        What an interrupted try had copied whole is not copied again.
        """
        shelf = settings.get().published_dir
        shelf.mkdir(parents=True, exist_ok=True)
        target = shelf / str(request.project_id)
        aside = shelf / f"{disk.TEMPORARY}{request.marker}"
        if not self._is_there(target, request):
            aside.mkdir(exist_ok=True)
            desk.retrying(lambda: self._fill(aside, request, desk.report))
            _swap_in(aside, target)
        for left in (aside, _outgoing(aside)):
            disk.remove(left)
        desk.report(1.0)
        return Published(url=(target / NAMES["video"]).as_uri(), video_id=request.marker)

    def _is_there(self, target: Path, request: PublishRequest) -> bool:
        try:
            facts = json.loads((target / RECORD).read_bytes())
            whole = all(
                disk.sha256(target / NAMES[role]) == digest
                for role, digest in request.sha256.items()
            )
        except (OSError, ValueError):
            return False
        return whole and isinstance(facts, dict) and facts == _facts(request)

    def _fill(self, folder: Path, request: PublishRequest, report: Report) -> None:
        total = sum(Path(request.files[role]).stat().st_size for role in request.sha256)
        if shutil.disk_usage(folder).free < total + CHUNK:
            raise DiskError(
                "disk_full",
                f"Publishing needs {total / 1e6:.0f} MB, and there is less free in {folder.parent}.",
                "Free some space, then run the project again.",
            )
        wanted = {NAMES[role] for role in request.sha256}
        for left in [path for path in folder.iterdir() if path.name not in wanted]:
            disk.remove(left)
        done = 0
        for role, digest in request.sha256.items():
            path = folder / NAMES[role]
            source = Path(request.files[role])
            if not (path.exists() and disk.sha256(path) == digest):
                _copy(source, path, lambda n, at=done: report((at + n) / total))  # type: ignore[misc]
                if disk.sha256(path) != digest:
                    raise MediaError(
                        "artifact_changed",
                        f"{source.name} changed while it was being published.",
                        "Run the project again.",
                    )
            done += source.stat().st_size
        disk.write_json(folder / RECORD, _facts(request))


def _facts(request: PublishRequest) -> dict[str, object]:
    return request.model_dump(mode="json", exclude={"files"})


def _copy(source: Path, target: Path, told: Report) -> None:
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(CHUNK):
            writer.write(block)
            told(writer.tell())
    disk.fsync(target)


def _swap_in(aside: Path, target: Path) -> None:
    """Put `aside` in the place of `target`; what stood there goes away afterwards."""
    disk.fsync(aside)
    if not target.exists():
        disk.rename(aside, target)
    elif not disk.exchange(aside, target):
        old = _outgoing(aside)
        disk.remove(old)
        disk.rename(target, old)
        disk.rename(aside, target)
    disk.fsync(target.parent)


def _outgoing(aside: Path) -> Path:
    """Return where an earlier publication waits for its end, where two folders can't be swapped."""
    return aside.with_name(f"{aside.name}-old")
