"""Position regression as a Lightning module: the network, the loss and the training step."""

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from medlab.data import Volume
from medlab.methods.position_regression.config import Config
from medlab.methods.position_regression.locating import Locating, mean_distance
from medlab.nn.patch_regressor import PatchRegressor


class PositionRegression(Locating):
    """Tells healthy from unhealthy by whether it can say where a patch belongs (thesis, chapter 6).

    Learns from batches of `HeadPatches`; for its maps see `Locating`. Built by the same seed it starts with the same
    weights.
    """

    def __init__(self, config: Config, seed: int = 0):
        super().__init__(config)
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = PatchRegressor(config.size, config.patch)

    def forward(self, image: Tensor) -> Tensor:
        """Places (B, 3) of patches (B, 1, s, s, s), or (B, 3, n, n', n'') of the lattice of larger volumes."""
        if max(image.shape[2:]) == self.config.patch:
            return self.network(image)
        return self.network.lattice(image)

    def losses(self, found: Tensor, place: Tensor, counts: Tensor) -> dict[str, Tensor]:
        """The named loss: "loss", the mean over patches that count of the distance between found and true place.

        found, place: (B, 3, ...) in the frame's coordinates; counts: (B, ...) bool. The distance is the l2 norm, not
        its square (thesis, section 6.2). 0 where no patch counts.
        """
        return {"loss": mean_distance(found.float(), place, counts)}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        image, place, counts = batch["image"], batch["place"], batch["counts"]
        if image.ndim == 6:  # patches of several volumes
            image, place, counts = image.flatten(0, 1), place.flatten(0, 1), counts.flatten()
        losses = self.losses(self(image), place, counts)
        self.log("train/loss", losses["loss"].detach(), batch_size=len(image))
        return losses["loss"]

    @torch.no_grad()
    def places(self, volume: Volume, stride: int = 1) -> Tensor:
        training = self.training
        self.eval()
        try:
            return self.network.dense(volume.data[None], stride=stride, memory_mb=self.config.memory_mb)[0]
        finally:
            self.train(training)

    @classmethod
    def from_weights(cls, tensors: dict[str, Tensor], card: dict, **changes: object) -> Self:
        """The trained method that a file of weights and its card describe; changes: other values for fields of its
        config, such as the stride. Raises ValueError where weights and card do not fit."""
        method = cls(replace(Config.from_dict(card["config"]), **changes))
        method.load_state_dict(tensors)
        return method.eval()
