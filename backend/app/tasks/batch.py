"""A batch: one video per entry, a few at a time; one failure is an outcome, not the end.

`batch_processing_task` registers the batch and frees its slot at once. Each project that ends lets
the next ones go; the last one stores the outcome under the task's own id.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import redis
from celery import Task
from celery.exceptions import Ignore
from pydantic import ValidationError

from app import disk, messages, progress, settings
from app.celery_app import celery_app
from app.errors import NotFoundError, ReelchainError, StateError, describe
from app.models import Value
from app.project import check_id, ids, now
from app.tasks import _stage, dispatch

log = logging.getLogger(__name__)

FILE = "batch.json"
KEEP_SECONDS = 30 * 86400


class Batch(Value):
    """`batch.json`: the playlist's title and its projects in order."""

    schema_version: int = 1
    batch_id: int
    title: str
    created_at: str
    projects: tuple[int, ...]


# KEYS todo, flying, done, meta; ARGV ended project or '', window. Returns done, total, next ones.
_ADVANCE = """
if ARGV[1] ~= '' then
  if redis.call('SREM', KEYS[2], ARGV[1]) == 0 then return {-1, 0, {}} end
  redis.call('SADD', KEYS[3], ARGV[1])
end
local next = {}
while redis.call('SCARD', KEYS[2]) < tonumber(ARGV[2]) do
  local project = redis.call('LPOP', KEYS[1])
  if not project then break end
  redis.call('SADD', KEYS[2], project)
  next[#next + 1] = project
end
return {redis.call('SCARD', KEYS[3]), tonumber(redis.call('HGET', KEYS[4], 'total') or -1), next}
"""


# KEYS running, todo, flying, done, meta; ARGV task, seconds, projects. 0 if it is running already.
_BEGIN = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return 0 end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[5], 'total', #ARGV - 2)
redis.call('HINCRBY', KEYS[5], 'run', 1)
for i = 3, #ARGV do redis.call('RPUSH', KEYS[2], ARGV[i]) end
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[5], ARGV[2])
return 1
"""


def create(title: str, projects: tuple[int, ...]) -> Batch:
    """Keep a new batch on disk; its id is the next number."""
    folder = settings.get().batches_dir
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        number = max(ids(folder), default=0) + 1
        try:
            (folder / str(number)).mkdir()
        except FileExistsError:
            continue
        made = Batch(batch_id=number, title=title, created_at=now(), projects=projects)
        disk.write_json(_file(number), made.model_dump(mode="json"))
        return made


def fill(batch: Batch, projects: tuple[int, ...]) -> Batch:
    """Give a new batch its projects."""
    filled = batch.model_copy(update={"projects": projects})
    disk.write_json(_file(batch.batch_id), filled.model_dump(mode="json"))
    return filled


def load(batch_id: object) -> Batch:
    """Return a batch.

    Raises:
        InputError: `batch_id_invalid`.
        NotFoundError: `batch_not_found`.
        StateError: `batch_unreadable`, with the file's name.
    """
    number = check_id(batch_id, "batch")
    path = _file(number)
    try:
        return Batch.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(
            "batch_not_found", f"There is no batch {number}.", "See those in the data folder."
        ) from None
    except ValidationError:
        raise StateError(
            "batch_unreadable", f"{path} can't be read.", "Restore it from a backup."
        ) from None


def _file(number: int) -> Path:
    return settings.get().batches_dir / str(number) / FILE


def outcome(batch: Batch, *, closed: bool = False) -> dict[str, Any]:
    """Return what became of each project, from the folders alone.

    Args:
        batch: The batch.
        closed: All have ended; one that did not even start has failed.
    """
    entries = [_entry(project_id) for project_id in batch.projects]
    for entry in entries:
        if closed and entry["status"] != "completed":
            entry["status"] = "failed"
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry["status"]] = counts.get(entry["status"], 0) + 1
    return {
        "batch_id": batch.batch_id,
        "title": batch.title,
        "status": _status(counts, len(entries)),
        "counts": counts,
        "projects": entries,
    }


def _entry(project_id: int) -> dict[str, Any]:
    try:
        state = _stage.open_project(project_id).state()
    except ReelchainError as error:
        return {"project_id": project_id, "status": "failed", "error": _error(error)}
    failed = state.failure()
    return {
        "project_id": project_id,
        "status": state.status,
        "video_url": (state.publication or {}).get("url") if state.status == "completed" else None,
        "error": failed.model_dump() if failed else None,
    }


def _error(error: ReelchainError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _status(counts: dict[str, int], total: int) -> str:
    completed, failed = counts.get("completed", 0), counts.get("failed", 0)
    if completed == total:
        return "completed"
    if completed + failed < total:
        return "running" if counts.get("running") or completed or failed else "pending"
    return "partial" if completed else "failed"


@celery_app.task(
    bind=True,
    name="app.tasks.batch_processing_task",
    acks_late=True,
    reject_on_worker_lost=True,
)
def batch_processing_task(self: Task[Any, Any], batch_id: object) -> dict[str, Any]:
    """Make every video of a batch; the result has each project's outcome and never raises for one.

    Returns:
        `{batch_id, title, status, counts, projects: [{project_id, status, video_url, error}]}`
    """
    batch = load(batch_id)
    client, keys = _redis(), _keys(batch.batch_id)
    task_id = self.request.id or ""
    client.hset(keys["waiters"], task_id, "1")
    client.expire(keys["waiters"], KEEP_SECONDS)
    names = [keys[name] for name in ("running", "todo", "flying", "done", "meta")]
    begun = client.eval(_BEGIN, 5, *names, task_id, KEEP_SECONDS, *batch.projects)
    ended = [] if begun else _fallen(batch)
    for project_id in (None, *ended):
        _advance(batch, ended=project_id)
    raise Ignore


def _fallen(batch: Batch) -> list[int]:
    """Send again what nobody is at although it was sent: its worker died. Return what had ended."""
    flying = cast("set[Any]", _redis().smembers(_keys(batch.batch_id)["flying"]))
    ended = []
    for project_id in sorted(map(int, flying)):
        try:
            project = _stage.open_project(project_id)
            if not project.locked() and not _send(project_id):
                ended.append(project_id)
        except ReelchainError:
            ended.append(project_id)
    return ended


def tell_queued(batch: Batch) -> None:
    """Put «waiting» in the place of an ended batch run's last event."""
    waiting = {
        "batch_id": batch.batch_id,
        "progress": 0,
        "message": messages.text("queued", "en"),
        "code": "queued",
        "status": "pending",
        "timestamp": progress.timestamp(),
        "final": False,
    }
    progress.reset(f"batch:{batch.batch_id}", waiting)


