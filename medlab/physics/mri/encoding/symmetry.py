"""Conjugate symmetry: the k-space of a real image holds everything twice, S(-k) = conj S(k)."""

import torch
from torch import Tensor

from medlab.physics.mri.encoding.arguments import as_complex, refuse_dims
from medlab.physics.mri.encoding.fourier import as_mask


def mirrored(kspace: Tensor, dims: int = 2) -> Tensor:
    """conj S(-k) on the same grid (..., X, Y); for a real image it is the k-space itself.

    On an even axis the frequency -n / 2 at index 0 has no partner but itself (n / 2 is the same one).
    """
    refuse_dims(dims)
    result = as_complex(kspace, "kspace", dims).conj().resolve_conj()
    for axis in range(-dims, 0):
        result = result.flip(axis)
        if result.shape[axis] % 2 == 0:
            result = result.roll(1, axis)
    return result


def fill_from_symmetry(kspace: Tensor, mask: Tensor, dims: int = 2) -> Tensor:
    """k-space with what is not measured taken from its mirror image, where that was measured, else 0.

    kspace: (..., X, Y); mask: boolean, broadcasts to the last dims dimensions. Right for a real image only; what is
    left of phase in a real scan must be estimated first (Noll, Nishimura and Macovski, IEEE Trans. Med. Imaging 10,
    154, 1991).
    """
    kspace = as_complex(kspace, "kspace", dims)
    shape = tuple(kspace.shape[-dims:])
    if as_mask(mask, shape) is None:
        raise ValueError("mask is None, expected a boolean tensor, true where k-space is measured")
    measured = mask.to(kspace.device).expand(shape)
    partner = mirrored(measured.to(kspace.dtype), dims).real > 0.5
    zero = torch.zeros_like(kspace)
    return torch.where(measured, kspace, torch.where(partner, mirrored(kspace, dims), zero))
