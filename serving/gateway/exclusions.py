"""The operators' exclusions, followed while requests run: a decision is in force a second after it was made."""

import asyncio
from pathlib import Path

from components.contracts.exclusions import Exclusions, read_exclusions
from components.foundation.errors import RelandError
from components.foundation.progress import say
from serving.gateway.metrics import Metrics

LOOK_SECONDS = 1.0


class FollowedExclusions:
    """`current` is what is in force; a file that cannot be read leaves it, is counted and is tried again."""

    def __init__(self, file: Path, metrics: Metrics):
        """
        Raises:
            InputError: the file is damaged.
        """
        self._file = file
        self._metrics = metrics
        self._seen: tuple[int, int, int] | None = None
        self.refused: str | None = None  # why the newest file is not the one in use
        self.current = Exclusions()
        self._read()

    def _read(self) -> None:
        seen = self._state()
        self.current = read_exclusions(self._file)
        self._metrics.excluded_items.set(len(self.current.items))
        self._seen = seen

    async def follow(self) -> None:
        """Take over every decision, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._state() == self._seen:
                continue
            try:
                self._read()
            except Exception as error:  # whatever it is, the next look may find it mended
                self._metrics.exclusion_errors.inc()
                reason = str(error) if isinstance(error, RelandError) else f"{type(error).__name__}: {error}"
                if reason != self.refused:
                    self.refused = reason
                    say(f"the exclusions stay as they are: {reason}")
            else:
                self.refused = None
                say(f"took over the exclusions: {len(self.current.in_force)}, of them {len(self.current.items)} items")

    def _state(self) -> tuple[int, int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size
