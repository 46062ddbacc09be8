"""The Celery application: every setting, the queues, the routes, the schedule, `debug_task`."""

from __future__ import annotations

import logging
import platform
import threading
from typing import Any

import redis
from celery import Celery, Task, signals
from kombu import Queue

from app import embedded, logs, settings
from app.errors import InputError, ServiceError

QUEUES = ("video_generation", "batch_processing", "maintenance")
DEFAULT_QUEUE = "maintenance"
HARD_LIMIT_GRACE = 60
"""Seconds between a task's soft time limit and the one that kills it."""

STAGE_LIMITS = {
    "generate_script_task": "script_time_limit",
    "generate_assets_task": "assets_time_limit",
    "render_video_task": "render_time_limit",
    "generate_thumbnail_task": "thumbnail_time_limit",
    "upload_to_youtube_task": "upload_time_limit",
}
"""Stage task → the setting that holds its soft limit in seconds."""

PRIORITIES = {"high": 9, "normal": 5, "low": 1}
"""Name → urgency; 9 is the most urgent of 0-9."""
_LEAST_URGENT = 9
_SEPARATOR = "\x06\x16"
"""Between a queue's name and its priority in the key of a Redis list (kombu.transport.redis)."""


def urgency(value: object) -> int:
    """Return the urgency 0-9 that `high`, `normal`, `low` or a number means.

    Raises:
        InputError: `priority_invalid`.
    """
    if isinstance(value, str) and value.lower() in PRIORITIES:
        return PRIORITIES[value.lower()]
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if len(text) == 1 and text.isascii() and text.isdigit():
        return int(text)
    raise InputError(
        "priority_invalid",
        f"{value!r} is no priority.",
        "Use high, normal, low, or a number from 0 to 9; 9 is the most urgent.",
    )


def redis_priority(urgent: int) -> int:
    """Return the `priority` of a message as Celery on Redis takes it: there 0 goes first."""
    return _LEAST_URGENT - urgent


def queue_keys(queue: str) -> dict[int, str]:
    """Return Redis priority → key of the list that holds such messages, the most urgent first."""
    lower = {n: f"{queue}{_SEPARATOR}{n}" for n in range(1, _LEAST_URGENT + 1)}
    return {0: queue, **lower}


class PipelineApp(Celery):
    """Celery that finds its Redis by itself: the user's, or the embedded stack's."""

    in_worker = False
    _reached = ""

    def send_task(self, *args: Any, **kwargs: Any) -> Any:
        """Send a task; where there is no Redis at all, the embedded stack is started first."""
        self.reach()
        return super().send_task(*args, **kwargs)

    def reach(self) -> None:
        """Make sure there is a Redis to talk to, and talk to that one; a worker has its own."""
        if self.in_worker:
            return
        url = embedded.ensure()
        if url != self._reached:
            _check_answers(url)
            self._reached = url
        # the broker's may come from the environment past us; the backend's is always ours
        told = (url, _backend(url))
        if (
            vars(self).get("configured")
            and (self.conf.broker_url, self.conf.result_backend) != told
        ):
            self._redirect(url)

    def _reached_backend(self) -> Any:
        # a chain's results take the backend before anything is sent
        self.reach()
        return Celery.backend.fget(self)  # type: ignore[attr-defined]

    backend = property(_reached_backend, Celery.backend.fset)  # type: ignore[attr-defined]

    @property
    def redis(self) -> redis.Redis:
        """The result backend's connection, for our own keys beside the results."""
        backend: Any = self.backend
        client: redis.Redis = backend.client
        return client

    def _redirect(self, url: str) -> None:
        """Leave an address that went away: the stack ended, and another began."""
        self.conf.update(broker_url=url, result_backend=_backend(url))
        # Celery has no public way to drop the pools and the backend of an earlier address
        vars(self).update(_pool=None, _backend_cache=None, _local=threading.local())
        vars(self.amqp).update(_producer_pool=None)


def _check_answers(url: str) -> None:
    """Fail at once, in one sentence, where Celery would try again for minutes."""
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            client.ping()
    except redis.RedisError as error:
        raise ServiceError(
            "redis_unreachable",
            f"Redis at {logs.masked(url)} does not answer: {logs.masked(str(error))}",
            "Start it, or correct CELERY_BROKER_URL or REDIS_* (./reelchain doctor).",
        ) from None


def _backend(broker: str) -> str:
    own = None if settings.get().default_redis else settings.get().celery_result_backend
    return own.get_secret_value() if own is not None else broker


