import numpy as np
import pytest
import torch

from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.variants import (
    CONSTANT,
    MATCHED,
    NOISE,
    POOL_HISTORIES,
    POOL_RATIONALES,
    POOL_SHUFFLED,
    RATIONALE_SOURCES,
    SEED_CATEGORIES,
    SHUFFLED,
)


def test_users_get_their_rationales_and_a_zero_row_where_they_have_none() -> None:
    assigned = RationaleAssignments(torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]), torch.tensor([[2], [0], [1]]))
    assert assigned.of_users(torch.tensor([1, 0])).tolist() == [[[0.0, 0.0]], [[3.0, 4.0]]]


def test_shuffled_deals_the_same_rationales_to_other_users() -> None:
    rows = torch.arange(1, 101)[:, None]
    assigned = RationaleAssignments(torch.zeros(101, 2), rows)
    dealt = assigned.from_source(SHUFFLED, seed=3).rows
    assert not torch.equal(dealt, rows)
    assert torch.equal(dealt.sort(dim=0).values, rows)
    assert torch.equal(dealt, assigned.from_source(SHUFFLED, seed=3).rows)
    assert not torch.equal(dealt, assigned.from_source(SHUFFLED, seed=4).rows)


def three_rationales() -> RationaleAssignments:
    embeddings = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 2.0], [1.0, 0.0]])
    shares = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    return RationaleAssignments(embeddings, torch.tensor([[1], [0], [3], [2]]), torch.tensor([-1, 7, 8, 9]), shares)


@pytest.mark.parametrize("source", RATIONALE_SOURCES)
def test_a_control_has_the_lengths_of_the_rationales_and_invents_none(source: str) -> None:
    assigned = three_rationales()
    control = assigned.from_source(source, seed=1)
    torch.testing.assert_close(control.embeddings.norm(dim=1), torch.tensor([0.0, 5.0, 2.0, 1.0]))
    assert ((control.rows == 0).sum() == 1) and control.embeddings.shape == assigned.embeddings.shape
    again = assigned.from_source(source, seed=1)
    assert torch.equal(control.embeddings, again.embeddings) and torch.equal(control.rows, again.rows)


def test_what_the_controls_hold() -> None:
    assigned = three_rationales()
    assert assigned.from_source(MATCHED, seed=1) is assigned and assigned.from_source("", seed=1) is assigned
    noise, other = (assigned.from_source(NOISE, seed).embeddings for seed in (1, 2))
    assert not torch.allclose(noise, assigned.embeddings) and not torch.allclose(noise, other)
    constant = assigned.from_source(CONSTANT, seed=1).embeddings
    mean = torch.tensor([4.0, 6.0]) / 52**0.5  # (4, 6) / 3, of length 1
    torch.testing.assert_close(constant, torch.tensor([0.0, 5.0, 2.0, 1.0])[:, None] * mean)
    # A random projection is linear: half of one category and half of another lies between the two.
    categories = assigned.from_source(SEED_CATEGORIES, seed=1).embeddings
    assert not torch.allclose(categories[1] / 5, categories[3])
    torch.testing.assert_close(categories, assigned.from_source(SEED_CATEGORIES, seed=2).embeddings)
    assert assigned.seeds_of(torch.tensor([0, 1, 3])).tolist() == [7, -1, 8]


def test_what_is_not_known_is_said() -> None:
    bare = RationaleAssignments(torch.zeros(1, 2), torch.zeros(1, 1, dtype=torch.int64))
    with pytest.raises(ValueError, match="categories of the seed users are not known"):
        bare.from_source(SEED_CATEGORIES, seed=0)
    with pytest.raises(ValueError, match="seed users of these rationales are not known"):
        bare.seeds_of(torch.tensor([0]))
    with pytest.raises(ValueError, match="'best' is no source"):
        bare.from_source("best", seed=0)


def test_the_pool_by_hand() -> None:
    # Three users of three, two and six training items; the rationale in row 2 is about nobody who is known.
    sequences = InteractionSequences(
        user_ids=["a", "b", "c"],
        item_ids=[f"i{item}" for item in range(1, 9)],
        items=np.array([1, 2, 3, 8, 8, 4, 5, 8, 8, 1, 2, 3, 4, 5, 6, 8, 8]),
        offsets=np.array([0, 5, 9, 17]),
        train_lengths=np.array([3, 2, 6]),
    )
    text = torch.arange(9.0)[:, None]
    embeddings = torch.tensor([[0.0], [10.0], [20.0], [30.0]])
    rows = torch.tensor([[3], [1], [3]])
    assigned = RationaleAssignments(embeddings, rows, seed_users=torch.tensor([-1, 1, -1, 2]))
    pool = assigned.pool(POOL_RATIONALES, text, sequences, seed=0)
    assert pool.keys.tolist() == [[4.5], [4.0]]  # of c the last five
    assert pool.values.tolist() == [[10.0], [30.0]]
    assert assigned.pool(POOL_HISTORIES, text, sequences, seed=0).values.tolist() == [[4.5], [3.5]]
    shuffled = [assigned.pool(POOL_SHUFFLED, text, sequences, seed).values.tolist() for seed in range(8)]
    assert [[30.0], [10.0]] in shuffled and [[10.0], [30.0]] in shuffled
    assert assigned.own_rows(torch.tensor([0, 1, 2])).tolist() == [-1, 0, 1]
    with pytest.raises(ValueError, match="'best' is no source"):
        assigned.pool("best", text, sequences, seed=0)
