"""The noise schedule of denoising diffusion and the steps along it, for data of any number of axes.

Data x have the batch first, (B, ...). A state k from 0 to K - 1 is x with noise, x_k = sqrt(a_k) x + sqrt(1 - a_k) e,
where a_k ("alpha bar") falls towards 0; the state -1 is the data themselves, a = 1. Tables are float64 and are cast at
the last moment: in float32 products of a thousand factors lose four digits. Nothing is ever clipped.
Sources: Ho et al. 2020 (DDPM), Song et al. 2021 (DDIM), Nichol and Dhariwal 2021 (fewer steps).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from medlab.arguments import number, whole

Index = int | Tensor


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """betas: (K,) float64 between 0 and 1, the variance that each step adds. times: (K,) what the network is told of
    each state, which differs from its number where steps were left out."""

    betas: Tensor
    times: Tensor

    def __post_init__(self) -> None:
        if self.betas.ndim != 1 or not len(self.betas) or len(self.times) != len(self.betas):
            found = f"{tuple(self.betas.shape)} and {tuple(self.times.shape)}"
            raise ValueError(f"betas and times have the shapes {found}, expected one number a step each")
        if not bool(((self.betas > 0) & (self.betas < 1)).all()):
            raise ValueError("betas leave the range from 0 to 1, expected numbers between them")
        object.__setattr__(self, "betas", self.betas.double())

    @classmethod
    def linear(cls, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Self:
        """betas in even steps from first to last (Ho et al. 2020, section 4: 1,000 from 0.0001 to 0.02)."""
        for name, value in (("first", first), ("last", last)):
            number(value, name, 0, 1, above=True)
        return cls(torch.linspace(first, last, whole(steps, "steps"), dtype=torch.float64), torch.arange(steps))

    def respaced(self, count: int) -> Self:
        """The same noise in fewer steps: `count` of the states, evenly, the first and the last among them."""
        count = whole(count, "count", 2, len(self))
        kept = torch.linspace(0, len(self) - 1, count, dtype=torch.float64).round().long()
        levels = self.alpha_bar[kept]
        before = torch.cat([levels.new_ones(1), levels[:-1]])
        return type(self)(1 - levels / before, self.times[kept])

    def __len__(self) -> int:
        return len(self.betas)

    @cached_property
    def alpha_bar(self) -> Tensor:
        """(K,) float64: the share of the variance that is still the data's."""
        return torch.cumprod(1 - self.betas, 0)

    def state_at(self, time: int) -> int:
        """The noisiest state that is not noisier than this many of the steps that the network knows; at least 0."""
        whole(time, "time", 1, int(self.times[-1]) + 1)
        return max(int((self.times < time).sum()) - 1, 0)

    def noised(self, x: Tensor, k: Index, noise: Tensor) -> Tensor:
        """x in state k, drawn in one step: sqrt(a_k) x + sqrt(1 - a_k) noise (Ho et al., equation 4)."""
        level = self.level(k, x)
        return level.sqrt() * x + (1 - level).sqrt() * noise

    def clean(self, x: Tensor, k: Index, noise: Tensor) -> Tensor:
        """The data that a state and its noise come from: `noised` solved for x."""
        level = self.level(k, x)
        return (x - (1 - level).sqrt() * noise) / level.sqrt()

    def noise_of(self, x: Tensor, k: Index, clean: Tensor) -> Tensor:
        """The noise between data and a state k of 0 or more: `noised` solved for noise."""
        level = self.level(k, x)
        return (x - level.sqrt() * clean) / (1 - level).sqrt()

    def posterior(self, x: Tensor, k: Index, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, ...) and variance of state k - 1, given state k and the data (Ho et al., equations 6 and 7)."""
        level, before, beta = self.level(k, x), self.level(k - 1, x), self._table(self.betas, k, x)
        mean = (before.sqrt() * beta * clean + (1 - beta).sqrt() * (1 - before) * x) / (1 - level)
        return mean, beta * (1 - before) / (1 - level)

    def ddpm_step(self, x: Tensor, k: Index, predicted: Tensor, noise: Tensor) -> Tensor:
        """State k - 1 from state k, drawn from the posterior (Ho et al., algorithm 2). noise: new, like x."""
        mean, variance = self.posterior(x, k, self.clean(x, k, predicted))
        return mean + variance.sqrt() * noise

    def ddim_step(
        self, x: Tensor, k: Index, to: Index, predicted: Tensor, eta: float = 0.0, noise: Tensor | None = None
    ) -> Tensor:
        """State `to` from state k, with the noise that a network finds in x (Song et al. 2021, equation 12).

        With eta = 0 nothing is drawn, and it works both ways: to < k removes noise, to > k encodes (the same equation
        as an ODE, backwards). eta = 1 and to = k - 1 is `ddpm_step`; noise is needed for any eta above 0.
        """
        number(eta, "eta", 0)
        level, target = self.level(k, x), self.level(to, x)
        spread = torch.zeros_like(target)
        if eta:
            if noise is None or bool((target < level).any()):
                raise ValueError("eta is above 0, expected noise, and a state `to` with less noise than k")
            spread = eta * ((1 - target) / (1 - level) * (1 - level / target)).sqrt()
        moved = target.sqrt() * self.clean(x, k, predicted) + (1 - target - spread**2).clamp(min=0).sqrt() * predicted
        return moved + spread * noise if eta else moved

    def told(self, k: int, x: Tensor) -> Tensor:
        """What the network is told for a batch in state k: its time, (B,). Data themselves count as the first state."""
        return self.times[max(k, 0)].to(x.device).expand(len(x))

    def level(self, k: Index, x: Tensor) -> Tensor:
        """Alpha bar of states k, one for all or (B,), shaped to be multiplied with x; 1 for the state -1."""
        return self._table(torch.cat([self.alpha_bar, self.alpha_bar.new_ones(1)]), k, x)

    def _table(self, table: Tensor, k: Index, x: Tensor) -> Tensor:
        at = torch.as_tensor(k).cpu()
        if bool((at < -1).any()) or bool((at >= len(self)).any()):
            raise ValueError(f"k is {at.tolist()}, expected states from -1 to {len(self) - 1}")
        if at.ndim and at.shape != x.shape[:1]:
            raise ValueError(f"k has the shape {tuple(at.shape)}, expected one state for each of {len(x)} data")
        # MPS has no float64: the square roots of float32 numbers that were made in float64 are good enough.
        found = table[at].to(x.device, x.dtype if x.is_floating_point() else torch.float32)
        return found.reshape(-1, *[1] * (x.ndim - 1)) if at.ndim else found
