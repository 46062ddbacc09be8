"""What the chaos is made with: a breakable connection, deaths to the millisecond, full disks."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import resource
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Process = tuple[int, int]
"""A process for good: its pid and when it started, in ticks since boot."""


def born(pid: int) -> int | None:
    """Return when a living process (or zombie) started; None where there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return None


def alive(process: Process) -> bool:
    """Tell whether this very process lives; a zombie does not."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{process[0]}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19]) == process[1] and fields[0] not in "ZX"
    return False


def children(pid: int) -> list[int]:
    """Return the pids below a process, all generations."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *children(child)]
    return found


def name_of(pid: int) -> str:
    """Return the name of a process's program; empty for none and for zombies."""
    with contextlib.suppress(OSError):
        return Path(os.fsdecode(os.readlink(f"/proc/{pid}/exe"))).name  # noqa: PTH115 - a deleted file's link is no path
    return ""


class Coroner(threading.Thread):
    """Knows when each watched process died: a pidfd wakes it."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="coroner")
        self.deaths: dict[Process, float] = {}
        self._watched: dict[int, Process] = {}
        self._known: set[Process] = set()
        self._poll = select.poll()
        self._over = False

    def watch(self, pids: Iterable[int]) -> None:
        """Watch processes; one that is gone already died now at the latest."""
        for pid in pids:
            since = born(pid)
            if since is None or (pid, since) in self._known:
                continue
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(pid)
                self._known.add((pid, since))
                self._watched[handle] = (pid, since)
                self._poll.register(handle, select.POLLIN)

    def death(self, process: Process) -> float | None:
        """Return when a process died; None while it lives."""
        if process not in self.deaths and not alive(process):
            time.sleep(0.05)  # the thread may be just about to say so
            self.deaths.setdefault(process, time.monotonic())
        return self.deaths.get(process)

    def run(self) -> None:
        while not self._over:
            for handle, _ in self._poll.poll(20):
                self.deaths[self._watched.pop(handle)] = time.monotonic()
                self._poll.unregister(handle)
                os.close(handle)

    def close(self) -> None:
        self._over = True
        self.join()
        for handle in self._watched:
            os.close(handle)


class Proxy(threading.Thread):
    """A TCP proxy on 127.0.0.1 whose connections can all be cut at once."""

    def __init__(self, target: int) -> None:
        super().__init__(daemon=True, name="proxy")
        self.target = target
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.start()
        self._ready.wait(10)

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        while left := asyncio.all_tasks(self._loop):
            self._abort()
            self._loop.run_until_complete(asyncio.wait(left, timeout=0.2))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, upstream[1])
        self._writers.update(pair)
        try:
            flows = self._flow(reader, upstream[1]), self._flow(upstream[0], writer)
            await asyncio.gather(*flows)
        finally:
            for end in pair:
                end.transport.abort()
                self._writers.discard(end)

    async def _flow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(1 << 16):
                writer.write(block)
                await writer.drain()
        writer.transport.abort()

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def cut(self) -> int:
        """Abort every connection; return how many there were."""
        count = len(self._writers) // 2
        self._loop.call_soon_threadsafe(self._abort)
        return count

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(10)


class Caller:
    """A user's Python in a process of its own that waits with its own `.get()`."""

    def __init__(self, code: str, environment: dict[str, str], log: Path, folder: Path) -> None:
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-u", str(Path(__file__).with_name("_client.py"))],
                env=environment,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.close()

    def answered(self) -> bool:
        return self._process.poll() is not None

    def answer(self) -> Any:
        """Return what it told, once it has ended."""
        assert self._process.stdout is not None
        text = self._process.stdout.read()
        self._process.stdout.close()
        answer = json.loads(text) if text else {"error": f"ended {self._process.wait()}"}
        return answer.get("told", answer)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


# -- full and read-only ----------------------------------------------------------------------


def _run(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


class SmallDisk:
    """A tmpfs as the data folder: full is where its size is what it holds."""

    name = "tmpfs of its own, shrunk to what it holds"
    size = 4 << 30

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        options = f"size={self.size},mode=755"
        made = _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._folder))
        if made:
            atexit.register(self.end)
        return made

    def fill(self) -> bool:
        for spare in (0, 1 << 16, 1 << 20):
            facts = os.statvfs(self._folder)
            used = (facts.f_blocks - facts.f_bfree) * facts.f_frsize + spare
            if _run("mount", "-o", f"remount,size={used}", str(self._folder)):
                return True
        return False

    def relieve(self) -> None:
        _run("mount", "-o", f"remount,size={self.size}", str(self._folder))

    def end(self) -> None:
        atexit.unregister(self.end)
        _run("umount", "-l", str(self._folder))


class SmallFiles:
    """A limit on the size of files that the workers' processes get and lose: for no root."""

    name = "RLIMIT_FSIZE of the workers' processes"
    limit = 16 << 10

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids = pids
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def begin(self) -> bool:
        return hasattr(resource, "prlimit")

    def fill(self) -> bool:
        return self._set((self.limit, self._before[1]))

    def relieve(self) -> None:
        self._set(self._before)

    def _set(self, limits: tuple[int, int]) -> bool:
        done = False
        for pid in self._pids():
            with contextlib.suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
                done = True
        return done

    def end(self) -> None:
        """The limits went with the processes."""


class ReadOnlyMount:
    """A folder mounted over itself, read-only: also root meets it."""

    name = "read-only bind mount over the folder"

    def set(self, folder: Path) -> bool:
        if not _run("mount", "--bind", str(folder), str(folder)):
            return False
        if _run("mount", "-o", "remount,bind,ro", str(folder)):
            return True
        self.unset(folder)
        return False

    def unset(self, folder: Path) -> None:
        _run("umount", "-l", str(folder))


class ReadOnlyFlag:
    """The folders' immutable flag: for root where nothing may be mounted."""

    name = "chattr +i on the folders"

    def set(self, folder: Path) -> bool:
        return _run("chattr", "+i", *_folders(folder))

    def unset(self, folder: Path) -> None:
        _run("chattr", "-i", *_folders(folder))


class ReadOnlyMode:
    """No write permission on the folders: for users who are not root."""

    name = "chmod a-w on the folders"

    def set(self, folder: Path) -> bool:
        if os.geteuid() == 0:
            return False
        for path in _folders(folder):
            with contextlib.suppress(OSError):
                Path(path).chmod(0o555)
        return True

    def unset(self, folder: Path) -> None:
        for path in _folders(folder):
            with contextlib.suppress(OSError):
                Path(path).chmod(0o755)


def _folders(folder: Path) -> list[str]:
    return [str(folder), *(str(path) for path in folder.rglob("*") if path.is_dir())]


ReadOnly = ReadOnlyMount | ReadOnlyFlag | ReadOnlyMode


def read_only(folder: Path) -> ReadOnly | None:
    """Return the way this machine has to make a folder read-only, tried out; None if it has none."""
    probe = folder / "read-only-probe"
    probe.mkdir()
    try:
        for way in (ReadOnlyMount(), ReadOnlyFlag(), ReadOnlyMode()):
            if way.set(probe):
                try:
                    (probe / "x").touch()
                except OSError:
                    return way
                finally:
                    way.unset(probe)
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return None
