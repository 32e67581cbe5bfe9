import pytest
import torch

from components.recommenders.item_encoders import FrozenTextItemEncoder, ItemEncoder


def test_frozen_texts_beside_learned_components() -> None:
    text = torch.cat([torch.zeros(1, 6), torch.randn(10, 6, generator=torch.Generator().manual_seed(0))])
    encoder = FrozenTextItemEncoder(items=10, dimension=8, text=text)
    table = encoder()
    assert table.shape == (11, 8) and [name for name, _ in encoder.named_parameters()] == ["embedding"]
    # Standardised: every frozen component varies as much as a learned one does at its start.
    torch.testing.assert_close(table[1:, :4].std(dim=0, correction=0), torch.full((4,), 0.02))
    # Texts of fewer components than half of the table leave the rest to the learned ones.
    assert FrozenTextItemEncoder(10, 8, text[:, :2])().shape == (11, 8)


@pytest.mark.parametrize("text", [None, torch.randn(8, 5)], ids=["ids", "texts"])
def test_some_rows_are_those_of_the_table(text: torch.Tensor | None) -> None:
    encoders: list[ItemEncoder | FrozenTextItemEncoder] = [ItemEncoder(7, 4, text)]
    encoders += [] if text is None else [FrozenTextItemEncoder(7, 4, text)]
    items = torch.tensor([0, 6, 2])
    for encoder in encoders:
        assert torch.allclose(encoder(items), encoder()[items], atol=1e-6)
