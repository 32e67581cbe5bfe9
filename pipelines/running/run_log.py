"""Splits the output of the local runner: all of it goes to a file, the steps' progress goes to a listener."""

import io
import re
import time
from collections.abc import Callable
from pathlib import Path

from components.foundation.errors import KINDS, RelandError
from components.foundation.progress import PROGRESS_PREFIX
from components.foundation.redaction import without_passwords

_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_STEP_BEGINS = re.compile(r"Executing task '([^']+)'")
_STEP_ENDS = re.compile(r"Task '([^']+)' finished with status (\w+)")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt)(?:: |$)")
_ERROR_KINDS = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in KINDS}


class StepFailedError(RelandError):
    """A step ended by an error of no kind that a user can act on; the message names the step, the error and the log."""


class RunLog(io.TextIOBase):
    """A stream that takes everything that `kfp.local` and its steps print; passwords of addresses become stars.

    Attributes:
        seconds: how long each finished step took.
        failed_step: the first step that failed, if one did.
        failure: the last line of its traceback.
    """

    def __init__(self, path: Path, listener: Callable[[str, str], None]):
        """`listener(step, message)` is called for each line of progress and at the end of each step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.seconds: dict[str, float] = {}
        self.failed_step: str | None = None
        self.failure: str | None = None
        self._file = path.open("w", encoding="utf-8")
        self._listener = listener
        self._partial = ""
        self._step = ""
        self._began = time.monotonic()
        self._in_traceback = False

    def write(self, text: str) -> int:
        """Write each complete line to the file, and interpret it."""
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            shown = without_passwords(_COLOR.sub("", line))
            self._file.write(f"{shown}\n")
            self._take(shown.strip())  # the runner indents what a step prints
        self._file.flush()
        return len(text)

    def close(self) -> None:
        """Write the last line, if it has no end, and close the file."""
        if not self._file.closed:
            self._file.write(without_passwords(_COLOR.sub("", self._partial)))
        self._file.close()
        super().close()

    def user_error(self) -> RelandError | None:
        """The error that ended the run, of the kind that the step raised; None where it is of none of `KINDS`."""
        name, _, message = (self.failure or "").partition(": ")
        return _ERROR_KINDS[name](message) if name in _ERROR_KINDS else None

    def _take(self, line: str) -> None:
        if match := _STEP_BEGINS.search(line):
            self._step, self._began = match[1], time.monotonic()
            if self.failed_step is None:
                self.failure = None  # an exception that the step before printed, and survived
            self._listener(self._step, "")
        elif match := _STEP_ENDS.search(line):
            self._end_step(match[1], match[2])
        elif line.startswith(PROGRESS_PREFIX):
            self._listener(self._step, line.removeprefix(PROGRESS_PREFIX))
        elif line.startswith("Traceback (most recent call last):"):
            self._in_traceback = True
        elif self._in_traceback and _EXCEPTION.match(line):
            self._in_traceback = False
            # Other steps go on after the first failure; exceptions that they print are not the reason of the failure.
            if self.failed_step is None:
                self.failure = line

    def _end_step(self, step: str, status: str) -> None:
        self.seconds[step] = round(time.monotonic() - self._began, 2)
        if status == "SUCCESS":
            self._listener(step, f"done in {self.seconds[step]:.1f} s")
        elif self.failed_step is None:
            self.failed_step = step
