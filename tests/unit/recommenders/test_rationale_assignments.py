import torch

from components.recommenders.rationale_assignments import RationaleAssignments


def test_users_get_their_rationales_and_a_zero_row_where_they_have_none() -> None:
    assigned = RationaleAssignments(torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]), torch.tensor([[2], [0], [1]]))
    assert assigned.of_users(torch.tensor([1, 0])).tolist() == [[[0.0, 0.0]], [[3.0, 4.0]]]


def test_shuffled_deals_the_same_rationales_to_other_users() -> None:
    rows = torch.arange(1, 101)[:, None]
    assigned = RationaleAssignments(torch.zeros(101, 2), rows)
    dealt = assigned.shuffled(seed=3).rows
    assert not torch.equal(dealt, rows)
    assert torch.equal(dealt.sort(dim=0).values, rows)
    assert torch.equal(dealt, assigned.shuffled(seed=3).rows)
    assert not torch.equal(dealt, assigned.shuffled(seed=4).rows)
