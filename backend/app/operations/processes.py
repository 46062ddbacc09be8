"""Who works on what: the workers' own answers, the leases, and this machine's processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import redis

from app import embedded, lease, settings
from app.celery_app import QUEUES
from app.errors import ReelchainError
from app.operations.broker import connected
from app.operations.machine import (
    NOTHING,
    Machine,
    is_stopped,
    is_worker,
    local_workers,
    node_name,
    of,
)
from app.project import WORK, Owner, Project, active
from app.project.owner import host

ASKED_SECONDS = 0.9
"""A worker that is well answers within milliseconds."""

# -- what workers say ------------------------------------------------------------------------


def asked(*questions: str, seconds: float = ASKED_SECONDS) -> dict[str, dict[str, Any]]:
    """Ask all workers several things at once; return question → node → answer.

    A worker that does not answer in time is not in it.
    """
    answers: dict[str, dict[str, Any]] = {question: {} for question in questions}
    count = _listening()
    if count == 0:
        return answers

    def ask(question: str) -> None:
        answers[question] = _ask(question, seconds, count)

    threads = [threading.Thread(target=ask, args=(q,), daemon=True) for q in questions]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds + 0.6
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(answers)


def _listening() -> int | None:
    """Return how many workers there are to answer; None where Redis does not tell.

    Each listens to its orders by a pattern (kombu.transport.redis); nobody else of ours does. So who
    asks need not wait for more answers than can come.
    """
    try:
        with connected() as client:
            clients: Any = client.client_list(_type="pubsub")
    except (ReelchainError, redis.RedisError):
        return None
    return sum(int(found.get("psub", 0)) > 0 for found in clients)


def _ask(question: str, seconds: float, count: int | None) -> dict[str, Any]:
    from celery import Celery
    from kombu.exceptions import KombuError
    from redis.exceptions import RedisError

    # an application of its own: it has no queue, joins no stack and waits for nobody
    with Celery(broker=embedded.address(), set_as_current=False) as asker:
        asker.conf.broker_transport_options = {"socket_timeout": 2, "socket_connect_timeout": 1}
        inspect = asker.control.inspect(timeout=seconds, limit=count)
        for _ in range(2):  # the first call after an outage may meet a dead connection
            try:
                return getattr(inspect, question)() or {}
            except (OSError, RedisError, KombuError):
                continue
    return {}


def serving(seconds: float = ASKED_SECONDS) -> dict[str, list[str]]:
    """Return queue → names of the workers that take its tasks."""
    answers = asked("active_queues", seconds=seconds)["active_queues"]
    served: dict[str, list[str]] = {name: [] for name in QUEUES}
    for node, queues in sorted(answers.items()):
        for queue in queues:
            served.setdefault(queue["name"], []).append(node)
    return served


# -- both together -----------------------------------------------------------------------------


def workers(*, seconds: float = ASKED_SECONDS) -> dict[str, Any]:
    """Return every worker with its children, and every owner of a project that is frozen.

    Keys: `workers` (name, state `idle busy silent frozen`, pid, queues, uptime, CPU, memory, hint,
    children with pid, state, project, stage, run, task, seconds, CPU, memory) and `frozen` (project,
    stage, run, host, pid, units in hand, seconds, why, hint). CPU and memory are known of workers on
    this machine only; an FFmpeg counts for the child that started it.

    Raises:
        ServiceError: `redis_unreachable`.
    """
    with connected():
        pass  # where nobody answers at all, the reason is told, and at once
    machine = Machine()
    answers = asked("stats", "active", "active_queues", seconds=seconds)
    machine.look_again()
    crew = _Crew(machine, answers, _holders())
    return {"workers": list(crew.rows()), "frozen": list(_frozen())}


def _holders() -> dict[tuple[object, object], dict[str, Any]]:
    """Return who holds a project, by (worker, pid) and by (host, pid): a pid alone may be two's."""
    try:
        found = lease.holders()
    except redis.RedisError:
        return {}  # it went away just now
    return {
        (facts.get(key), facts.get("pid")): facts for key in ("worker", "host") for facts in found
    }


