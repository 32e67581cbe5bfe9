import pytest
import torch

from components.recommenders.late_text import LateText, PoolAttention

# Unit texts along two axes: items 1 and 2 are opposites, so are 3 and 4.
TEXT = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def test_the_query_is_the_mean_of_the_last_texts_times_the_gate_of_the_length() -> None:
    late = LateText(TEXT)
    with torch.no_grad():
        late.gate.copy_(torch.arange(1.0, 10.0))
    history = torch.tensor([[1, 3, 3, 3, 3, 3], [2, 2, 0, 0, 0, 0]])
    query = late(history)
    assert query.shape == (2, 6, 2)
    # After one item, the gate of length 1; after two, that of lengths 2 and 3; after four, that of 4 to 7.
    torch.testing.assert_close(query[0, 0], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(query[0, 1], 2 * torch.tensor([0.5**0.5, 0.5**0.5]))
    torch.testing.assert_close(query[0, 3], 3 * torch.tensor([1.0, 3.0]) / 10**0.5)
    torch.testing.assert_close(query[0, 5], 3 * torch.tensor([0.0, 1.0]))  # item 1 is the sixth from the end
    torch.testing.assert_close(query[1, 1], 2 * torch.tensor([-1.0, 0.0]))


def make_attention(sharpness: float) -> PoolAttention:
    # Two seed users: one whose last items were like item 1, to whom item 3 was recommended, and one like 2 with item 4.
    attention = PoolAttention(TEXT[[1, 2]], TEXT[[3, 4]])
    with torch.no_grad():
        attention.gate.copy_(torch.arange(1.0, 10.0))
        attention.sharpness.copy_(torch.tensor(sharpness).log())
    return attention


def test_a_user_borrows_from_whom_the_last_items_resemble() -> None:
    borrowed = make_attention(50.0)(TEXT, torch.tensor([[1, 1, 0], [2, 2, 2]]), None)
    expected = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(borrowed[0, :2], torch.stack([expected, 2 * expected]))
    torch.testing.assert_close(borrowed[1], torch.stack([-expected, -2 * expected, -2 * expected]))


def test_the_seed_users_are_weighed_by_similarity() -> None:
    # Cosines 1 and -1, so weights e^(1/2) and e^(-1/2): of both values along one axis the first wins, at length 1.
    borrowed = make_attention(0.5)(TEXT, torch.tensor([[1]]), None)
    torch.testing.assert_close(borrowed, torch.tensor([[[0.0, 1.0]]]))


@pytest.mark.parametrize("own", [0, -1])
def test_nobody_borrows_from_the_rationale_about_himself(own: int) -> None:
    borrowed = make_attention(50.0)(TEXT, torch.tensor([[1]]), torch.tensor([own]))
    torch.testing.assert_close(borrowed, torch.tensor([[[0.0, -1.0 if own == 0 else 1.0]]]))
