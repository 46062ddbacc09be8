"""Every setting, read once from the environment over the root's `.env`. The only reader of both."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from app.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds `reelchain`, `.env` and `backend/`; relative paths in settings start here."""


def _from_root(path: Path) -> Path:
    return path.expanduser() if path.expanduser().is_absolute() else ROOT / path


RootPath = Annotated[Path, AfterValidator(_from_root)]

DEFAULT_REDIS = ("localhost", 6379, 0)
DEFAULT_URLS = ("redis://localhost:6379/0", "redis://127.0.0.1:6379/0", "redis://localhost:6379")
"""The same, written out: who copies it from a page has named no Redis of their own."""


class Base(BaseSettings):
    """Base of every settings class; a provider derives its own from it for its own keys."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out the file where there is none: going through every field costs as much again."""
        file = getattr(dotenv_settings, "env_file", None)
        there = file is not None and Path(file).is_file()
        written = (dotenv_settings,) if there else ()
        return (init_settings, env_settings, *written, file_secret_settings)


S = TypeVar("S", bound=Base)


class Settings(Base):
    """What `.env.example` explains, field for field."""

    celery_broker_url: SecretStr | None = None
    celery_result_backend: SecretStr | None = None
    redis_host: str = DEFAULT_REDIS[0]
    redis_port: int = Field(default=DEFAULT_REDIS[1], ge=1, le=65535)
    redis_db: int = Field(default=DEFAULT_REDIS[2], ge=0)
    redis_password: SecretStr | None = None

    data_dir: RootPath = Path("data")
    styles_dir: RootPath | None = None
    database_url: SecretStr | None = None

    script_provider: str = "template"
    speech_provider: str = "kokoro"
    image_provider: str = "cards"
    publisher: str = "folder"
    align: Literal["auto", "off"] = "auto"
    prices_file: RootPath | None = None
    project_budget: float | None = Field(default=None, ge=0, le=100_000)

    ffmpeg_binary: RootPath | None = None
    x264_preset: Literal[
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"
    ] = "veryfast"
    x264_crf: int = Field(default=20, ge=0, le=51)

    script_time_limit: int = Field(default=300, gt=0)
    assets_time_limit: int = Field(default=3600, gt=0)
    render_time_limit: int = Field(default=6 * 3600, gt=0)
    thumbnail_time_limit: int = Field(default=300, gt=0)
    upload_time_limit: int = Field(default=6 * 3600, gt=0)
    maintenance_time_limit: int = Field(default=300, gt=0)

    render_scale: float = Field(default=1.0, ge=0.1, le=1.0)
    """Share of the full frame's width and height; below 1 for drafts."""

    lease_seconds: float = Field(default=30, ge=1, le=3600)
    watchdog_seconds: float = Field(default=1, ge=0.1, le=60)
    queue_grace_seconds: float = Field(default=5, ge=0.5, le=3600)
    drain_seconds: float = Field(default=30, ge=0)
    priority_ageing_seconds: float = Field(default=600, ge=1)
    shared_locks: bool = True
    worker_memory_mb: int = Field(default=3000, ge=0)

    video_concurrency: int = Field(default=2, ge=1, le=64)
    batch_window: int = Field(default=4, ge=1, le=1000)
    stack_idle_seconds: float = Field(default=60, gt=0)
    history_days: int = Field(default=90, ge=1)
    cleanup_days: int = Field(default=30, ge=0)
    cleanup_gb: float = Field(default=0, ge=0)
    ffmpeg_stall_seconds: float = Field(default=120, gt=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("celery_broker_url", "celery_result_backend")
    @classmethod
    def _is_redis(cls, value: SecretStr | None) -> SecretStr | None:
        schemes = ("redis://", "rediss://", "redis+socket://", "unix://")
        if value is not None and not value.get_secret_value().startswith(schemes):
            raise ValueError(f"an address starts with one of {', '.join(schemes)}")
        return value

    @property
    def projects_dir(self) -> Path:
        return self.data_dir / "projects"

    @property
    def batches_dir(self) -> Path:
        return self.data_dir / "batches"

    @property
    def published_dir(self) -> Path:
        return self.data_dir / "published"

    @property
    def styles_folder(self) -> Path:
        """Where the user's own styles lie."""
        return self.styles_dir or self.data_dir / "styles"

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def default_redis(self) -> bool:
        """True where the user named no Redis of their own: an embedded one may be started."""
        named = [self.celery_broker_url, self.celery_result_backend]
        return (
            all(url is None or url.get_secret_value() in DEFAULT_URLS for url in named)
            and self.redis_password is None
            and (self.redis_host, self.redis_port, self.redis_db) == DEFAULT_REDIS
        )

    @property
    def redis_url(self) -> str:
        """Address of the broker, with its password: never print it (see `logs.masked`)."""
        if self.celery_broker_url is not None:
            return self.celery_broker_url.get_secret_value()
        secret = self.redis_password.get_secret_value() if self.redis_password else ""
        at = f":{quote(secret, safe='')}@" if secret else ""
        return f"redis://{at}{self.redis_host}:{self.redis_port}/{self.redis_db}"


@cache
def get() -> Settings:
    """Return the settings, read on first use.

    Raises:
        InputError: `setting_invalid`, naming each wrong setting and what it may be.
    """
    return load(Settings)


def load(kind: type[S], **values: Any) -> S:
    """Read one settings class, with one clear error for all wrong values."""
    try:
        return kind(**values)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'_'.join(str(part) for part in e['loc']).upper()}: {e['msg']}"
            for e in error.errors()
        )
        raise InputError(
            "setting_invalid",
            f"A setting can't be used: {wrong}.",
            "Correct it in the environment or in .env; .env.example explains each one.",
        ) from None


def child_environment(**extra: str) -> dict[str, str]:
    """Return the environment for a child process, with `extra` on top."""
    return {**os.environ, **extra}  # noqa: TID251 - this module is the reader
