import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from components.contracts.artifacts import CONFIG_FILE, WEIGHTS_FILE
from components.foundation.errors import InputError
from components.recommenders.configuration import RankerConfig
from components.recommenders.item_encoders import ItemEncoder
from components.recommenders.ranker import Ranker, load_ranker, save_ranker
from components.recommenders.rationale_assignments import PoolTexts
from components.recommenders.variants import VARIANTS

ITEMS = 12


def make_ranker(variant: str) -> Ranker:
    """An untrained ranker, its fusion away from equal weights."""
    torch.manual_seed(1)
    config = RankerConfig(variant=variant, items=ITEMS, text_encoder="test", text_dimension=3, embedding_dimension=8)
    pool = PoolTexts(torch.randn(4, 3), torch.randn(4, 3))
    ranker = Ranker(config, torch.cat([torch.zeros(1, 3), torch.randn(ITEMS, 3)]), pool).eval()
    if ranker.fusion is not None:
        torch.nn.init.normal_(ranker.fusion.attention)
    return ranker


def answer(ranker: Ranker, history: list[list[int]], rationale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores of all items, and fusion weights."""
    size = len(history)
    with torch.no_grad():
        every_item = torch.arange(1, ITEMS + 1).expand(size, -1)
        return ranker(torch.tensor(history), rationale, every_item)


def test_item_encoder_combines_identity_and_text_by_hand() -> None:
    encoder = ItemEncoder(items=1, dimension=1, text=torch.tensor([[0.0], [3.0]]))
    assert encoder.combine is not None
    with torch.no_grad():
        encoder.embedding.copy_(torch.tensor([[0.0], [2.0]]))
        encoder.combine.weight.copy_(torch.tensor([[10.0, 100.0]]))
        encoder.combine.bias.copy_(torch.tensor([1.0]))
    assert encoder().tolist() == [[1.0], [1 + 20 + 300]]


def test_item_encoder_without_text_is_the_embedding() -> None:
    encoder = ItemEncoder(items=3, dimension=2, text=None)
    assert torch.equal(encoder(), encoder.embedding)


def test_item_texts_are_given_not_trained() -> None:
    assert "item_encoder.text" not in dict(make_ranker("reland").named_parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_current_user_is_the_state_after_the_last_real_item(variant: str) -> None:
    ranker = make_ranker(variant)
    table = ranker.item_table()
    history, rationale = torch.tensor([[3, 5, 7, 0], [2, 0, 0, 0], [1, 4, 6, 8]]), torch.randn(3, 1, 3)
    states, state_weights = ranker.user_states(table, history, rationale)
    user, weights = ranker.current_user(table, history, rationale)
    for row, last in enumerate([2, 0, 3]):
        assert torch.equal(user[row], states[row, last])
        assert torch.equal(weights[row], state_weights[row, last])


@pytest.mark.parametrize("variant", ["id_only", "reland"])
@settings(deadline=None)
@given(
    history=st.lists(st.integers(1, ITEMS), min_size=1, max_size=10),
    padding=st.integers(1, 40),
    has_rationale=st.booleans(),
)
def test_padding_at_the_end_never_changes_an_answer(
    variant: str, history: list[int], padding: int, has_rationale: bool
) -> None:
    ranker = make_ranker(variant)
    rationale = torch.full((1, 1, 3), float(has_rationale))
    plain = answer(ranker, [history], rationale)
    padded = answer(ranker, [history + [0] * padding], rationale)
    torch.testing.assert_close(padded, plain, rtol=1e-5, atol=1e-6)


def test_order_of_the_history_matters() -> None:
    scores, _ = answer(make_ranker("id_only"), [[1, 2, 3], [2, 1, 3]], torch.zeros(2, 1, 3))
    assert not torch.allclose(scores[0], scores[1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_empty_history_has_a_finite_answer(variant: str) -> None:
    scores, weights = answer(
        make_ranker(variant), [[0] * 50, [0] * 50], torch.stack([torch.zeros(1, 3), torch.ones(1, 3)])
    )
    assert scores.isfinite().all()
    assert torch.equal(weights[0], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))


def test_only_fusion_variants_read_the_rationale() -> None:
    history, rationale = [[1, 2, 3], [1, 2, 3]], torch.stack([torch.zeros(1, 3), torch.ones(1, 3)])
    for variant in VARIANTS:
        scores, weights = answer(make_ranker(variant), history, rationale)
        fuses = VARIANTS[variant].fused
        assert torch.allclose(scores[0], scores[1], rtol=1e-4) != fuses
        assert (weights[1, 1].item() > 0) == fuses


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_ranker_answers_as_before(variant: str, tmp_path: Path) -> None:
    ranker = make_ranker(variant)
    save_ranker(ranker, tmp_path / "ranker")
    loaded = load_ranker(tmp_path / "ranker")
    assert loaded.config == ranker.config
    assert not loaded.training
    history, rationale = [[1, 2, 3, 0]], torch.ones(1, 1, 3)
    for found, expected in zip(answer(loaded, history, rationale), answer(ranker, history, rationale), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("name", [WEIGHTS_FILE, CONFIG_FILE])
def test_a_missing_file(name: str, tmp_path: Path) -> None:
    save_ranker(make_ranker("reland"), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=str(tmp_path)):
        load_ranker(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 200, -1])
def test_weights_cut_short(keep: int, tmp_path: Path) -> None:
    save_ranker(make_ranker("reland"), tmp_path)
    path = tmp_path / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=f"{tmp_path}: not a ranker"):
        load_ranker(tmp_path)


def change_configuration(directory: Path, **changes: object) -> None:
    path = directory / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("saved", "claimed"),
    [
        ("reland", "id_only"),
        ("reland", "item_features"),
        ("id_only", "reland"),
        ("item_features", "reland"),
        ("item_features", "id_only"),
        ("id_only", "item_features"),
    ],
)
def test_the_configuration_of_another_variant(saved: str, claimed: str, tmp_path: Path) -> None:
    save_ranker(make_ranker(saved), tmp_path)
    change_configuration(tmp_path, variant=claimed)
    with pytest.raises(InputError, match=f"{tmp_path}: not a ranker"):
        load_ranker(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"variant": "x"}, {"items": 3}, {"layers": 1}, {"colour": "red"}, {"inputs": ["history"]}]
)
def test_a_configuration_that_does_not_fit(changes: dict[str, object], tmp_path: Path) -> None:
    save_ranker(make_ranker("reland"), tmp_path)
    change_configuration(tmp_path, **changes)
    with pytest.raises(InputError):
        load_ranker(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", "{"])
def test_a_configuration_that_is_none(content: str, tmp_path: Path) -> None:
    save_ranker(make_ranker("reland"), tmp_path)
    (tmp_path / CONFIG_FILE).write_text(content)
    with pytest.raises(InputError, match=str(tmp_path)):
        load_ranker(tmp_path)
