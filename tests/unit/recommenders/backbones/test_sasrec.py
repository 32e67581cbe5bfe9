import torch

from components.recommenders.backbones.sasrec import SASRec


def test_a_state_depends_on_nothing_after_it() -> None:
    torch.manual_seed(0)
    backbone = SASRec(embedding_dimension=8, layers=2, heads=2, dropout=0.0, length=6)
    items = torch.randn(2, 6, 8, requires_grad=True)
    for position in range(6):
        (gradient,) = torch.autograd.grad(backbone(items)[:, position].square().sum(), items)
        assert gradient[:, : position + 1].abs().sum(dim=-1).all()
        assert not gradient[:, position + 1 :].any()


def test_dropout_is_off_outside_training() -> None:
    backbone = SASRec(embedding_dimension=8, layers=1, heads=2, dropout=0.5, length=4)
    items = torch.ones(1, 4, 8)
    assert not torch.equal(backbone(items), backbone(items))
    backbone.eval()
    assert torch.equal(backbone(items), backbone(items))
