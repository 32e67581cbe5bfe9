"""What encode_texts promises whatever the encoder: each text once, by length, zero for empty, in the order given."""

import numpy as np

from components.text_encoding.encoder import BATCH_LENGTH, TextEncoder, encode_texts


class LengthEncoder(TextEncoder):
    """A text's vector is its length, so that every answer is known; it keeps what it was given."""

    name = "length"
    model = "length"
    dimension = 1

    def __init__(self):
        self.batches = []

    def encode_batch(self, texts):
        self.batches.append(texts)
        return np.array([[len(text)] for text in texts], np.float32)


class ReversedEncoder(LengthEncoder):
    """Finds the first letters of the alphabet long, as a tokenizer that does not know them would."""

    def lengths(self, texts):
        return [ord("z") - ord(text[0]) for text in texts]


def test_vectors_come_in_the_order_of_the_texts_and_empty_texts_are_zero():
    vectors = encode_texts(LengthEncoder(), ["ccc", "", "a", "ccc"])
    assert vectors.tolist() == [[3], [0], [1], [3]]
    assert vectors.dtype == np.float32


def test_each_different_text_is_encoded_once_by_length():
    encoder = LengthEncoder()
    encode_texts(encoder, ["ccc", "b", "", "a", "ccc"])
    assert encoder.batches == [["a", "b", "ccc"]]


def test_the_length_is_the_encoders_own():
    encoder = ReversedEncoder()
    assert encode_texts(encoder, ["a", "bb", "ccc"]).tolist() == [[1], [2], [3]]
    assert encoder.batches == [["ccc", "bb", "a"]]


def test_a_batch_is_full_when_its_longest_text_times_its_texts_fills_it():
    half = BATCH_LENGTH // 2
    encoder = LengthEncoder()
    encode_texts(encoder, ["a" * half, "b" * half, "c" * half, "d" * (2 * BATCH_LENGTH), "short"])
    assert [[text[0] for text in batch] for batch in encoder.batches] == [["s", "a"], ["b", "c"], ["d"]]


def test_batches_do_not_depend_on_the_order_of_the_texts():
    texts = [f"{n}" * (n % 7 + 1) for n in range(1000)]
    first, second = LengthEncoder(), LengthEncoder()
    encode_texts(first, texts)
    encode_texts(second, texts[::-1])
    assert first.batches == second.batches and len(first.batches) > 1


def test_the_throughput_is_told(capsys):
    encode_texts(LengthEncoder(), ["a", "a", "b"])
    said = capsys.readouterr().out
    assert "encoding 2 different texts of 3 with length" in said and "a second" in said


def test_nothing_to_encode():
    assert encode_texts(LengthEncoder(), []).shape == (0, 1)
    assert encode_texts(LengthEncoder(), [""]).tolist() == [[0]]
