import math

import numpy as np
import torch

from components.recommenders.interaction_sequences import InteractionSequences
from components.recommenders.objectives.same_target import SameTargetHistories, same_target_loss


def sequences() -> InteractionSequences:
    """Item 3 is a target in training at places 2 (after 1, 2), 7 (after 4) and 8 (after 4, 3, so a repeat)."""
    items = np.array([1, 2, 3, 5, 3, 1, 4, 3, 3, 2, 3, 3, 5, 1, 2])
    #                 user 0: train 3, out 2 | user 1 from 5: train 4 + 2  ...
    offsets = np.array([0, 5, 11, 15])
    return InteractionSequences(["a", "b", "c"], [f"i{k}" for k in range(5)], items, offsets, np.array([3, 4, 2]))


def test_partners_are_the_other_places_of_training_with_the_same_item() -> None:
    partners = SameTargetHistories(sequences(), length=50)
    # By hand, of item 3: user 0 place 2; user 1 (5 .. 10, training 5 .. 8) places 7 and 8; user 2 (11 .. 14, training
    # 11, 12) begins with it at 11, where nothing is before it. Places 4 and 10 are held out.
    drawn = {place: set() for place in (2, 7, 8)}
    generator = np.random.default_rng(0)
    for _ in range(50):
        places = np.array(list(drawn))
        for place, partner in zip(places, partners.draw(places, generator), strict=True):
            drawn[int(place)].add(int(partner))
    assert drawn == {2: {7, 8}, 7: {2, 8}, 8: {2, 7}}


def test_a_target_that_no_other_place_has_is_its_own_partner() -> None:
    partners = SameTargetHistories(sequences(), length=50)
    places = np.array([1, 6, 12])  # items 2, 4 and 5 once each in training
    assert partners.draw(places, np.random.default_rng(0)).tolist() == [1, 6, 12]


def test_histories_end_before_the_place_and_are_of_its_user() -> None:
    at = np.array([2, 8, 12])
    assert SameTargetHistories(sequences(), length=50).before(at).tolist() == [[1, 2, 0], [1, 4, 3], [3, 0, 0]]
    assert SameTargetHistories(sequences(), length=2).before(at).tolist() == [[1, 2], [4, 3], [3, 0]]


def test_the_loss_by_hand() -> None:
    # Products: a.p = 2, b.q = 3, all others are 0.
    views = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    partners = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    first = math.log(math.exp(2) + 2) - 2  # a finds p among p, b, q; p finds a among a, b, q
    second = math.log(math.exp(3) + 2) - 3
    torch.testing.assert_close(same_target_loss(views, partners, torch.tensor([7, 8])), torch.tensor([first, second]))


def test_histories_of_one_target_are_no_negatives_of_each_other() -> None:
    views = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).repeat(2, 1)[:4]
    partners = views.roll(1, dims=0)
    alone = same_target_loss(views[:3], partners[:3], torch.tensor([1, 2, 3]))
    with_another = same_target_loss(views, partners, torch.tensor([1, 2, 3, 1]))
    assert with_another[0] == alone[0]  # the fourth has the target of the first
    assert (with_another[1:3] > alone[1:3]).all()
