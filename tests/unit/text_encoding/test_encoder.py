"""What encode_texts promises whatever the encoder: each text once, by length, zero for empty, in the order given."""

import numpy as np

from components.text_encoding.encoder import CHUNK, TextEncoder, encode_texts


class LengthEncoder(TextEncoder):
    """A text's vector is its length, so that every answer is known; it keeps what it was given."""

    name = "length"
    dimension = 1

    def __init__(self):
        self.chunks = []

    def encode_chunk(self, texts):
        self.chunks.append(texts)
        return np.array([[len(text)] for text in texts], np.float32)


def test_vectors_come_in_the_order_of_the_texts_and_empty_texts_are_zero():
    vectors = encode_texts(LengthEncoder(), ["ccc", "", "a", "ccc"])
    assert vectors.tolist() == [[3], [0], [1], [3]]
    assert vectors.dtype == np.float32


def test_each_different_text_is_encoded_once_by_length():
    encoder = LengthEncoder()
    encode_texts(encoder, ["ccc", "b", "", "a", "ccc"])
    assert encoder.chunks == [["a", "b", "ccc"]]


def test_chunks_do_not_depend_on_the_order_of_the_texts():
    texts = [f"{n}" * (n % 7 + 1) for n in range(CHUNK + 50)]
    first, second = LengthEncoder(), LengthEncoder()
    encode_texts(first, texts)
    encode_texts(second, texts[::-1])
    assert first.chunks == second.chunks and len(first.chunks) == 2


def test_nothing_to_encode():
    assert encode_texts(LengthEncoder(), []).shape == (0, 1)
    assert encode_texts(LengthEncoder(), [""]).tolist() == [[0]]
