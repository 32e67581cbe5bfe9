from pathlib import Path

import pytest

from components.contracts.artifacts import (
    CONFIG_FILE,
    ITEM_INDEX_FILE,
    METRICS_FILE,
    MODEL_CARD_FILE,
    ONNX_FILE,
    USER_VECTOR_ONNX_FILE,
    WEIGHTS_FILE,
)
from components.contracts.serving import ITEM_VECTORS_FILE, POPULAR_ITEMS, POPULAR_ITEMS_FILE, SIMILAR_ITEMS_FILE
from components.contracts.tables import ITEM_INDEX, read_table
from components.foundation.errors import InputError
from components.foundation.files import read_json
from components.fusion_ranker.variants import parse_variants
from components.recommenders.ranker import load_ranker
from components.recommenders.ranker_inputs import RankerInputs
from components.recommenders.variants import VARIANTS


def test_variants_are_parsed_in_the_order_given() -> None:
    assert parse_variants("id_only,reland") == ["id_only", "reland"]
    assert parse_variants(" reland , item_features,, id_only ") == ["reland", "item_features", "id_only"]
    assert parse_variants(",".join(VARIANTS)) == list(VARIANTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "id_only,reland,relnad",
            "variant 'relnad': unknown variant, expected one of id_only, item_features, reland",
        ),
        ("id_only,reland,id_only", "'id_only,reland,id_only' names a variant twice"),
        ("reland", "'id_only' is missing"),
        ("id_only,item_features", "'reland' is missing"),
        ("", "'id_only' is missing"),
    ],
)
def test_variants_that_cannot_be_run(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^variants: {message}"):
        parse_variants(text)


@pytest.mark.parametrize("variant", ["id_only", "reland"])
@pytest.mark.slow
def test_a_ranker_artifact_is_complete(rankers: Path, inputs: RankerInputs, variant: str) -> None:
    folder = rankers / variant
    files = {WEIGHTS_FILE, CONFIG_FILE, METRICS_FILE, MODEL_CARD_FILE, ONNX_FILE, ITEM_INDEX_FILE}
    candidate_files = {USER_VECTOR_ONNX_FILE, ITEM_VECTORS_FILE, POPULAR_ITEMS_FILE, SIMILAR_ITEMS_FILE}
    assert {path.name for path in folder.iterdir()} == files | (candidate_files if variant == "reland" else set())
    config = load_ranker(folder).config
    assert (config.variant, config.items, config.backbone) == (variant, 12, "sasrec")
    assert (config.text_encoder, config.text_dimension) == ("minilm", 4)
    index = read_table(folder / ITEM_INDEX_FILE, ITEM_INDEX)
    assert index["item_id"].to_pylist() == inputs.sequences.item_ids
    assert index["index"].to_pylist() == list(range(1, 13))
    card = (folder / MODEL_CARD_FILE).read_text()
    assert f"variant `{variant}`" in card and "minilm" in card


@pytest.mark.slow
def test_popular_items_are_those_most_visited_in_training(rankers: Path, inputs: RankerInputs) -> None:
    popular = read_table(rankers / "reland" / POPULAR_ITEMS_FILE, POPULAR_ITEMS)
    # User u trains on the items u, u + 1, ..., 2u + 2, modulo 12.
    order = [4, 5, 6, 2, 3, 7, 8, 0, 1, 9, 10, 11]
    assert popular["item_id"].to_pylist() == [inputs.sequences.item_ids[item] for item in order]
    assert popular["visits"].to_pylist() == [4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 1]


@pytest.mark.slow
def test_variants_are_trained_alike(rankers: Path) -> None:
    first, second = (read_json(rankers / variant / METRICS_FILE) for variant in ("id_only", "reland"))
    assert first["training"] == second["training"]
    assert first["result"]["steps"] == second["result"]["steps"] == 8
    for result in (first["result"], second["result"]):
        assert [point["step"] for point in result["curve"]] == [4, 8]
        assert result["validation"]["ndcg@10"] == max(point["ndcg@10"] for point in result["curve"])
