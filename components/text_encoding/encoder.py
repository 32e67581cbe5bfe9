"""The contract of text encoders: TextEncoder(text) of Eq. 4, and what all of them share."""

import time
from abc import ABC, abstractmethod

import numpy as np

from components.contracts.progress import say

CHUNK = 256  # texts between two looks at the clock
PROGRESS_SECONDS = 5


class TextEncoder(ABC):
    """Turns texts into vectors.

    Attributes:
        name: the version of the encoder; vectors of encoders with different names do not go together.
        dimension: t, the length of the vectors.
    """

    name: str
    dimension: int

    @abstractmethod
    def encode_chunk(self, texts: list[str]) -> np.ndarray:
        """Vectors of some texts of similar length, none empty: float32[len(texts), t], rows of length 1."""


def encode_texts(encoder: TextEncoder, texts: list[str]) -> np.ndarray:
    """Vectors of `texts`, float32[len(texts), t]: unit rows, and a zero row for an empty text.

    Each different text is encoded once. They go to the encoder by length, so that little of a batch is padding, and in
    an order that depends on the texts alone, so that equal texts give equal bytes.
    """
    distinct = sorted({text for text in texts if text}, key=lambda text: (len(text), text))
    row_of = {text: row for row, text in enumerate(distinct, start=1)}
    vectors = np.zeros((len(distinct) + 1, encoder.dimension), np.float32)  # row 0 is the empty text
    say(f"encoding {len(distinct)} different texts of {len(texts)} with {encoder.name}")
    last_said = time.monotonic()
    for start in range(0, len(distinct), CHUNK):
        chunk = distinct[start : start + CHUNK]
        vectors[start + 1 : start + 1 + len(chunk)] = encoder.encode_chunk(chunk)
        if time.monotonic() - last_said > PROGRESS_SECONDS:
            say(f"encoded {start + len(chunk)} of {len(distinct)} texts")
            last_said = time.monotonic()
    return vectors[[row_of.get(text, 0) for text in texts]]
