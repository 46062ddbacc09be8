"""Nothing is lost: finds runs that nobody is at, and sends them on.

A thread in each worker's main process; one of all workers acts at a time, and two that did would do
no harm: a run is taken over by a compare-and-set on its number in the project's state. What it
looks at is in the folders: a marker per project whose run is not over, the note that its last
owner left in the lock file. Redis only tells which messages are still in a queue.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from celery import bootsteps, signals
from celery.worker import WorkController

from app import disk, lease, messages, records, settings
from app.celery_app import QUEUES, celery_app, queue_keys
from app.errors import NotFoundError, PermanentError, ReelchainError
from app.models import Stage
from app.project import ACTIVE, EDIT, WORK, Outdated, Owner, Project, ProjectState, active, ids
from app.project import owner as owners
from app.tasks import _request, _turn, dispatch, envelopes
from app.tasks._context import open_project, projects_dir
from app.tasks._execution import fact_of, fail, time_limit
from app.tasks._links import stage_of
from app.tasks.envelopes import Envelope

log = logging.getLogger(__name__)

KEY = "watchdog"
EPOCH = "reelchain:epoch"
"""A key that exists as long as Redis has not lost its data."""
CHILD_DIED, WORKER_DIED = 3, 1
"""What a death weighs against the unit in hand. A child that dies alone was most likely ended by its
work (memory, a crash in a library); a whole worker more likely by somebody, or with its machine."""
MOST_DEATHS = 9
"""Weight of deaths over one unit, nothing finished between them, that is still rescued: three of a
child, nine of a worker."""
FROZEN_LEASES = 5
"""Lease times without a heartbeat after which an owner that holds the lock is ended."""
SETTLE_SECONDS = 2.0
"""Seconds an ended run has to answer its callers before it is helped."""
QUEUE_LOOK_SECONDS = 5.0
"""Least seconds between two looks through the queues' messages."""

UNACKED_SECONDS = 3.0
"""How long a message may be on its way between a queue and a child."""
ENDED = 0
"""In the place of a run's number: the run was ended, not taken over."""

repairs: list[Callable[[bool], None]] = []
"""Called at each round; with True when Redis knows nothing (its data is lost, or we just started)."""


def help_now(project: Project) -> None:
    """Send a project on at once whose owner is dead; somebody has just asked for it."""
    with contextlib.suppress(disk.Locked, Outdated):
        Watchdog().look_after(project, time.time())


