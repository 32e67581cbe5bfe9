import torch

from components.recommenders.backbones import neumf
from components.recommenders.backbones.neumf import NeuMF

NO_PAIRS = torch.zeros(2, 0, dtype=torch.int64)


def test_a_score_by_hand() -> None:
    backbone = NeuMF(1, layers=1, dropout=0.0, users=1, items=1, pairs=NO_PAIRS).eval()
    with torch.no_grad():
        backbone.first.weight.copy_(torch.tensor([[1.0, 2.0], [-1.0, 0.0]]))
        backbone.first.bias.copy_(torch.tensor([0.5, 0.0]))
        backbone.out.weight.copy_(torch.tensor([[10.0, 1.0, 1.0]]))
        backbone.out.bias.fill_(0.25)
    # p q = 6; the perceptron sees (5, 7): relu(5 + 14 + 0.5) = 19.5 and relu(-5) = 0.
    score = backbone.score(torch.tensor([[2.0, 5.0]]), torch.tensor([[3.0, 7.0]]))
    torch.testing.assert_close(score, torch.tensor([60 + 19.5 + 0.25]))


def test_the_perceptron_halves_its_layers() -> None:
    backbone = NeuMF(8, layers=3, dropout=0.0, users=1, items=1, pairs=NO_PAIRS)
    assert [layer.weight.shape for layer in (backbone.first, *backbone.hidden)] == [(16, 16), (8, 16), (4, 8)]
    assert backbone.out.weight.shape == (1, 8 + 4)


def test_all_pairs_in_parts(monkeypatch) -> None:
    backbone = NeuMF(4, layers=2, dropout=0.0, users=5, items=3, pairs=NO_PAIRS).eval()
    users, items = torch.randn(5, 8), torch.randn(3, 8)
    with torch.no_grad():
        whole = backbone.score_all(users, items)
        monkeypatch.setattr(neumf, "_SCORED_AT_ONCE", 2 * 3 * 8)  # two users
        torch.testing.assert_close(backbone.score_all(users, items), whole)
    assert whole.shape == (5, 3)
