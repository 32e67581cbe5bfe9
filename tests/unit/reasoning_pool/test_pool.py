"""What the pool decides without Milvus."""

import pytest

from components.foundation.milvus import EXACT_UP_TO, collection_name, index_parameters
from components.reasoning_pool.pool import ALIAS


@pytest.mark.parametrize(
    ("generation", "name"),
    [
        ("20261120T104600-ab12", "reland_pool_20261120T104600_ab12"),
        ("a b/ü", "reland_pool_a_b__"),
    ],
)
def test_the_name_holds_only_what_milvus_allows(generation, name):
    assert collection_name(ALIAS, generation) == name


@pytest.mark.parametrize(("rows", "kind"), [(1, "FLAT"), (EXACT_UP_TO, "FLAT"), (EXACT_UP_TO + 1, "HNSW")])
def test_the_search_is_exact_up_to_ten_thousand_seed_users(rows, kind):
    (index,) = list(index_parameters(rows, "COSINE"))
    assert index.index_type == kind
