"""What each variant is given, and that its first weights follow from the seed."""

import pytest
import torch

from components.foundation.errors import InputError
from components.recommenders.collaborative_ranker import CollaborativeRanker
from components.recommenders.configuration import BackboneConfig
from components.recommenders.ranker import Ranker
from components.recommenders.ranker_inputs import RankerInputs
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.variant_rankers import assignments_for, build_ranker


def test_the_control_is_a_permutation_of_the_rationales() -> None:
    rows = torch.arange(200)[:, None] % 7
    assigned = RationaleAssignments(torch.zeros(7, 3), rows)
    dealt = assignments_for("reland_shuffled", assigned, seed=1)
    assert dealt.embeddings is assigned.embeddings
    assert not torch.equal(dealt.rows, rows)
    assert torch.equal(torch.bincount(dealt.rows[:, 0]), torch.bincount(rows[:, 0]))
    assert torch.equal(assignments_for("reland_shuffled", assigned, seed=1).rows, dealt.rows)
    for variant in ("id_only", "item_features", "reland"):
        assert assignments_for(variant, assigned, seed=1) is assigned


def test_the_first_weights_follow_from_the_seed(artifacts) -> None:
    inputs: RankerInputs = artifacts.read()
    one, same, other = (
        build_ranker("reland", inputs, "sasrec", BackboneConfig(), seed).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())


def test_a_collaborative_ranker_knows_the_users_and_the_training_visits(artifacts) -> None:
    inputs: RankerInputs = artifacts.read()
    ranker = build_ranker("reland", inputs, "lightgcn", BackboneConfig(), 0)
    assert isinstance(ranker, CollaborativeRanker) and ranker.config.users == inputs.sequences.n_users
    assert [part.tolist() for part in ranker.backbone.pairs] == [
        part.tolist() for part in inputs.sequences.training_pairs()
    ]
    assert isinstance(build_ranker("reland", inputs, "gru4rec", BackboneConfig(), 0), Ranker)
    with pytest.raises(InputError, match="variant late_text: reads the last items of a history"):
        build_ranker("late_text", inputs, "neumf", BackboneConfig(), 0)
