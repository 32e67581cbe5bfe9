"""The candidate index in the real Milvus Lite: nearest by inner product, one collection a version, behind an alias."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from components.contracts.serving import ITEM_VECTORS_FILE, item_collection
from components.contracts.tables import vectors, write_table
from components.foundation.errors import InputError
from components.foundation.milvus import collection_of_alias, connect_milvus
from components.foundation.settings import Settings, load_settings
from components.ranker_release.component import build_item_index
from components.ranker_release.item_index import build_index


def write_ranker(folder, seed, items=50, dimension=4):
    matrix = np.random.default_rng(seed).normal(size=(items, dimension)).astype(np.float32)
    schema = vectors("item_id", dimension)
    ids = [f"item{row:02}" for row in range(items)]
    write_table(pa.table([ids, matrix.tolist()], schema=schema), folder / ITEM_VECTORS_FILE, schema)
    return folder, matrix


@pytest.fixture
def client(tmp_path):
    with connect_milvus(Settings(home=tmp_path / "home")) as client:
        yield client


def nearest(client, name, vector):
    (found,) = client.search(
        name,
        [vector.tolist()],
        limit=5,
        anns_field="vector",
        search_params={"metric_type": "IP"},
        output_fields=["item_id"],
    )
    return [(hit["entity"]["item_id"], hit["distance"]) for hit in found]


def test_the_nearest_items_are_those_with_the_largest_products(client, tmp_path):
    ranker, matrix = write_ranker(tmp_path / "ranker", 0)
    alias = build_index(client, ranker, 3, "20260101t000000000", used=set())
    assert alias == item_collection(3) == "reland_items_3"
    user = np.random.default_rng(9).normal(size=4).astype(np.float32)
    products = matrix @ user
    best = np.argsort(-products)[:5]
    found = nearest(client, alias, user)
    assert [item for item, _ in found] == [f"item{row:02}" for row in best]
    assert [product for _, product in found] == pytest.approx(products[best].tolist(), abs=1e-5)


def test_the_step_builds_the_index_of_the_variant_that_is_served(tmp_path, monkeypatch):
    monkeypatch.setenv("RELAND_HOME", str(tmp_path / "home"))
    _, matrix = write_ranker(tmp_path / "rankers" / "reland", 0)
    name = build_item_index.python_func(SimpleNamespace(path=str(tmp_path / "rankers")), "1", "g")
    assert name == "reland_items_1"
    with connect_milvus(load_settings()) as client:
        client.load_collection(name)
        assert nearest(client, name, matrix[3])[0][1] == pytest.approx((matrix @ matrix[3]).max(), abs=1e-5)


def test_a_version_is_built_once_and_those_that_nobody_uses_go(client, tmp_path):
    for version in (1, 2, 3):
        ranker, _ = write_ranker(tmp_path / str(version), version)
        build_index(client, ranker, version, f"g{version}", used={1})
    assert sorted(client.list_collections()) == ["reland_items_1_g1", "reland_items_3_g3"]
    assert build_index(client, ranker, 3, "g3", used={1}) == "reland_items_3"  # the step run again
    assert collection_of_alias(client, "reland_items_3") == "reland_items_3_g3"


def test_a_version_number_given_anew_gets_the_new_items(client, tmp_path):
    build_index(client, write_ranker(tmp_path / "old", 0)[0], 1, "old", used={1})
    ranker, matrix = write_ranker(tmp_path / "new", 1)
    build_index(client, ranker, 1, "new", used={1})
    assert client.list_collections() == ["reland_items_1_new"]
    assert nearest(client, "reland_items_1", matrix[7])[0][1] == pytest.approx((matrix @ matrix[7]).max(), abs=1e-5)


def test_an_attempt_that_died_leaves_the_index_in_use_and_is_made_anew(client, tmp_path, monkeypatch):
    ranker, _ = write_ranker(tmp_path / "ranker", 0)
    build_index(client, ranker, 1, "first", used=set())
    with monkeypatch.context() as patch:
        patch.setattr(client, "flush", lambda _name: (_ for _ in ()).throw(ConnectionError("lost")))
        with pytest.raises(ConnectionError):
            build_index(client, ranker, 1, "second", used=set())
    assert collection_of_alias(client, "reland_items_1") == "reland_items_1_first"
    build_index(client, ranker, 1, "second", used=set())
    assert client.list_collections() == ["reland_items_1_second"]


def test_a_ranker_without_item_vectors_is_named(client, tmp_path):
    with pytest.raises(InputError, match=r"item_vectors\.parquet: not a table of vectors"):
        build_index(client, tmp_path, 1, "g", used=set())
