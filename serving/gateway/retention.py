"""How long the gateway's logs are kept: whole files are removed, by the time at which they were written."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from components.foundation.progress import say

LOOK_SECONDS = 3_600.0
_MICROSECONDS_A_DAY = 86_400 * 1_000_000


def remove_old_files(folders: Sequence[Path], days: float, now: int) -> int:
    """Remove the files of logs (`row_log`) that were written more than `days` before `now`, microseconds since 1970.

    Returns:
        how many were removed; a file of another name stays.
    """
    removed = 0
    for folder in folders:
        for path in folder.glob("*.parquet"):
            written = path.name.partition("-")[0]
            if written.isdecimal() and int(written) < now - days * _MICROSECONDS_A_DAY:
                path.unlink(missing_ok=True)  # another gateway of this home may have been faster
                removed += 1
    return removed


async def keep_days(folders: Sequence[Path], days: float) -> None:
    """Remove old files now and every hour, until cancelled."""
    while True:
        try:
            removed = await asyncio.to_thread(remove_old_files, folders, days, time.time_ns() // 1_000)
        except OSError as error:
            say(f"{error.filename}: an old file of a log cannot be removed ({error.strerror})")
        else:
            if removed:
                say(f"removed {removed} files of logs that are older than {days:g} days")
        await asyncio.sleep(LOOK_SECONDS)
