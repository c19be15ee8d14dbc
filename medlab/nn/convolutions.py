"""Convolutions of images and volumes, with care where a processor's library has none."""

import torch
from torch import Tensor, nn


class Convolution3d(nn.Conv3d):
    """`torch.nn.Conv3d`, in float32 where bfloat16 would go wrong on a CPU.

    For a kernel that is longer than the volume along the first axis of space, the bfloat16 gradient of the weights
    reads and writes beyond its memory (torch 2.13 with oneDNN on processors with AVX-512: 3 taps over 2 voxels, 5 over
    3 or 4), which gives infinite numbers or ends the process. Such maps are tiny, so float32 costs nothing.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or x.shape[2] >= self.kernel_size[0]:
            return super().forward(x)
        lower = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if lower != torch.bfloat16:
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            bias = None if self.bias is None else self.bias.float()
            return self._conv_forward(x.float(), self.weight.float(), bias).to(lower)


CONVOLUTION = {2: nn.Conv2d, 3: Convolution3d}
