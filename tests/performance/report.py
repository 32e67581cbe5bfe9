"""The result file of a performance command (section 8 of the design): what was measured, with what, and where."""

import importlib.metadata
import os
import platform
import shlex
from dataclasses import dataclass
from pathlib import Path

from components.foundation.files import write_json


@dataclass(frozen=True)
class Figure:
    """One comparison; `name` states what is measured and in which unit.

    Attributes:
        better: "lower" (a time) or "higher" (a rate).
        goal: the least `ratio` asked for; None where none is.
    """

    name: str
    ours: float
    peer: float
    better: str
    goal: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer: above 1 is better, whichever way the figure counts. None: of nothing."""
        better, worse = self._better_first
        return better / worse if worse else None

    @property
    def met(self) -> bool | None:
        better, worse = self._better_first
        return None if self.goal is None else better >= self.goal * worse

    @property
    def _better_first(self) -> tuple[float, float]:
        return (self.peer, self.ours) if self.better == "lower" else (self.ours, self.peer)


def write_report(path: Path, figures: list[Figure], module: str, arguments: list[str], packages: list[str]) -> None:
    """Write the figures with the command that made them, the versions of `packages` and the machine; print them too."""
    write_json(
        path,
        {
            "figures": [
                {
                    "name": figure.name,
                    "ours": figure.ours,
                    "peer": figure.peer,
                    "ratio": figure.ratio,
                    "goal": figure.goal,
                    "better": figure.better,
                    "met": figure.met,
                }
                for figure in figures
            ],
            "command": " ".join([*_environment(), f"python -m {module}", *map(_argument, arguments)]),
            "versions": {
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in packages},
            },
            "machine": machine(),
        },
    )
    for figure in figures:
        ratio = "none" if figure.ratio is None else f"{figure.ratio:.2f}"
        print(f"{figure.name}: ours {figure.ours:.4g}, peer {figure.peer:.4g}, ratio {ratio}")
    print(f"written to {path}")


def _argument(argument: str) -> str:
    """As it was typed, but for a path of this machine."""
    return "PATH" if Path(argument).is_absolute() else shlex.quote(argument)


def _environment() -> list[str]:
    """Variables that change how threads wait for each other, which on a busy machine decides a figure."""
    return sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(("OMP_", "MKL_")))


def machine() -> dict[str, str | int | float]:
    """Processor, usable cores, memory and load: what a figure depends on, and nothing that names the machine."""
    page = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(page / 2**30, 1),
        "load_average_1_minute": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
