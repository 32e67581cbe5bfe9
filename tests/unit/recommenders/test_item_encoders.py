import torch

from components.recommenders.item_encoders import FrozenTextItemEncoder, LateText, principal_components


def test_principal_components_by_hand() -> None:
    # Around their mean (1, 1): (2, 0), (-2, 0), (0, 1), (0, -1), so variances 2 and 0.5 along the axes.
    text = torch.tensor([[0.0, 0.0], [3.0, 1.0], [-1.0, 1.0], [1.0, 2.0], [1.0, 0.0]])
    plain = principal_components(text, 2, whiten=False)
    torch.testing.assert_close(plain, torch.tensor([[0, 0], [2, 0], [-2, 0], [0, 1], [0, -1]]).float())
    white = principal_components(text, 1, whiten=True)
    torch.testing.assert_close(white, torch.tensor([[0], [2], [-2], [0], [0]]) / 2**0.5)


def test_texts_that_are_all_alike_or_not_there_have_no_components() -> None:
    for text in (torch.zeros(4, 3), torch.cat([torch.zeros(1, 3), torch.ones(3, 3)])):
        assert principal_components(text, 2, whiten=True).abs().max() < 1e-6


def test_frozen_texts_beside_learned_components() -> None:
    text = torch.cat([torch.zeros(1, 6), torch.randn(10, 6, generator=torch.Generator().manual_seed(0))])
    encoder = FrozenTextItemEncoder(items=10, dimension=8, text=text)
    table = encoder()
    assert table.shape == (11, 8) and [name for name, _ in encoder.named_parameters()] == ["embedding"]
    # Standardised: every frozen component varies as much as a learned one does at its start.
    torch.testing.assert_close(table[1:, :4].std(dim=0, correction=0), torch.full((4,), 0.02))
    # Texts of fewer components than half of the table leave the rest to the learned ones.
    assert FrozenTextItemEncoder(10, 8, text[:, :2])().shape == (11, 8)


def test_the_query_is_the_mean_of_the_last_texts_times_the_gate_of_the_length() -> None:
    # Texts along two axes around their mean: items 1 and 2 are opposites, so are 3 and 4.
    text = torch.tensor([[0.0, 0.0], [2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    late = LateText(text)
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
