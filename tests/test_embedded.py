"""The stack: one per data folder, found by all, outlived by nothing it started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from _processes import alive
from _redis import begin, free_port, until
from app import embedded, settings
from app.embedded import child, record, server
from app.embedded.supervisor import Supervisor
from app.errors import ServiceError

APP = "tiny_app"
TINY_APP = """
import time
from celery import Celery
from app import embedded

app = Celery("tiny", broker=embedded.address(), backend=embedded.address())
app.conf.update(
    task_default_queue="maintenance",
    worker_disable_prefetch=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
)

@app.task(name="nap")
def nap(seconds):
    time.sleep(seconds)
    return "rested"
"""


def ours(folder: Path) -> list[psutil.Process]:
    """Every process that was given this data folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            told = process.environ().get("DATA_DIR") == str(folder)
            if told and process.pid != os.getpid() and alive(process.pid):
                found.append(process)
    return found


@dataclass(frozen=True)
class Place:
    """A folder with a tiny application and a data folder, and a default address of its own."""

    folder: Path
    port: int

    @contextlib.contextmanager
    def entered(self, idle: str = "600") -> Iterator[Path]:
        """Let the settings name this place."""
        data = self.folder / "data folder"
        path = os.pathsep.join((str(self.folder), str(settings.ROOT / "backend")))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(settings, "DEFAULT_REDIS", ("localhost", self.port, 0))
            patch.setenv("DATA_DIR", str(data))
            patch.setenv("REDIS_PORT", str(self.port))
            patch.setenv("PYTHONPATH", path)
            patch.setenv("STACK_IDLE_SECONDS", idle)
            settings.get.cache_clear()
            yield data
        settings.get.cache_clear()

    def end(self) -> None:
        """Stop what runs here, and see that all of it is gone."""
        with self.entered() as data:
            embedded.leave()
            embedded.stop()
            left = ours(data)
            for process in left:
                process.kill()
        assert not left, f"left behind: {left}"


def make_place(folder: Path) -> Place:
    (folder / "tiny_app.py").write_text(TINY_APP)
    return Place(folder, free_port())


@pytest.fixture
def data(tmp_path: Path, data_dir: Path) -> Iterator[Path]:
    place = make_place(tmp_path)
    with place.entered() as folder:
        yield folder
    place.end()


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = make_place(tmp_path_factory.mktemp("shared"))
    yield place
    place.end()


@pytest.fixture
def shared(shared_place: Place, data_dir: Path) -> Iterator[Path]:
    """A data folder whose stack the tests share; each calls `ensure`, which starts what is not."""
    with shared_place.entered(idle="1") as folder:
        yield folder


CLIENT = (
    "import sys; from app import settings, embedded;"
    "settings.DEFAULT_REDIS = ('localhost', settings.get().redis_port, 0);"
)