class Watchdog:
    """The rounds of one worker."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._queued: set[int] = set()
        self._looked = 0.0
        self._aged = 0.0
        self._fresh = True
        self._beats: dict[int, tuple[float, float]] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin the rounds."""
        self._thread = threading.Thread(target=self._rounds, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End them."""
        self._stop.set()
        self._wake.set()

    def wake(self) -> None:
        """Look now: something was lost."""
        self._wake.set()

    def _rounds(self) -> None:
        while not self._stop.is_set():
            woken = self._wake.is_set()
            self._wake.clear()
            try:
                self.round(now=woken or self._fresh)
            except Exception as error:  # noqa: BLE001 - Redis is away or a disk is full: the next round tries again
                log.warning("the watchdog could not look: %s", error)
            self._wake.wait(settings.get().watchdog_seconds)

    def round(self, *, now: bool = False) -> None:
        """Look at every project whose run is not over, if it is our turn.

        Args:
            now: Do not wait for our turn.
        """
        pause = int(settings.get().watchdog_seconds * 1000)
        me = f"{owners.host()}:{os.getpid()}"
        if not celery_app.redis.set(KEY, me, nx=True, px=max(pause - 50, 50)) and not now:
            return
        lost = self._redis_lost_all()
        for number, touched in active(projects_dir()).items():
            try:
                self.look_after(open_project(number), touched)
            except NotFoundError:  # removed by hand, and its marker left
                (projects_dir() / ACTIVE / str(number)).unlink(missing_ok=True)
            except Outdated:
                continue  # cancelled, or begun anew, just now
            except Exception as error:  # noqa: BLE001 - this one; the others go on
                log.warning("project %s could not be looked after: %s", number, error)
        if self._fresh or not (projects_dir() / ACTIVE).exists():
            _mark_unfinished()  # last: it reads every project's state
        for repair in repairs:
            try:
                repair(lost or self._fresh)
            except Exception as error:  # noqa: BLE001 - this one; the others go on
                log.warning("a repair failed: %s", error)
        self._age()
        self._fresh = False
        if lost:
            celery_app.redis.set(EPOCH, str(time.time()))

    def _redis_lost_all(self) -> bool:
        return not celery_app.redis.exists(EPOCH)

    # -- one project -----------------------------------------------------------------------

    def look_after(self, project: Project, touched: float) -> None:
        """See whether a project goes on by itself; help it if it does not.

        Args:
            project: One with a marker.
            touched: When its marker was last touched, seconds since the epoch.

        Raises:
            disk.Locked: Somebody is at it, so all is well.
        """
        try:
            with project.lock(wait=0, purpose=EDIT) as note:
                if self._waits_its_turn(project, note):
                    return  # found out without reading its state: there may be thousands such
                state = project.state()
                run = self._take_over(project, state, note, touched)
        except disk.Locked:
            self._end_frozen(project)
            return
        self._beats.pop(project.id, None)
        over = not state.run.on_its_way and time.time() - touched > SETTLE_SECONDS
        if run:
            _tell_rescued(project, run)
            dispatch.publish(project, run)
        elif over or run == ENDED:
            dispatch.settle(project)

    def _waits_its_turn(self, project: Project, note: Owner | None) -> bool:
        """Tell whether the message of the project's run waits in a queue, and all is well."""
        if note is None or note.purpose != "queued":
            return False
        return project.standing(note.run) == "ok" and self._is_queued(project)

    def _take_over(
        self, project: Project, state: ProjectState, note: Owner | None, touched: float
    ) -> int | None:
        """Begin the run that goes on where nobody does.

        Returns:
            Its number, `ENDED` where the run was ended instead, None if all is well.
        """
        if not state.run.on_its_way:
            return None
        if state.status == "waiting":
            due = state.run.due or 0.0
            return self._begin(project, state, "waited", None) if time.time() >= due else None
        if not settings.get().shared_locks and lease.held(project.id):
            return None
        if note is not None and note.purpose == WORK:
            return self._rescue_dead(project, state, note)
        if note is not None and note.purpose == "failed":
            return _record_failure(project, state, note)
        return self._rescue_message(project, state, note, touched)

    def _rescue_message(
        self, project: Project, state: ProjectState, note: Owner | None, touched: float
    ) -> int | None:
        if note is not None and note.purpose == "sending" and note.alive is False:
            return self._begin(project, state, "sender_lost", None)
        since = max(touched, note.since if note else 0.0)
        young = time.time() - since <= settings.get().queue_grace_seconds
        if young or self._is_queued(project):
            return None
        return self._begin(project, state, "message_lost", None)

    def _rescue_dead(self, project: Project, state: ProjectState, note: Owner) -> int | None:
        weight = CHILD_DIED if note.parent_alive else WORKER_DIED
        deaths = {unit: state.run.deaths.get(unit, 0) + weight for unit in _in_hand(note)}
        records.close_lost(project.id, state.run.number)
        if note.stage is not None and max(deaths.values(), default=0) > MOST_DEATHS:
            _bury(project, state.run.number, note.stage, deaths)
            project.leave(None)
            return ENDED
        return self._begin(project, state, "owner_lost", deaths)

    def _begin(
        self, project: Project, state: ProjectState, why: str, deaths: dict[str, int] | None
    ) -> int:
        number = project.begin_run(
            state.run.stages,
            after=state.run.number,
            at_least=dispatch.latest_run(project.id),
            deaths=deaths,
        )
        project.leave(owners.me("sending", run=number))
        project.log("rescued", run=number, reason=why, units=sorted(deaths or ()))
        log.warning("project %s goes on as run %s: %s", project.id, number, why)
        return number

    def _is_queued(self, project: Project) -> bool:
        """Tell whether a message of the project waits in a queue, as of some seconds ago."""
        pause = (
            QUEUE_LOOK_SECONDS if project.id in self._queued else settings.get().watchdog_seconds
        )
        if time.monotonic() - self._looked > pause:
            self._queued = queued_projects()
            self._looked = time.monotonic()
        return project.id in self._queued

    def _end_frozen(self, project: Project) -> None:
        """End an owner on this machine that holds the lock and has shown no life for long.

        Measured by our own clock: one that was set, or a machine that slept, is nobody's death.
        """
        beat, moment = project.last_beat(), time.monotonic()
        seen, since = self._beats.setdefault(project.id, (beat, moment))
        if seen != beat:
            self._beats[project.id] = (beat, moment)
        elif moment - since > FROZEN_LEASES * settings.get().lease_seconds:
            note = project.owner()
            if note is not None and note.purpose == WORK and note.alive:
                log.error("process %s at project %s is frozen; it is ended", note.pid, project.id)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(note.pid, signal.SIGKILL)

    # -- ageing ------------------------------------------------------------------------------

    def _age(self) -> None:
        """Let what has waited long become more urgent, so that nothing starves."""
        step = settings.get().priority_ageing_seconds
        if time.monotonic() - self._aged < min(step / 4, 10):
            return
        self._aged = time.monotonic()
        for queue in QUEUES:
            keys = queue_keys(queue)
            for level in range(1, len(keys)):
                _raise_old(keys[level], keys[level - 1], level, step)


def _in_hand(note: Owner) -> tuple[str, ...]:
    """Return the units that a dead owner was at; the stage itself, where it was at none."""
    return note.units or ((note.stage,) if note.stage else ())


def _raise_old(key: str, above: str, level: int, step: float) -> None:
    client = celery_app.redis
    for _ in range(1000):
        raw: Any = client.lindex(key, -1)
        oldest = envelopes.read(raw)
        if oldest.sent is None or level <= oldest.priority - int(
            (time.time() - oldest.sent) / step
        ):
            return
        # the right end is the next to go; a message taken meanwhile moves another one, no harm
        client.lmove(key, above, "RIGHT", "LEFT")


def queued_projects() -> set[int]:
    """Return the projects that a message in a queue, or on its way to a worker, is about."""
    found = (envelope.headers.get("project") for envelope in _waiting_messages())
    return {number for number in found if isinstance(number, int)}


def _waiting_messages() -> Iterator[Envelope]:
    client: Any = celery_app.redis
    for key in queue_keys(QUEUES[0]).values():
        yield from map(envelopes.read, client.lrange(key, 0, -1))
    # a stage is acknowledged at once: what stays longer was a dead worker's
    young = client.zrangebyscore("unacked_index", time.time() - UNACKED_SECONDS, "+inf")
    yield from map(envelopes.read_taken, client.hmget("unacked", young) if young else ())


def _mark_unfinished() -> None:
    """Give every project its marker whose state says that its run is not over."""
    if projects_dir().exists():
        (projects_dir() / ACTIVE).mkdir(exist_ok=True)
    for number in ids(projects_dir()):
        with contextlib.suppress(ReelchainError, FileNotFoundError):
            project = open_project(number)
            if not project.active() and project.state().run.on_its_way:
                project.touch()


def _record_failure(project: Project, state: ProjectState, note: Owner) -> int | None:
    """Write into the state what its owner could only leave as a note: the disk was full."""
    if note.stage is None or note.error is None or note.run != state.run.number:
        return None
    if not fail(_bound(project, note.run), note.stage, note.error):
        return None
    project.leave(None)
    return ENDED


def _bury(project: Project, run: int, stage: Stage, deaths: dict[str, int]) -> None:
    error = PermanentError(
        "worker_lost",
        f"One worker after another died while making {', '.join(sorted(deaths))}.",
        "See the workers' logs (memory?), then ./reelchain dead replay or run the project again.",
    )
    fail(_bound(project, run), stage, fact_of(error))
    log.error("project %s: %s", project.id, error)


def _bound(project: Project, run: int) -> Project:
    """Return a handle for a run alone: another may begin, or this one be cancelled, meanwhile."""
    bound = Project(project.folder, project.id)
    bound.fence = run
    return bound


def _tell_rescued(project: Project, run: int) -> None:
    state = project.state()
    text = messages.text("rescued", state.spec.language)
    dispatch.tell(state, "rescued", text, run=run, status="running")


def _time_up(task_name: str, task_id: str) -> None:
    """Fail the project whose stage passed its hard limit; its child can't say so itself."""
    stage = stage_of(task_name)
    for number in active(projects_dir()):
        with contextlib.suppress(ReelchainError, Outdated, FileNotFoundError):
            project = open_project(number)
            note = project.owner()
            if stage is not None and note is not None and note.task == task_id:
                fail(_bound(project, note.run), stage, fact_of(time_limit(stage)))
                dispatch.settle(project)


class _Step(bootsteps.StartStopStep):
    """Starts the watchdog with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, _worker: WorkController, **_: Any) -> None:
        self._watchdog: Watchdog | None = None

    def start(self, _worker: WorkController) -> None:
        """Begin the rounds, and let lost children wake it."""
        self._watchdog = Watchdog()
        _request.on_lost.append(self._watchdog.wake)
        self._watchdog.start()

    def stop(self, _worker: WorkController) -> None:
        """End the rounds."""
        if self._watchdog is not None:
            self._watchdog.stop()


@signals.worker_shutting_down.connect
def _drain_after_grace(**_: Any) -> None:
    """Let short work end by itself; after DRAIN_SECONDS the rest is handed over."""
    timer = threading.Timer(settings.get().drain_seconds, _turn.drain)
    timer.daemon = True
    timer.start()


celery_app.steps["worker"].add(_Step)
_request.on_time_up.append(_time_up)
