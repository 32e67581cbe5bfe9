import torch

from components.recommenders.text_components import PrincipalComponents


def test_by_hand() -> None:
    # Around their mean (1, 1): (2, 0), (-2, 0), (0, 1), (0, -1), so variances 2 and 0.5 along the axes.
    text = torch.tensor([[3.0, 1.0], [-1.0, 1.0], [1.0, 2.0], [1.0, 0.0]])
    plain = PrincipalComponents(text, 2)
    torch.testing.assert_close(plain.of(text), torch.tensor([[2.0, 0], [-2, 0], [0, 1], [0, -1]]))
    white = PrincipalComponents(text, 1, whiten=True)
    torch.testing.assert_close(white.of(text), torch.tensor([[2.0], [-2], [0], [0]]) / 2**0.5)
    # Other texts are put into the same components, and no text stays none.
    torch.testing.assert_close(plain.of(torch.tensor([[5.0, 1.0], [0.0, 0.0]])), torch.tensor([[4.0, 0], [0, 0]]))


def test_texts_that_are_all_alike_or_not_there_have_no_components() -> None:
    for text in (torch.zeros(4, 3), torch.ones(4, 3), torch.zeros(0, 3)):
        assert not PrincipalComponents(text, 2, whiten=True).of(text).abs().sum() > 1e-5