def client(code: str, **options: Any) -> subprocess.Popen[str]:
    """Another process, with the same settings."""
    command = [sys.executable, "-c", CLIENT + code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


# -- the running stack


@pytest.mark.acceptance
@pytest.mark.redis
def test_two_starters_get_one_stack_that_is_ready_and_keeps_its_secret(shared: Path) -> None:
    starters = [client(f"print(embedded.ensure(app={APP!r}))") for _ in range(2)]
    urls = [starter.communicate(timeout=60)[0].strip() for starter in starters]
    assert urls[0] == urls[1] == embedded.ensure(app=APP) == embedded.address()

    facts = embedded.status()
    supervisors = [p for p in ours(shared) if "app.embedded" in p.cmdline()]
    assert [p.pid for p in supervisors] == [facts["pid"]]
    assert facts["running"]
    assert facts["redis"]["version"]
    assert all(alive(pid) for pid in (facts["redis"]["pid"], *facts["workers"].values()))

    password = urls[0].split(":")[2].split("@")[0]
    assert len(password) > 20
    run = shared / "run"
    for name in ("stack.json", "redis.conf"):
        assert stat.S_IMODE((run / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert not [p for p in psutil.process_iter() if password in " ".join(_cmdline(p))]
    assert not [log for log in run.glob("*.log") if password in log.read_text()]
    assert password not in json.dumps(facts)


def _cmdline(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


@pytest.mark.acceptance
@pytest.mark.redis
def test_a_ready_stack_has_answered_and_works(shared: Path) -> None:
    application = _application(embedded.ensure(app=APP))
    answers = application.control.inspect(timeout=2, limit=2).ping()
    assert sorted(name.split("@")[0] for name in answers) == ["batch", "video"]
    assert application.send_task("nap", [0]).get(timeout=10) == "rested"


def _application(url: str) -> Any:
    from celery import Celery

    application = Celery("test", broker=url, backend=url, set_as_current=False)
    application.conf.task_default_queue = "maintenance"
    return application


def _ask(*words: str) -> Any:
    found = record.read(record.run_dir())
    with server.Wire("127.0.0.1", found["port"], found["password"]) as wire:
        return wire.ask(*words)


def _loaded() -> bool:
    try:
        return bool(_ask("PING") == "PONG")
    except ValueError:  # LOADING
        return False


@pytest.mark.acceptance
@pytest.mark.redis
def test_a_killed_redis_or_worker_comes_back_with_its_data(shared: Path) -> None:
    url = embedded.ensure(app=APP)
    _ask("RPUSH", "kept", "one")
    # while it waits for a slow disk, Redis answers before it has written
    until(lambda: "aof_buffer_length:0\r" in str(_ask("INFO", "persistence")), 20, "it is written")
    before = embedded.status()
    os.kill(before["redis"]["pid"], signal.SIGKILL)
    os.kill(before["workers"]["batch"], signal.SIGKILL)

    def back() -> bool:
        now = embedded.status()
        return now["redis"]["pid"] not in {None, before["redis"]["pid"]} and now["workers"][
            "batch"
        ] not in {None, before["workers"]["batch"]}

    until(back, 20, "both are started again")
    assert embedded.address() == url
    until(
        lambda: server.probe("127.0.0.1", record.read(record.run_dir())["port"]) == "password",
        what="Redis answers",
    )
    until(_loaded, 20, "Redis has read its data again")
    assert _ask("LRANGE", "kept", "0", "-1") == ["one"]
    assert _application(url).send_task("nap", [0]).get(timeout=30) == "rested"


@pytest.mark.acceptance
@pytest.mark.redis
def test_nothing_outlives_a_killed_supervisor_and_the_next_goes_on_there(shared: Path) -> None:
    url = embedded.ensure(app=APP)
    _ask("SET", "kept-too", "yes")
    everyone = ours(shared)
    assert len(everyone) >= 5
    os.kill(embedded.status()["pid"], signal.SIGKILL)
    until(lambda: not ours(shared), 20, "Redis, workers and their children are gone")
    assert not embedded.status()["running"]
    assert embedded.address() == settings.get().redis_url

    assert embedded.ensure(app=APP) == url
    assert _ask("GET", "kept-too") == "yes"


@pytest.mark.acceptance
@pytest.mark.redis
def test_it_ends_after_the_last_client_but_not_while_work_is_left(shared: Path) -> None:
    application = _application(embedded.ensure(app=APP))
    supervisor = embedded.status()["pid"]
    with client(
        "embedded.join(); print('in', flush=True); sys.stdin.read()", stdin=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        embedded.leave()
        with pytest.raises(AssertionError):
            _gone(supervisor, 2.0)
        rest = application.send_task("nap", [3.0])
        queued = application.send_task("nap", [1.0])
        other.kill()

    assert rest.get(timeout=20) == "rested"
    assert alive(supervisor), "it ended with work in hand"
    assert queued.get(timeout=20) == "rested"
    _gone(supervisor, 40)
    until(lambda: not ours(shared), 20, "all of it is gone")
    assert embedded.status()["phase"] == "ended"


def _gone(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while alive(pid):
        assert time.monotonic() < deadline, "it still lives"
        time.sleep(0.02)


def test_who_was_quicker_to_start_is_told_of(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one starts a stack between our look and our start."""
    lives, kinds = [False, True, True, True], ["private", "up"]
    monkeypatch.setattr(record, "lives", lambda _folder: lives.pop(0))
    monkeypatch.setattr(record, "read", lambda _folder: {"kind": kinds.pop(0), "pid": 1})
    monkeypatch.setattr(embedded, "stop", lambda: True)
    monkeypatch.setattr(embedded, "_start", lambda *_args, **_how: None)
    with pytest.raises(ServiceError) as caught:
        embedded.serve()
    assert caught.value.code == "stack_running"


# -- starts that fail


@pytest.mark.acceptance
@pytest.mark.redis
def test_workers_that_can_not_start_are_an_error_that_names_their_log(data: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        embedded.ensure(app="no_such_app")
    assert caught.value.code == "workers_failed"
    named = caught.value.hint.split()[-1].rstrip(".")
    assert (
        "no_such_app"
        in Path(caught.value.hint.removeprefix("The reason stands in ")[:-1]).read_text()
    ), named
    assert not ours(data)


def test_a_redis_program_that_is_missing_says_the_ways_out(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ServiceError, match="CELERY_BROKER_URL") as caught:
        server.program()
    assert caught.value.code == "redis_missing"


def test_a_program_on_the_path_is_used_if_it_is_new_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = server.program()
    assert wheel.path.name == "valkey-server" or wheel.why.endswith("on the PATH")
    found = tmp_path / "redis-server"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.defpath}")
    for version, chosen in (("7.0.15", True), ("5.0.3", False), ("", False)):
        found.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0'\n")
        found.chmod(0o755)
        program = server.program()
        assert (program.path == found) is chosen
        assert chosen or "older than 6.2" in program.why


# -- `up`


@pytest.mark.acceptance
@pytest.mark.redis
def test_up_listens_where_settings_say_and_ends_with_its_owner(data: Path) -> None:
    port = settings.get().redis_port
    code = f"embedded.serve(lambda said: print(said, flush=True), app={APP!r})"
    with client(code) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "Starting Redis and the workers\n"
        assert first.stdout.readline() == f"Ready at localhost:{port}/0\n"
        assert server.probe("127.0.0.1", port) == "redis"
        assert server.probe("127.0.0.1", port, owner=data / "elsewhere") == "other folder"
        assert embedded.ensure(app=APP) == settings.get().redis_url
        with pytest.raises(ServiceError, match="up already"):
            embedded.serve()
        first.kill()
    until(lambda: not ours(data), 15, "all of it is gone")


@pytest.mark.acceptance
@pytest.mark.redis
def test_up_uses_a_redis_that_is_there_and_ctrl_c_leaves_it(data: Path, tmp_path: Path) -> None:
    port = settings.get().redis_port
    code = f"embedded.serve(lambda said: print(said, flush=True), app={APP!r})"
    with begin(tmp_path, port, env={}) as redis:
        until(lambda: server.probe("127.0.0.1", port) == "redis", 20, "the user's Redis answers")
        assert embedded.ensure(app=APP) == settings.get().redis_url
        assert not embedded.status()["running"]
        with client(code) as up:
            assert up.stdout is not None
            assert up.stdout.readline() == "Starting the workers\n"
            assert up.stdout.readline().startswith("Ready at ")
            assert embedded.status()["redis"] is None
            up.send_signal(signal.SIGINT)
            assert up.stdout.readline() == "Stopping the workers, then Redis\n"
            assert up.wait(30) == 0
        assert server.probe("127.0.0.1", port) == "redis"
        redis.terminate()


def test_up_never_takes_a_stack_away_from_another_command(data: Path) -> None:
    folder = record.made(record.run_dir())
    record.write_private(folder / "stack.json", json.dumps({"kind": "private", "phase": "ready"}))
    held = [
        record.lock(folder / name, record.EXCLUSIVE) for name in ("supervisor.lock", "clients.lock")
    ]
    try:
        with pytest.raises(ServiceError) as caught:
            embedded.serve()
        assert caught.value.code == "stack_in_use"
    finally:
        for handle in held:
            os.close(handle or -1)


# -- a Redis of ours, without workers


@contextlib.contextmanager
def running(folder: Path, place: server.Place | None) -> Iterator[server.Server]:
    def wait(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    redis = server.Server(record.made(folder), place, wait=wait)
    try:
        redis.start()
        yield redis
    finally:
        redis.child.kill()


@pytest.mark.redis
def test_data_that_can_not_be_read_is_put_aside(data: Path) -> None:
    folder = data / 'run "with" quotes'
    with running(folder, server.Place(0, "secret word")) as redis, redis.wire() as wire:
        assert wire.ask("SET", "key", "value") == "OK"
        # while it waits for a slow disk, Redis answers before it has written
        until(
            lambda: "aof_buffer_length:0\r" in str(wire.ask("INFO", "persistence")),
            20,
            "it is written",
        )
        kept = (redis.port, redis.password)
    with running(folder, server.Place(*kept)) as redis, redis.wire() as wire:
        assert redis.port == kept[0]
        assert wire.ask("GET", "key") == "value"
        assert wire.ask("CONFIG", "GET", "maxmemory-policy") == ["maxmemory-policy", "noeviction"]
        assert wire.ask("CONFIG", "GET", "appendonly") == ["appendonly", "yes"]
    (log,) = (folder / "redis" / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(b"*nonsense\r\n" * 9)
    with running(folder, server.Place(*kept)) as redis, redis.wire() as wire:
        assert wire.ask("GET", "key") is None
    assert (folder / "redis.unreadable" / "appendonlydir").is_dir()


@pytest.mark.redis
def test_a_taken_port_is_left_to_its_owner(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with running(data / "run", server.Place(taken.getsockname()[1], "word")) as redis:
            assert redis.port != taken.getsockname()[1]
            assert redis.port in server.PORTS


# -- asking an address


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[int]:
    """A program that says `answer` to each line sent, or nothing at all."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        while answer is not None and connection.recv(4096):
                            connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (b"+PONG\r\n", "redis"),
        (b"-NOAUTH Authentication required.\r\n", "password"),
        (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "password"),
        (b"-ERR AUTH <password> called without any password configured\r\n", "password"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "redis"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not redis"),
        (b"\x00\xff\r\n", "not redis"),
        (b"$nonsense\r\n", "not redis"),
    ],
)
def test_probe_tells_what_listens(said: bytes, meant: str) -> None:
    with answering(said) as port:
        assert server.probe("127.0.0.1", port) == meant


def test_probe_of_nobody_and_of_one_who_says_nothing() -> None:
    assert server.probe("127.0.0.1", free_port()) == "none"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        assert server.probe("127.0.0.1", silent.getsockname()[1]) == "none"
        assert time.monotonic() - began < 5


def test_a_password_at_the_default_address_is_an_error_only_when_needed(data: Path) -> None:
    with (
        answering(b"-NOAUTH Authentication required.\r\n") as port,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(settings, "DEFAULT_REDIS", ("localhost", port, 0))
        patch.setenv("REDIS_PORT", str(port))
        settings.get.cache_clear()
        assert embedded.address() == f"redis://localhost:{port}/0"
        for needs in (embedded.ensure, embedded.serve):
            with pytest.raises(ServiceError) as caught:
                needs()
            assert caught.value.code == "redis_password"


def test_up_says_who_has_its_port_and_never_starts_a_redis_elsewhere(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        monkeypatch.setenv("REDIS_PORT", str(port))
        settings.get.cache_clear()
        with pytest.raises(ServiceError) as caught:
            embedded.serve()
    assert caught.value.code == "port_in_use"
    monkeypatch.setenv("REDIS_HOST", "redis.example")
    monkeypatch.setattr(embedded, "probe", lambda *_, **__: "none")
    settings.get.cache_clear()
    with pytest.raises(ServiceError) as caught:
        embedded.serve()
    assert caught.value.code == "redis_unreachable"


# -- clients and records


def test_a_named_redis_is_used_as_it_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:word@192.0.2.1:6379/3")
    settings.get.cache_clear()
    assert embedded.address() == embedded.ensure() == "redis://:word@192.0.2.1:6379/3"
    embedded.join()
    assert not data.exists()


def test_asking_for_the_address_is_quick_and_starts_nothing(data: Path) -> None:
    began = time.process_time()
    for _ in range(100):
        assert embedded.address() == settings.get().redis_url
    assert time.process_time() - began < 0.5
    assert not data.exists()
    assert embedded.status()["running"] is False
    assert embedded.stop() is False


def test_a_client_counts_until_it_dies_and_its_forks_do_not(data: Path) -> None:
    folder = record.made(record.run_dir())
    code = (
        "import os, time; embedded.join(); embedded.join(); pid = os.fork()\n"
        "if pid == 0: os.close(1); os.setsid(); sys.stdin.read(); os._exit(0)\n"
        "print(pid, flush=True); time.sleep(60)"
    )
    with client(code, stdin=subprocess.PIPE) as other:
        assert other.stdout is not None
        fork = int(other.stdout.readline())
        assert not record.deserted(folder)
        other.kill()
        other.wait()
        until(lambda: record.deserted(folder), 20, "only the fork is left")
        assert alive(fork)
    until(lambda: not alive(fork), 20, "the fork ends with its input")


def test_many_clients_at_once(data: Path) -> None:
    folder = record.made(record.run_dir())
    with ThreadPoolExecutor(4) as pool:
        held = list(pool.map(lambda _: record.lock(folder / "clients.lock", 1), range(20)))
    assert None not in held
    assert not record.deserted(folder)
    for handle in held:
        os.close(handle or -1)
    assert record.deserted(folder)


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"phase": "ready"', "\x00"])
def test_a_damaged_record_is_no_stack(data: Path, text: str) -> None:
    folder = record.made(record.run_dir())
    (folder / "stack.json").write_text(text)
    assert record.read(folder) == {}
    assert embedded.address() == settings.get().redis_url
    assert embedded.stop() is False


def test_a_stale_record_names_nobody_to_kill(data: Path) -> None:
    folder = record.made(record.run_dir())
    told = {"phase": "ready", "url": "redis://x", "pid": os.getpid(), "port": 1}
    record.write_private(folder / "stack.json", json.dumps(told))
    assert embedded.address() == settings.get().redis_url
    assert embedded.stop() is False
    record.retire(folder)
    assert record.read(folder) == {**told, "phase": "ended", "pid": None}


def test_only_true_leftovers_of_a_predecessor_are_killed(data: Path) -> None:
    folder = record.made(record.run_dir())
    sleepers = [subprocess.Popen(["sleep", "60"], process_group=0) for _ in range(2)]
    born = {str(p.pid): psutil.Process(p.pid).create_time() for p in sleepers}
    born[str(sleepers[1].pid)] += 5
    supervisor = Supervisor(folder, "private", APP, False, {"born": born}, 60)
    supervisor._wake = os.open("/dev/null", os.O_RDONLY)
    supervisor._bury()
    os.close(supervisor._wake)
    assert sleepers[0].wait(5) == -signal.SIGKILL
    assert sleepers[1].poll() is None
    sleepers[1].kill()
    sleepers[1].wait()


# -- children


def test_what_ends_is_started_again_later_and_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(child, "time", SimpleNamespace(monotonic=lambda: now[0]))
    kept = child.Child("false", ["false"], tmp_path / "log", record.environment())
    kept.start()
    for pause in (0.25, 0.5, 1.0):
        until(lambda: kept.pid is None, 20, "it has ended")
        assert kept.mend()
        now[0] += pause - 0.01
        assert not kept.mend(), "it was started before its pause was over"
        now[0] += 0.01
        assert kept.mend()
    kept.kill()
    assert kept.failures == 3


def test_a_guard_kills_its_program_when_its_parent_is_gone() -> None:
    guarded = child.guarded(
        [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
    )
    script = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    environment = record.environment()
    with subprocess.Popen(
        [sys.executable, "-c", script, *guarded], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        program = int(parent.stdout.readline())
        parent.kill()
    until(lambda: not alive(program), 5, "the program is gone")


def test_a_guard_passes_signals_on_and_returns_the_exit_code() -> None:
    script = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen(
        child.guarded([sys.executable, "-c", script]),
        stdout=subprocess.PIPE,
        text=True,
        env=record.environment(),
    ) as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline() == "1\n"
        guard.terminate()
        assert guard.wait(10) == 7


def test_logs_keep_their_end_and_one_predecessor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "LOG_BYTES", 100)
    path = tmp_path / "worker.log"
    with path.open("ab") as writer:
        writer.write(b"old" * 100)
        writer.flush()
        child.trim(path)
        writer.write(b"new")
    assert path.read_bytes() == b"new"
    assert (tmp_path / "worker.log.1").read_bytes() == b"old" * 100
    assert child.tail(path, 2) == "ew"
