import asyncio

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.artifacts import CONFIG_FILE, ITEM_INDEX_FILE
from components.contracts.ranking_signature import HISTORY_LENGTH
from components.contracts.serving import ITEM_VECTORS_FILE, POPULAR_ITEMS, POPULAR_ITEMS_FILE
from components.contracts.tables import ITEM_INDEX, vectors, write_table
from components.foundation.errors import InputError
from components.foundation.files import write_json
from serving.gateway.catalogue import read_catalogue
from serving.gateway.item_index import ExactIndex

ITEMS = ["a", "b", "c"]
VECTORS = [[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]]
CONFIGURATION = {
    "inputs": ["history", "rationale"],
    "rationales_per_user": 1,
    "text_encoder": "tiny",
    "text_dimension": 3,
    "pool": "pool_one",
}


@pytest.fixture
def folder(tmp_path):
    write_json(tmp_path / CONFIG_FILE, CONFIGURATION)
    write(tmp_path, ITEM_INDEX_FILE, ITEM_INDEX, [ITEMS, [1, 2, 3]])
    write(tmp_path, ITEM_VECTORS_FILE, vectors("item_id", 2), [ITEMS, VECTORS])
    write(tmp_path, POPULAR_ITEMS_FILE, POPULAR_ITEMS, [["c", "a", "b"], [9, 4, 4]])
    return tmp_path


def write(folder, name, schema, columns):
    write_table(
        pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema),
        folder / name,
        schema,
    )


def test_items_have_the_rankers_numbers_vectors_and_visits(folder):
    catalogue = read_catalogue(folder)
    assert catalogue.index_of == {"a": 1, "b": 2, "c": 3}
    np.testing.assert_array_equal(catalogue.item_vectors, np.array(VECTORS, np.float32))
    assert catalogue.popular == ["c", "a", "b"] and catalogue.visits["c"] == 9
    assert catalogue.inputs == ("history", "rationale")
    assert (catalogue.text_encoder, catalogue.text_dimension, catalogue.pool) == ("tiny", 3, "pool_one")


def test_a_history_is_the_last_known_items_padded_at_the_end(folder):
    catalogue = read_catalogue(folder)
    assert catalogue.history(["b", "gone", "a"]).tolist() == [[2, 1] + [0] * (HISTORY_LENGTH - 2)]
    assert catalogue.history(["a"] * 10 + ["b"] * HISTORY_LENGTH).tolist() == [[2] * HISTORY_LENGTH]
    assert not catalogue.history([]).any()


def test_the_exact_index_gives_the_largest_inner_products_in_their_order(folder):
    index = ExactIndex(read_catalogue(folder))

    def search(vector, count):
        return asyncio.run(index.search(np.array(vector, np.float32), count))

    # (1, 1): a 1, b 2, c 0.
    assert search([1, 1], 2) == ["b", "a"]
    assert search([1, 1], 10) == ["b", "a", "c"]
    assert search([-1, 0], 1) == ["c"]
    assert search([1, 1], 0) == []


@pytest.mark.parametrize(
    ("name", "schema", "columns", "told"),
    [
        (ITEM_INDEX_FILE, ITEM_INDEX, [ITEMS, [1, 2, 4]], "numbers from 1 without a gap"),
        (ITEM_VECTORS_FILE, vectors("item_id", 2), [["b", "a", "c"], VECTORS], "in their order"),
        (POPULAR_ITEMS_FILE, POPULAR_ITEMS, [["a", "b", "d"], [3, 2, 1]], "expected the items of"),
    ],
)
def test_files_that_do_not_speak_of_the_same_items_are_refused(folder, name, schema, columns, told):
    write(folder, name, schema, columns)
    with pytest.raises(InputError, match=told):
        read_catalogue(folder)


def test_a_missing_file_and_a_configuration_of_something_else_are_named(folder):
    write_json(folder / CONFIG_FILE, {"text_encoder": "tiny"})
    with pytest.raises(InputError, match="lacks 'inputs', expected the configuration of a ranker"):
        read_catalogue(folder)
    write_json(folder / CONFIG_FILE, CONFIGURATION | {"inputs": ["history", "mood"]})
    with pytest.raises(InputError, match="inputs mood: unknown, expected history, rationale"):
        read_catalogue(folder)
    (folder / ITEM_VECTORS_FILE).unlink()
    with pytest.raises(InputError, match=ITEM_VECTORS_FILE):
        read_catalogue(folder)
