"""The section `serving`: what a ranker has to prove before it is released."""

from dataclasses import dataclass

from components.foundation.configuration import Section
from components.foundation.errors import InputError


@dataclass(frozen=True)
class ServingSection(Section):
    """What a ranker has to prove on a real Triton before it is released.

    Attributes:
        relative_tolerance: how far a served score may be from PyTorch's, relative to it.
        absolute_tolerance: how far it may be in any case.
        compared_candidates: items whose scores are compared.
    """

    title = "serving"

    relative_tolerance: float = 1e-3
    absolute_tolerance: float = 1e-4
    compared_candidates: int = 100

    def __post_init__(self) -> None:
        for name in ("relative_tolerance", "absolute_tolerance"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name} {getattr(self, name)}: expected a number, 0 or more")
        if self.compared_candidates < 1:
            raise InputError(f"compared_candidates {self.compared_candidates}: expected at least 1")


DEFAULT_SERVING = ServingSection()