def subscribe(batch: Batch) -> Iterator[dict[str, Any]]:
    """Yield a batch's progress until it has ended: see `progress.subscribe`."""
    celery_app.reach()
    return progress.subscribe(f"batch:{batch.batch_id}")


def _redis() -> redis.Redis:
    return celery_app.redis


def _keys(number: int) -> dict[str, str]:
    names = ("todo", "flying", "done", "meta", "running", "waiters")
    return {name: f"batch:{number}:{name}" for name in names}


def _advance(batch: Batch, ended: int | None = None) -> None:
    """Record that a project ended, send the next ones, close the batch after the last."""
    client, keys = _redis(), _keys(batch.batch_id)
    names = [keys[name] for name in ("todo", "flying", "done", "meta")]
    finished: list[int | str] = ["" if ended is None else ended]
    while finished:
        done, total, following = client.eval(
            _ADVANCE, 4, *names, finished.pop(), settings.get().batch_window
        )
        if done < 0:
            continue
        finished += [project_id for project_id in map(int, following) if not _send(project_id)]
        _tell(batch, int(done), int(total))
        if done == total:
            _close(batch)


def _send(project_id: int) -> bool:
    """Start one project; False if it is at its end already, well or not."""
    try:
        project = _stage.open_project(project_id)
        if dispatch.finished(project) is not None:
            return False
        dispatch.send(project)
    except (ReelchainError, OSError) as error:
        log.warning("project %s of the batch not started: %s", project_id, describe(error))
        return False
    return True


def _tell(batch: Batch, done: int, total: int) -> None:
    facts = outcome(batch)
    final = done == total
    counts = {
        "completed": facts["counts"].get("completed", 0),
        "failed": facts["counts"].get("failed", 0),
    }
    code = "batch_done" if final else "batch_running"
    text = messages.text(code, "en", done=done, total=total, **counts)
    progress.publish(
        {
            "batch_id": batch.batch_id,
            "progress": 100 if final else int(100 * done / max(total, 1)),
            "message": text,
            "code": code,
            "status": facts["status"],
            "counts": facts["counts"],
            "timestamp": progress.timestamp(),
            "run": _run(batch),
            "final": final,
        },
        name=progress.channel(f"batch:{batch.batch_id}"),
    )


def _run(batch: Batch) -> int:
    return int(cast("str", _redis().hget(_keys(batch.batch_id)["meta"], "run") or 0))


def _close(batch: Batch) -> None:
    """Store the outcome under the id of every task that waits for the batch."""
    client, keys = _redis(), _keys(batch.batch_id)
    result = outcome(batch, closed=True)
    client.delete(keys["running"])
    for task_id in cast("dict[Any, Any]", client.hgetall(keys["waiters"])):
        text = task_id.decode() if isinstance(task_id, bytes) else str(task_id)
        celery_app.backend.store_result(text, result, "SUCCESS")
        client.hdel(keys["waiters"], text)
        with celery_app.events.default_dispatcher() as dispatcher:
            dispatcher.send("task-succeeded", uuid=text, result=str(result["status"]), runtime=0)


@_stage.run_over.append
def _project_ended(project_id: int, over: bool) -> None:
    """Let the batch of an ended project go on, if that batch is being made."""
    if not over:
        return
    number = _stage.open_project(project_id).state().batch
    if number is not None and _redis().exists(_keys(number)["running"]):
        _advance(load(number), ended=project_id)
