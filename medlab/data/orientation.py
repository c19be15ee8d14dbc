"""Turning a volume so that its axes grow to the right, the front and the head, without touching a value."""

import nibabel.orientations
import numpy as np

from medlab.data.volume import Volume


def to_canonical(volume: Volume) -> Volume:
    """The volume with its axes permuted and flipped to RAS+, as near as the grid allows.

    No value is interpolated: each voxel keeps its value and its position in the world. An oblique volume stays
    oblique. A volume that is RAS+ already is returned as it is. Gradients flow.
    """
    turn = nibabel.orientations.io_orientation(volume.affine)  # row i: where axis i goes, and with what sign
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
