"""Turning a volume so that its axes grow as they should, without touching a value."""

import nibabel.orientations
import numpy as np

from medlab.data.volume import Volume


def to_canonical(volume: Volume) -> Volume:
    """The volume with its axes permuted and flipped to RAS+, as near as the grid allows.

    No value is interpolated: each voxel keeps its value and its position in the world. An oblique volume stays
    oblique. A volume that is RAS+ already is returned as it is. Gradients flow.
    """
    return _turned(volume, nibabel.orientations.io_orientation(volume.affine))


def turned_like(volume: Volume, like: Volume) -> Volume:
    """The volume with its axes permuted and flipped as those of another one: the way back from `to_canonical`.

    As there, no value is interpolated and each voxel keeps its position in the world.
    """
    here, there = (nibabel.orientations.io_orientation(one.affine) for one in (volume, like))
    return _turned(volume, nibabel.orientations.ornt_transform(here, there))


def _turned(volume: Volume, turn: np.ndarray) -> Volume:
    """The volume with axis i moved to turn[i, 0], and flipped where turn[i, 1] is -1."""
    targets, signs = turn[:, 0].astype(int), turn[:, 1].astype(int)
    if targets.tolist() == [0, 1, 2] and (signs > 0).all():
        return volume

    flipped = [axis + 1 for axis in range(3) if signs[axis] < 0]
    sources = np.argsort(targets)  # new axis i is old axis sources[i]
    data = volume.data.flip(flipped).permute(0, *(int(source) + 1 for source in sources))

    # old index = size - 1 - new index on a flipped axis, the new index elsewhere
    back = np.zeros((4, 4))
    back[3, 3] = 1
    for new, old in enumerate(sources):
        back[old, new] = signs[old]
        back[old, 3] = 0 if signs[old] > 0 else volume.shape[old + 1] - 1
    return Volume(data.contiguous(), volume.affine @ back, volume.name)