def _configuration() -> dict[str, Any]:
    """Return every setting; read when the application is first used, not when it is imported.

    Why each: docs/operations.md, "Celery settings".
    """
    url = embedded.address()
    return {
        **_broker(url),
        **_results(url),
        **_messages(),
        **_workers(),
        **_schedule(),
        "timezone": "UTC",
        "enable_utc": True,
    }


def _broker(url: str) -> dict[str, Any]:
    """Return how Redis is spoken to as the broker, and waited for."""
    return {
        "broker_url": url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": 120,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "priority_steps": list(range(10)),
            "queue_order_strategy": "priority",
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
    }


def _results(url: str) -> dict[str, Any]:
    """Return where results are kept, for how long, and how Redis is spoken to for them."""
    return {
        "result_backend": _backend(url),
        "result_backend_always_retry": True,
        "result_backend_transport_options": {
            "retry_policy": {
                "max_retries": None,
                "interval_start": 0.2,
                "interval_step": 0.2,
                "interval_max": 2,
            }
        },
        "redis_socket_timeout": 30,
        "redis_socket_connect_timeout": 5,
        "redis_socket_keepalive": True,
        "redis_backend_health_check_interval": 10,
        "result_expires": 7 * 86400,
        "result_extended": True,
        "result_serializer": "json",
    }


def _messages() -> dict[str, Any]:
    """Return what messages are like, and which way they go."""
    return {
        "task_publish_retry_policy": {
            "max_retries": 100,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 1.0,
        },
        "task_default_priority": redis_priority(PRIORITIES["normal"]),
        "task_inherit_parent_priority": True,
        "task_send_sent_event": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_queues": [Queue(name) for name in QUEUES],
        "task_default_queue": DEFAULT_QUEUE,
        "task_create_missing_queues": False,
        "task_routes": _routes(),
    }


def _workers() -> dict[str, Any]:
    """Return how workers take tasks, and how long one may last."""
    limit = settings.get().maintenance_time_limit
    return {
        "task_acks_late": False,
        "task_track_started": True,
        "task_soft_time_limit": limit,
        "task_time_limit": limit + HARD_LIMIT_GRACE,
        "task_annotations": _limits(),
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_send_task_events": True,
        "worker_soft_shutdown_timeout": 0,
        "worker_max_memory_per_child": settings.get().worker_memory_mb * 1024 or None,
        "worker_hijack_root_logger": False,
        "worker_consumer": "app.tasks._consumer:Consumer",
    }


def _schedule() -> dict[str, Any]:
    """Return what beat sends by the clock, and where it keeps its place."""
    return {
        "beat_schedule": {
            "sync-quotas": {
                "task": "app.tasks.sync_quotas",
                "schedule": 3600.0,
                "options": {"expires": 3300},
            },
            "clean-up": {
                "task": "app.tasks.clean_up",
                "schedule": 86400.0,
                "options": {"expires": 82800},
            },
        },
        "beat_schedule_filename": str(settings.get().run_dir / "beat-schedule"),
    }


def _routes() -> dict[str, dict[str, str]]:
    routes = {f"app.tasks.{name}": {"queue": "video_generation"} for name in STAGE_LIMITS}
    routes["app.tasks.batch_processing_task"] = {"queue": "batch_processing"}
    return routes


def _limits() -> dict[str, dict[str, int]]:
    config = settings.get()
    limits = {
        f"app.tasks.{name}": getattr(config, setting) for name, setting in STAGE_LIMITS.items()
    }
    return {
        name: {"soft_time_limit": soft, "time_limit": soft + HARD_LIMIT_GRACE}
        for name, soft in limits.items()
    }


celery_app = PipelineApp("reelchain", include=["app.tasks"])
celery_app.add_defaults(_configuration)
app = celery_app


@signals.setup_logging.connect
def _setup_logging(loglevel: int | str | None = None, **_: Any) -> None:
    level = loglevel if isinstance(loglevel, str) else logging.getLevelName(loglevel or "INFO")
    logs.setup(level)
    # here and not in beat_init, before which beat has opened its schedule already
    settings.get().run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


@signals.celeryd_init.connect
def _know_worker(**_: Any) -> None:
    celery_app.in_worker = True


@signals.beat_init.connect
def _know_beat(**_: Any) -> None:
    celery_app.in_worker = True


@celery_app.task(bind=True, name="app.celery_app.debug_task")
def debug_task(self: Task[Any, Any]) -> dict[str, Any]:
    """Prove that a worker takes tasks: return its name, the queue used and the Redis version."""
    info: Any = celery_app.redis.info("server")
    delivery = self.request.delivery_info or {}
    return {
        "task_id": self.request.id,
        "worker": self.request.hostname,
        "queue": delivery.get("routing_key"),
        "redis_version": info.get("redis_version"),
        "python": platform.python_version(),
    }
