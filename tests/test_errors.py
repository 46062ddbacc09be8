"""Errors: a code, what happened, what to do; the same after the way through Celery."""

from __future__ import annotations

import errno
import json
import pickle
from collections import Counter

import pytest
from celery import Celery
from celery.backends.base import Backend

from app import errors
from app.errors import InternalError, ReelchainError, describe, rebuild
from app.models import ErrorFact

CLASSES = [ReelchainError, *errors._subclasses(ReelchainError)]
SAMPLES = [
    ("no_hint", "It happened.", "", None),
    ("plain", "It happened.", "Do this.", None),
    ("later", "Too many calls.", "Wait.", 12.5),
    ("zh", "字型沒有「𠮷」這個字。", "請換一種字型。🎬", 3),
    ("odd", 'A "quoted" %s {brace}\n\x00 line', "\\ and /", 0.0),
]


@pytest.fixture(scope="module")
def backend() -> Backend:
    app = Celery("test", backend="cache+memory://", set_as_current=False)
    app.conf.result_serializer = "json"
    app.conf.accept_content = ["json"]
    found: Backend = app.backend
    return found


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample[0])
def test_an_error_comes_to_the_caller_as_it_was_raised(
    backend: Backend, kind: type[ReelchainError], sample: tuple[str, str, str, float | None]
) -> None:
    error = kind(*sample)
    stored = json.loads(json.dumps(backend.prepare_exception(error, "json")))
    found = backend.exception_to_python(stored)
    assert type(found) is kind
    assert (found.code, found.message, found.hint, found.retry_after) == sample
    assert str(found) == str(error)
    assert (found.exit_code, found.retryable) == (kind.exit_code, kind.retryable)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_survives_a_process_pool(kind: type[ReelchainError]) -> None:
    found = pickle.loads(pickle.dumps(kind("code", "What.", "Do.", 1.5)))  # noqa: S301 - our own
    assert (type(found), found.args) == (kind, ("code", "What.", "Do.", 1.5))


@pytest.mark.parametrize("kind", CLASSES[1:], ids=lambda kind: kind.__name__)
def test_an_error_is_rebuilt_by_the_name_of_its_class(kind: type[ReelchainError]) -> None:
    found = rebuild(kind.__name__, "code", "What.", "Do.")
    assert (type(found), found.code, found.message, found.hint) == (kind, "code", "What.", "Do.")


@pytest.mark.parametrize("name", ["", "Exception", "SystemExit", "ReelchainError", "os.system"])
def test_a_name_of_no_class_of_ours_gives_an_internal_error(name: str) -> None:
    assert type(rebuild(name, "code", "What.", "")) is InternalError


def test_exit_codes_tell_the_classes_apart() -> None:
    codes = Counter(kind.exit_code for kind in CLASSES[1:])
    assert codes.most_common(1)[0][1] == 1
    # 0 is success; a shell takes 126 to 128 for itself, and from 129 on for signals
    assert all(0 < code < 126 or kind.__name__ == "Cancelled" for kind, code in
               ((kind, kind.exit_code) for kind in CLASSES))  # fmt: skip
    assert errors.Cancelled.exit_code == 130


def test_only_what_may_pass_is_tried_again() -> None:
    assert [kind.__name__ for kind in CLASSES if kind.retryable] == ["TransientError"]


def test_every_class_says_when_it_is_raised() -> None:
    assert all(kind.__doc__ for kind in CLASSES)
    assert len({kind.__doc__ for kind in CLASSES}) == len(CLASSES)


def test_an_error_of_ours_is_described_by_itself() -> None:
    error = errors.MediaError("code", "What.")
    assert describe(error) is error
    assert str(error) == "What."


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EFBIG"])
def test_a_disk_that_takes_nothing_is_named(name: str) -> None:
    found = describe(OSError(getattr(errno, name), "why", "/data/x.mp4"))
    assert type(found) is errors.DiskError
    assert "/data/x.mp4" in found.message
    assert "why" in found.message
    assert found.hint


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError("no number"), FileNotFoundError(2, "No such file", "a"), MemoryError(), KeyError("k")]
)  # fmt: skip
def test_what_nobody_foresaw_is_an_internal_error_with_its_name(error: Exception) -> None:
    found = describe(error)
    assert (type(found), found.code, found.exit_code) == (InternalError, "internal", 70)
    assert type(error).__name__ in found.message
    assert found.hint


def test_a_broken_file_name_does_not_break_the_record_of_the_error() -> None:
    found = describe(PermissionError(13, "Permission denied", "pictures/\udcff門.jpg"))
    assert "pictures/\\udcff門.jpg" in found.message
    fact = ErrorFact(type="DiskError", code=found.code, message=found.message, hint=found.hint)
    assert fact.model_dump_json()