@dataclass
class _Crew:
    """All that is known of the workers, put together."""

    machine: Machine
    answers: dict[str, dict[str, Any]]
    holders: dict[tuple[object, object], dict[str, Any]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the workers that answered, then those of this machine that did not."""
        local = {main.pid: main for main in local_workers(self.machine)}
        for name, facts in sorted(self.answers["stats"].items()):
            yield self._answering(name, facts, local.pop(facts.get("pid", 0), None))
        for main in local.values():
            yield self._silent(main)

    def _answering(
        self, name: str, facts: dict[str, Any], main: psutil.Process | None
    ) -> dict[str, Any]:
        tasks = {task["worker_pid"]: task for task in self.answers["active"].get(name, ())}
        pool = (facts.get("pool") or {}).get("processes") or []
        known = {p.pid: p for p in self.machine.below.get(main.pid, ())} if main else {}
        return {
            "name": name,
            "state": "busy" if tasks else "idle",
            "pid": facts.get("pid"),
            "queues": [queue["name"] for queue in self.answers["active_queues"].get(name, ())],
            "uptime": facts.get("uptime"),
            "hint": "",
            **(self.machine.figures([main]) if main else NOTHING),
            "children": [
                self._child(name, pid, tasks.get(pid), known.get(pid))
                for pid in pool
                if isinstance(pid, int)
            ],
        }

    def _child(
        self, whose: str, pid: int, task: dict[str, Any] | None, process: psutil.Process | None
    ) -> dict[str, Any]:
        holder = self.holders.get((whose, pid))
        state = "busy" if task or holder else "idle"
        figures = self.machine.figures(self.machine.family(process)) if process else NOTHING
        return {
            "pid": pid,
            "state": "frozen" if process is not None and is_stopped(process) else state,
            **_work(task, holder),
            **figures,
        }

    def _silent(self, main: psutil.Process) -> dict[str, Any]:
        """Return a worker that lives on this machine and did not answer."""
        stopped = is_stopped(main)
        pool = [child for child in self.machine.below.get(main.pid, ()) if is_worker(child)]
        hint = (
            f"It is stopped by a signal: kill -CONT {main.pid} lets it go on, "
            f"kill -9 {main.pid} ends it and hands its projects on."
            if stopped
            else f"It may be ending its last task (SIGTERM), or hang: see its log; "
            f"kill -9 {main.pid} hands its projects on."
        )
        return {
            "name": node_name(main),
            "state": "frozen" if stopped else "silent",
            "pid": main.pid,
            "queues": [],
            "uptime": round(time.time() - of(main, lambda p: p.create_time(), time.time())),
            "hint": hint,
            **self.machine.figures([main]),
            "children": [self._child(host(), child.pid, None, child) for child in pool],
        }


def _work(task: dict[str, Any] | None, holder: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a child works on, by its lease, else by what Celery says."""
    name = str(task["name"]).rpartition(".")[2] if task else None
    if holder is not None:
        facts = {key: holder.get(key) for key in ("project_id", "stage", "run")}
        return {"task": name, **facts, "seconds": _since(holder.get("since"))}
    told = (task or {}).get("kwargs")
    given = told if isinstance(told, dict) else {}
    facts = {"project_id": given.get("project_id"), "stage": None, "run": given.get("run")}
    return {"task": name, **facts, "seconds": _since((task or {}).get("time_start"))}


def _since(moment: object) -> float | None:
    return round(max(0.0, time.time() - moment), 1) if isinstance(moment, int | float) else None


def _frozen() -> Iterator[dict[str, Any]]:
    """Yield the owners that hold a project and do not say so any more, with what to do."""
    projects = settings.get().projects_dir
    for project_id in sorted(active(projects)):
        try:
            project = Project.open(projects, project_id)
            owner = project.owner()
            silent = time.time() - project.last_beat()
        except (ReelchainError, OSError):
            continue  # doctor tells of it
        if owner is None or owner.purpose != WORK or owner.alive is False:
            continue
        why = _why_frozen(owner, silent)
        if why is not None:
            facts = {key: getattr(owner, key) for key in ("stage", "run", "host", "pid")}
            yield {
                "project_id": project_id,
                **facts,
                "units": list(owner.units),
                "seconds": round(time.time() - owner.since, 1),
                "silent_seconds": round(silent, 1),
                "why": why,
                "hint": _hint(owner),
            }


def _why_frozen(owner: Owner, silent: float) -> str | None:
    """Return what is wrong with an owner, if anything."""
    if owner.alive and _is_stopped(owner.pid):
        return "its process is stopped by a signal"
    if silent < settings.get().lease_seconds:
        return None
    return f"its process has shown no life for {silent:.0f} s"


def _hint(owner: Owner) -> str:
    if owner.alive is None:
        return f"Look on {owner.host}: is process {owner.pid} alive? End it, or start its host."
    if _is_stopped(owner.pid):
        return f"kill -CONT {owner.pid} lets it go on; kill -9 {owner.pid} hands the project on."
    return f"kill -9 {owner.pid} hands the project on; what is made stays made."


def _is_stopped(pid: int) -> bool:
    try:
        return is_stopped(psutil.Process(pid))
    except psutil.Error:
        return False
