"""The contract of text encoders: TextEncoder(text) of Eq. 4, and what all of them share."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from components.foundation.progress import say

BATCH_LENGTH = 4096  # of all texts of a batch together, padding included; larger batches are no faster
PROGRESS_SECONDS = 5


class TextEncoder(ABC):
    """Turns texts into vectors.

    Attributes:
        name: the version of the encoder; vectors of encoders with different names do not go together.
        model: what the encoder was opened by: a packaged model, a Hugging Face id or a folder.
        dimension: t, the length of the vectors.
    """

    name: str
    model: str
    dimension: int

    def lengths(self, texts: list[str]) -> list[int]:
        """Length of each text, at least 1, in the unit in which the encoder pads: characters, or its tokens."""
        return [len(text) for text in texts]

    @abstractmethod
    def encode_batch(self, texts: list[str]) -> np.ndarray:
        """Vectors of some texts of similar length, none empty: float32[len(texts), t], rows of length 1."""


def encode_texts(encoder: TextEncoder, texts: list[str]) -> np.ndarray:
    """Vectors of `texts`, float32[len(texts), t]: unit rows, and a zero row for an empty text.

    Each different text is encoded once. They go to the encoder by length, so that little of a batch is padding, and in
    an order that depends on the texts alone, so that equal texts give equal bytes.
    """
    distinct = sorted({text for text in texts if text})
    say(f"encoding {len(distinct)} different texts of {len(texts)} with {encoder.name}")
    began = last_report = time.monotonic()
    vectors = np.zeros((len(distinct) + 1, encoder.dimension), np.float32)  # the last row is the empty text
    done = 0
    for batch in _batches(encoder.lengths(distinct) if distinct else []):
        vectors[batch] = encoder.encode_batch([distinct[row] for row in batch])
        done += len(batch)
        if time.monotonic() - last_report > PROGRESS_SECONDS:
            say(f"encoded {done} of {len(distinct)} texts")
            last_report = time.monotonic()
    say(f"encoded {len(distinct)} texts, {len(distinct) / max(time.monotonic() - began, 1e-9):,.0f} a second")
    row_of = {text: row for row, text in enumerate(distinct)}
    return vectors[[row_of.get(text, -1) for text in texts]]


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Rows of similar length, the shortest first: at least one, and not more than fill `BATCH_LENGTH` when padded."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[row] > BATCH_LENGTH:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
