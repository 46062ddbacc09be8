"""Every error a user can meet: a class, a code, what happened, what to do, an exit code.

An error travels through Celery's JSON result backend as its positional arguments, so those
are plain JSON values and rebuild the same error at the caller: ``cls(*error.args)``.
"""

from __future__ import annotations

import errno
from typing import ClassVar

_UNWRITABLE = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)
)
_MISPLACED = frozenset(
    (errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTEMPTY, errno.EEXIST)
)


class ReelchainError(Exception):
    """Base of all errors with a code.

    Args:
        code: Stable identifier, listed in docs/errors.md.
        message: One sentence: what happened.
        hint: One sentence: what to do about it; may be empty.
        retry_after: Seconds the service asked to wait, for errors worth another try.
    """

    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self, code: str, message: str, hint: str = "", retry_after: float | None = None
    ) -> None:
        message, hint = _writable(message), _writable(hint)
        super().__init__(code, message, hint, retry_after)
        self.code = code
        self.message = message
        self.hint = hint
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class HealthError(ReelchainError):
    """A part of the installation is not well; said by `health`, for container managers."""


class InputError(ReelchainError):
    """What the user gave can't be used: a story, a picture, a setting, an id. Never retried."""

    exit_code = 2


class NotFoundError(InputError):
    """A project, batch or file that does not exist."""

    exit_code = 3


class StateError(ReelchainError):
    """A project's own files can't be read or trusted. Nothing was changed."""

    exit_code = 4


class TransientError(ReelchainError):
    """Worth another try: 408, 429, 5xx, a time-out, a lost connection."""

    exit_code = 5
    retryable = True


class QuotaError(ReelchainError):
    """A quota of the day is used up: the project waits, it does not fail."""

    exit_code = 6


class UnfinishedError(ReelchainError):
    """A service is still at work on what it was given: the project waits, it does not fail."""

    exit_code = 12


class BudgetError(ReelchainError):
    """The next paid call might pass the budget: somebody has to say whether it may."""

    exit_code = 13


class PermanentError(ReelchainError):
    """A service said no for good: 400, 401, 403, 404. Never retried."""

    exit_code = 7


class MediaError(ReelchainError):
    """FFmpeg, a font, a voice or a picture could not be worked with."""

    exit_code = 8


class CheckError(ReelchainError):
    """A finished video is not as it must be; said by `check`."""

    exit_code = 14


class ServiceError(ReelchainError):
    """Redis, a worker or a program the work needs is not there."""

    exit_code = 9


class DiskError(ReelchainError):
    """The disk is full, or a folder can't be written."""

    exit_code = 10


class TimeLimitError(ReelchainError):
    """A stage took longer than it may. What it made is kept."""

    exit_code = 11


class Cancelled(ReelchainError):  # noqa: N818 - a decision of the user, not a fault
    """The run was cancelled; it can be resumed."""

    exit_code = 130


class InternalError(ReelchainError):
    """A fault of ours: an exception nobody foresaw, under its own name."""

    exit_code = 70


def _writable(text: str) -> str:
    """Return `text` with what no file or message takes (bytes of a broken file name) spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def rebuild(kind: str, code: str, message: str, hint: str) -> ReelchainError:
    """Return the error that a state or a message remembers by its class's name."""
    found = {c.__name__: c for c in _subclasses(ReelchainError)}.get(kind, InternalError)
    return found(code, message, hint)


def _subclasses(kind: type[ReelchainError]) -> list[type[ReelchainError]]:
    return [c for sub in kind.__subclasses__() for c in (sub, *_subclasses(sub))]


def describe(error: BaseException) -> ReelchainError:
    """Return `error` as one of ours; an unforeseen one becomes an `InternalError` that names it."""
    if isinstance(error, ReelchainError):
        return error
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        where = f" ({error.filename})" if error.filename else ""
        return DiskError(
            "disk_unwritable",
            f"A file could not be written{where}: {error.strerror}.",
            "Free some space or mend the permissions, then run the project again.",
        )
    if isinstance(error, OSError) and error.errno in _MISPLACED and error.filename:
        return StateError(
            "file_unusable",
            f"{error.filename2 or error.filename} can't be used: {error.strerror}.",
            "Put the right file or folder in its place, or remove it, then try again.",
        )
    return InternalError(
        "internal",
        f"{type(error).__name__}: {error}",
        "This is a fault in Reelchain; please report it with the log of the worker.",
    )
