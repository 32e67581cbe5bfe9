"""The failures that a user of the platform is meant to read: each is one line, and its kind is the exit status.

| kind | exit status | what helps |
|---|---|---|
| `InputError` | 2 | give another file, option or setting |
| `EnvironmentFaultError` | 3 | start, install or free what is missing, then run the same command |
| `ConflictError` | 4 | wait for, or end, what another process or rollout does, then run the same command |
"""

import errno
from typing import ClassVar

from components.foundation.redaction import without_passwords

# A write that fails for one of these fails wherever the user lets it write on this machine.
_FAULTS_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.EMFILE, errno.ENFILE}


class RelandError(Exception):
    """A failure that ends a command with its message as one line, no traceback, and `exit_status`.

    Raise one of its kinds. The message names the file (and line), the setting or the server, says what is wrong with
    it and, where it helps, what was expected. Passwords of addresses in it become stars: tracebacks show it, too.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str):
        super().__init__(without_passwords(" ".join(message.split())))


class InputError(RelandError):
    """A fault of what the user typed or gave: an option, a setting, the content of a file."""

    exit_status = 2


class EnvironmentFaultError(RelandError):
    """The environment lacks what the command needs.

    A server does not answer; a program, a package, an image or a port is not to be had; a disk is full.
    """

    exit_status = 3


class ConflictError(RelandError):
    """What the command would change is in another's hands.

    Another process holds the lock, a rollout runs, a version is in use, or a guardrail stopped it.
    """

    exit_status = 4


KINDS: tuple[type[RelandError], ...] = (InputError, EnvironmentFaultError, ConflictError)


def write_failure(message: str, error: OSError) -> RelandError:
    """The error to raise for a failed write: the environment's where the disk is at fault, else the user's path is."""
    return (EnvironmentFaultError if error.errno in _FAULTS_OF_THE_DISK else InputError)(message)


def first_line(error: Exception) -> str:
    """What a library says is wrong, without the paragraphs of advice that may follow."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
