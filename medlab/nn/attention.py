"""Attention gates on skip connections."""

from torch import Tensor, nn

from medlab.nn.blocks import Upsample, convolution


class AttentionGate(nn.Module):
    """Weighs a skip connection by what the coarser level has seen (Oktay et al. 2018, equations 1 and 2).

    alpha = sigmoid(psi(relu(theta(skip) + phi(gate)))), one number from 0 to 1 for each place of the coarser grid, then
    repeated to the finer; the result is alpha times skip. skip: (B, skips, 2X, ...); gate: (B, gates, X, ...). inner:
    channels in between. (The paper interpolates alpha linearly; repeating it has the same gradient on every run.)
    """

    def __init__(self, skips: int, gates: int, inner: int | None = None, axes: int = 3):
        super().__init__()
        inner = inner or max(skips // 2, 1)
        self.theta = convolution(skips, inner, 2, stride=2, axes=axes)
        self.phi = convolution(gates, inner, 1, bias=True, axes=axes)
        self.psi = convolution(inner, 1, 1, bias=True, axes=axes)
        self.up = Upsample("nearest", axes)

    def weights(self, skip: Tensor, gate: Tensor) -> Tensor:
        """alpha, (B, 1, 2X, ...), from 0 to 1."""
        return self.up(self.psi((self.theta(skip) + self.phi(gate)).relu_()).sigmoid())

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        return skip * self.weights(skip, gate)
