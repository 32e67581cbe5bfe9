import dataclasses
import math

import numpy as np
import pytest
import torch

from components.foundation.errors import InputError
from components.recommenders.collaborative_ranker import CollaborativeRanker
from components.recommenders.configuration import RankerConfig, TrainingConfig
from components.recommenders.evaluation import rank_held_out
from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.rationale_assignments import RationaleAssignments
from components.recommenders.training.collaborative import CollaborativeTask
from components.recommenders.training.processes import Share
from components.recommenders.training.rankers import TrainingResult, train_ranker
from components.recommenders.variants import VARIANTS

SHORT = TrainingConfig(objective="bpr", epochs=2, minimum_steps_per_epoch=3, batch_size=256, seed=3)
TEXT = 3


def make_ranker(
    sequences: InteractionSequences, variant: str = "id_only", backbone: str = "lightgcn", **changes: object
) -> CollaborativeRanker:
    torch.manual_seed(0)
    settings: dict[str, object] = {"embedding_dimension": 8, "layers": 1} | changes
    config = RankerConfig(
        variant=variant,
        items=sequences.n_items,
        text_encoder="test",
        text_dimension=TEXT,
        backbone=backbone,
        users=sequences.n_users,
        **settings,
    )
    item_text = torch.cat([torch.zeros(1, TEXT), torch.randn(sequences.n_items, TEXT)])
    return CollaborativeRanker(config, item_text, torch.from_numpy(np.stack(sequences.training_pairs())))


def rationales_of(sequences: InteractionSequences) -> RationaleAssignments:
    embeddings = torch.randn(4, TEXT, generator=torch.Generator().manual_seed(5))
    embeddings[0] = 0
    rows = torch.arange(sequences.n_users)[:, None] % 4
    return RationaleAssignments(embeddings, rows, seed_users=torch.tensor([-1, 2, 5, 7]), seed_categories=embeddings)


def train(
    sequences: InteractionSequences, variant: str = "id_only", config: TrainingConfig = SHORT
) -> tuple[dict[str, torch.Tensor], TrainingResult]:
    ranker = make_ranker(sequences, variant)
    result = train_ranker(
        ranker, sequences, rationales_of(sequences).from_source(VARIANTS[variant].rationales, 0), config
    )
    return ranker.state_dict(), result


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("objective", ["bpr", "logistic"])
def test_the_loss_of_vectors_that_are_all_alike(cyclic: InteractionSequences, objective: str) -> None:
    # All scores are 1/2 sqrt(8)... whatever the pairs: by bpr a difference of 0, log 2 each.
    ranker = make_ranker(cyclic, backbone="neumf", dropout=0.0)
    with torch.no_grad():
        for parameter in ranker.parameters():
            parameter.fill_(0.0)
        ranker.backbone.user_embedding.fill_(0.5)
        ranker.item_encoder.embedding.fill_(0.25)
        ranker.backbone.out.bias.fill_(math.log(3))  # the score of every pair: its sigmoid is 3 / 4
    config = dataclasses.replace(SHORT, objective=objective, weight_decay=0.1)
    task = CollaborativeTask(ranker, cyclic, rationales_of(cyclic), config, "cpu")
    ranking = {"bpr": math.log(2), "logistic": (math.log(4 / 3) + math.log(4)) / 2}[objective]
    # 16 components each, of a user and of two items.
    decay = 0.1 * (16 * 0.25 + 2 * 16 * 0.0625) / 2
    assert task.loss(1, Share()).item() == pytest.approx(ranking + decay, rel=1e-5)
    parts = [task.loss(1, Share(rank, 3)).item() for rank in range(3)]
    assert sum(parts) == pytest.approx(ranking + decay, rel=1e-5)


def test_an_epoch_is_as_many_pairs_as_there_are(cyclic: InteractionSequences) -> None:
    _, result = train(cyclic)  # 60 users of 6 to 10 training items: 480 pairs, two steps of 256
    assert (result.steps, result.passes) == (6, 3.0)
    assert [point["step"] for point in result.curve] == [3, 6]


def test_all_variants_get_the_same_budget_and_each_is_trained(cyclic: InteractionSequences) -> None:
    trained = {variant: train(cyclic, variant) for variant, entry in VARIANTS.items() if not entry.late_text}
    assert {(result.steps, result.passes) for _, result in trained.values()} == {(6, 3.0)}
    for variant, (weights, _) in trained.items():
        untrained = make_ranker(cyclic, variant).state_dict()
        for name in weights:
            given = name.endswith((".text", ".pairs"))
            assert torch.equal(weights[name], untrained[name]) == given, (variant, name)


def test_training_never_reads_what_is_held_out(cyclic: InteractionSequences) -> None:
    once = dataclasses.replace(SHORT, evaluate_every=2)  # one evaluation, so nothing to choose
    weights, result = train(cyclic, "reland", once)
    items = cyclic.items.copy()
    items[cyclic.offsets[1:] - 1] = 10**9  # of the test: an item that does not exist would break any look-up of it
    assert same(train(dataclasses.replace(cyclic, items=items), "reland", once)[0], weights)
    items = cyclic.items.copy()
    items[cyclic.offsets[1:] - 2] = np.arange(cyclic.n_users) * 7 % cyclic.n_items + 1  # of the validation
    other, other_result = train(dataclasses.replace(cyclic, items=items), "reland", once)
    assert same(other, weights) and other_result.curve[0]["loss"] == result.curve[0]["loss"]


def test_both_protocols_leave_out_what_the_user_had_before(cyclic: InteractionSequences) -> None:
    ranker = make_ranker(cyclic).eval()
    ranks = [rank_held_out(ranker, cyclic, rationales_of(cyclic), "test", protocol) for protocol in ("recbole", "open")]
    assert ranks[0].values.tolist() == ranks[1].values.tolist()
    # 7 to 11 of 60 items are left out: the last rank is 52.
    assert ranks[0].values.max() <= 52


def test_data_without_a_training_visit() -> None:
    sequences = InteractionSequences(["u"], ["a", "b"], np.array([1, 2]), np.array([0, 2]), np.array([0]))
    with pytest.raises(InputError, match="no training interaction, so there is nothing to learn"):
        train_ranker(make_ranker(sequences), sequences, rationales_of(sequences), SHORT)
