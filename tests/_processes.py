"""Several real processes that start their work at the same moment, and whether one still lives."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import psutil

_FORK = multiprocessing.get_context("fork")


def in_processes(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Call `work(0)` … `work(count - 1)` in a process each, at once; return what they returned."""
    barrier = _FORK.Barrier(count)

    def child(number: int, pipe: Connection) -> None:
        try:
            barrier.wait(30)
            pipe.send((True, work(number)))
        except BaseException:  # noqa: BLE001 - shown by the parent
            pipe.send((False, traceback.format_exc()))

    pairs = [_FORK.Pipe(duplex=False) for _ in range(count)]
    children = [_FORK.Process(target=child, args=(n, pairs[n][1])) for n in range(count)]
    try:
        for process in children:
            process.start()
        results = []
        for reader, _ in pairs:
            assert reader.poll(60), "a process does not come back"
            well, value = reader.recv()
            assert well, value
            results.append(value)
        return results
    finally:
        for process in children:
            process.kill()
            process.join()
        for pair in pairs:
            for end in pair:
                end.close()


def killed(work: Callable[[], object]) -> bool:
    """Run `work` in a process of its own; True if a SIGKILL ended it, False if it came to its end."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            work()
            status = 0
        except BaseException:  # noqa: BLE001 - the child must not come back into the test
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed; its traceback is above"
    return False


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped does not."""
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False
