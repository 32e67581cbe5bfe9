"""The section `encoder`: which behavior encoder, and its own settings."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from components.behavior_encoder.encoders import ENCODERS
from components.foundation.configuration import Section
from components.foundation.errors import InputError
from components.foundation.files import absolute_path


@dataclass(frozen=True)
class EncoderSection(Section):
    """Which behavior encoder turns histories into vectors, and its own settings.

    Attributes:
        encoder: name of the behavior encoder to train, or the folder of one that was trained on the same data.
        settings: settings of that encoder which differ from its defaults, as dimension = 32; each encoder has its own.
    """

    title = "encoder"

    encoder: str = "lightgcn"
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.encoder:
            raise InputError(f"encoder: expected one of {', '.join(ENCODERS)} or the folder of one, found nothing")

    def resolved(self) -> Self:
        """The same, with the folder of a trained encoder absolute; the name of an encoder stays."""
        return self if self.encoder in ENCODERS else replace(self, encoder=absolute_path(self.encoder))

    def read_paths(self) -> list[Path]:
        """The folder of a trained encoder; none where `encoder` is a name."""
        return [Path(self.encoder)] if self.encoder not in ENCODERS else []
