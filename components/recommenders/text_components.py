"""Texts by their principal components: fewer columns, and none in which all texts are alike."""

import torch
from torch import Tensor


class PrincipalComponents:
    """The first principal components of some texts; other texts of the same encoder can be put into them too.

    The sign of a direction is arbitrary and differs between machines: here its largest entry is positive.
    """

    def __init__(self, text: Tensor, count: int, whiten: bool = False):
        """Fit the components.

        Args:
            text: float32[I, t].
            count: how many, at most t.
            whiten: whether each gets variance 1, but for those in which the texts do not differ.
        """
        rows = text.double()
        self._mean = rows.mean(dim=0)
        centred = rows - self._mean
        values, directions = torch.linalg.eigh(centred.T @ centred / max(len(rows), 1))
        values, directions = values.flip(0)[:count], directions.flip(1)[:, :count]
        largest = directions.abs().argmax(dim=0)
        directions = directions * directions[largest, torch.arange(directions.shape[1])].sign()
        if whiten:
            differs = values > values[0].clamp(min=1e-12) * 1e-9
            directions = directions * torch.where(differs, values.clamp(min=1e-30).rsqrt(), 0.0)
        self._directions = directions

    def of(self, text: Tensor) -> Tensor:
        """float32[n, t] -> float32[n, count]; a zero row, which stands for no text, stays zero."""
        components = ((text.double() - self._mean) @ self._directions).float()
        return components * (text != 0).any(dim=1, keepdim=True)
