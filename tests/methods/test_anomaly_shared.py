"""What all methods of anomaly detection share: prepared heads, structures and their truth, maps and decisions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from medlab.cohorts.cq500 import Cq500Cohort
from medlab.cohorts.grid import Grid
from medlab.data import Volume, VolumeError, load_volume
from medlab.data.readers.cq500 import FOREGROUND_HU
from medlab.methods.anomaly import ErrorMap, Heads, prepare_head, reference_head, seen, structures_of, truth_of

SIZE, SPACING = 32, 8.0
BROKEN, BLEEDING_RIGHT = 25, 18  # of the cohort below


@pytest.fixture(scope="module")
def cohort():
    return Cq500Cohort(26, Grid.cube(SIZE, SIZE * SPACING), 0, reconstructed=False)


@pytest.fixture(scope="module")
def heads(cohort):
    return Heads(cohort, SIZE, SPACING)


def moved(volume: Volume, degrees: float, shift_mm: tuple[float, float, float]) -> tuple[Volume, np.ndarray]:
    """The same voxels in a world that is turned about its vertical axis and shifted, and that motion."""
    angle, motion = np.radians(degrees), np.eye(4)
    motion[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    motion[:3, 3] = shift_mm
    return Volume(volume.data, motion @ volume.affine, volume.name), motion


class TestHeads:
    def test_a_kept_head_is_the_one_made_anew(self, heads):
        first, again = heads.load(BROKEN), heads.load(BROKEN)
        made = prepare_head(heads.samples.load(BROKEN), reference_head(SIZE, SPACING))
        assert torch.equal(first.image.data, again.image.data)
        assert torch.equal(first.image.data, made.image.data.half().float())
        np.testing.assert_array_equal(first.image.affine, made.image.affine)
        assert torch.equal(first.label, made.label) and torch.equal(first.mask, made.mask)
        assert dict(first.facts) == dict(made.facts) == dict(heads.samples.facts(BROKEN))

    def test_heads_of_what_is_no_cohort_are_made_each_time_and_look_the_same(self, cohort, heads):
        found = Heads(cohort.choose([BROKEN]), SIZE, SPACING).load(0)
        np.testing.assert_allclose(found.image.data, heads.load(BROKEN).image.data, atol=0.6)  # of half precision

    def test_channels_mask_and_label(self, heads):
        head = heads.load(BROKEN)
        assert head.channels == ("HU", "equalised")
        assert head.image.shape == (2, SIZE, SIZE, SIZE)
        np.testing.assert_array_equal(head.image.affine, reference_head(SIZE, SPACING).affine)
        hounsfield, equalised = seen(head, "HU").data[0], seen(head, "equalised").data[0]
        certain = (hounsfield - FOREGROUND_HU).abs() > 1  # the mask was made before rounding to half precision
        assert torch.equal((hounsfield > FOREGROUND_HU)[certain], head.mask[certain])
        assert float(equalised[~head.mask].abs().max()) == 0
        inside = equalised[head.mask]
        assert float(inside.min()) >= 0 and float(inside.max()) <= 1
        # Equalised: as many voxels in each fifth of the scale.
        counts = torch.histc(inside, 5, 0, 1) / len(inside)
        assert float((counts - 0.2).abs().max()) < 0.04
        assert set(head.label.unique().tolist()) <= {0, 1, 2} and bool((head.label == 2).any())

    def test_what_is_brighter_stays_brighter(self, heads):
        head = heads.load(0)
        order = seen(head, "HU").data[0][head.mask].argsort()
        ranked = seen(head, "equalised").data[0][head.mask][order]
        assert float(ranked.diff().min()) > -2e-3  # half precision

    def test_registration_undoes_a_known_turn(self, cohort):
        sample = cohort.load(BLEEDING_RIGHT)
        reference = reference_head(SIZE, SPACING)
        other, _ = moved(sample.image, 8.0, (6.0, -9.0, 5.0))
        straight, turned = (prepare_head(one, reference) for one in (sample, replace(sample, image=other)))
        crooked = replace(sample, image=other)
        difference = (straight.channel("HU") - turned.channel("HU")).abs().mean()
        left_as_it_was = _on(reference, crooked.image)
        wrong = (straight.channel("HU") - left_as_it_was).abs().mean()
        assert float(difference) < 0.25 * float(wrong)
        # The label travels with the image: the bleed is where it was.
        first, second = (points(one.label == 1, one.image) for one in (straight, turned))
        assert len(first) and np.linalg.norm(first.mean(0) - second.mean(0)) < SPACING

    @pytest.mark.parametrize("size, spacing", [(7, 8.0), (32.0, 8.0), (32, 0.0), (32, float("nan"))])
    def test_sizes_that_no_cube_has_are_refused(self, cohort, size, spacing):
        with pytest.raises(ValueError, match=r"^(size|spacing_mm) is .*, expected "):
            Heads(cohort, size, spacing)


def _on(reference: Volume, volume: Volume) -> Tensor:
    from medlab.data.resample import resample

    return resample(volume, like=reference, fill=-1024.0).data[0]


def points(mask: Tensor, volume: Volume) -> np.ndarray:
    return volume.to_world(mask.nonzero().numpy())


class TestStructures:
    def test_truth_is_that_of_the_facts(self, heads):
        healthy, broken, bleeding = (truth_of(heads.load(index)) for index in (0, BROKEN, BLEEDING_RIGHT))
        assert healthy == {"skull": False, "left hemisphere": False, "right hemisphere": False}
        assert broken == {"skull": True, "left hemisphere": False, "right hemisphere": False}
        assert bleeding == {"skull": False, "left hemisphere": False, "right hemisphere": True}

    def test_the_truths_voxels_lie_in_the_structures(self, heads):
        broken, bleeding = heads.load(BROKEN), heads.load(BLEEDING_RIGHT)
        assert tuple(structures_of(broken)) == tuple(truth_of(broken))
        assert float(structures_of(broken)["skull"][broken.label == 2].float().mean()) > 0.6
        found = structures_of(bleeding)
        assert float(found["right hemisphere"][bleeding.label == 1].float().mean()) > 0.9
        assert float(found["left hemisphere"][bleeding.label == 1].float().mean()) < 0.1

    def test_a_map_that_is_the_truth_decides_rightly(self, heads):
        for index in (0, BROKEN, BLEEDING_RIGHT):
            head = heads.load(index)
            perfect = ErrorMap(seen(head, "HU").with_data((head.label > 0).float()[None]), "truth")
            decided = perfect.decisions(structures_of(head), 0.5)
            truth = truth_of(head)
            # The outermost voxels of bone and brain belong to both: a fracture may be seen from inside too.
            assert all(decided[name] for name, there in truth.items() if there), index
            assert decided == truth or index == BROKEN

    def test_an_air_filled_scan_has_no_structures(self, heads):
        head = heads.load(0)
        empty = replace(head, image=head.image.with_data(torch.full_like(head.image.data, -1000.0)))
        with pytest.raises(VolumeError, match="expected a whole head in HU"):
            structures_of(empty)

    def test_an_unknown_channel_is_refused(self, heads):
        with pytest.raises(ValueError, match="T1"):
            seen(heads.load(0), "T1")


VALUES = torch.arange(8.0).reshape(1, 2, 2, 2)
FIRST = torch.arange(8).reshape(2, 2, 2) < 4
STRUCTURES = {"skull": FIRST, "left hemisphere": ~FIRST}


class TestErrorMap:
    def test_scores_and_decisions_by_hand(self):
        found = ErrorMap(Volume(VALUES), "distance in the frame")
        assert torch.equal(found.values, VALUES[0])
        assert found.scores(STRUCTURES) == {"skull": 3.0, "left hemisphere": 7.0}
        assert found.scores(STRUCTURES, percentile=50) == {"skull": 1.5, "left hemisphere": 5.5}
        assert found.decisions(STRUCTURES, 4.0) == {"skull": False, "left hemisphere": True}
        assert found.decisions(STRUCTURES, 7.0) == {"skull": False, "left hemisphere": False}, "must exceed it"
        assert found.decisions(STRUCTURES, 1.4, percentile=50) == {"skull": True, "left hemisphere": True}

    def test_a_saved_map_comes_back(self, tmp_path):
        affine = np.diag([2.0, 2.0, 3.0, 1.0])
        affine[:3, 3] = (-1, 2, 5)
        written = ErrorMap(Volume(VALUES / 7, affine), "absolute difference").save(tmp_path / "map.nii.gz")
        back = load_volume(written)
        assert torch.equal(back.data, VALUES / 7)
        np.testing.assert_allclose(back.affine, affine)

    @pytest.mark.parametrize(
        "data, message",
        [
            (torch.zeros(2, 2, 2, 2), r"^volume has 2 channels, expected one number a voxel$"),
            (torch.zeros(1, 2, 2, 2), r"^volume 'map' holds NaN or infinity, expected finite numbers$"),
        ],
    )
    def test_what_is_no_map_is_refused(self, data, message):
        volume = Volume(data, name="map")
        if data.shape[0] == 1:
            volume.data[0, 0, 0, 0] = float("nan")  # changed in place, after the volume looked at it
        with pytest.raises(ValueError, match=message):
            ErrorMap(volume, "error")

    def test_a_structure_that_is_empty_or_of_another_shape_is_refused(self):
        found = ErrorMap(Volume(VALUES), "error")
        with pytest.raises(ValueError, match="structure 'skull' is empty"):
            found.scores({"skull": torch.zeros(2, 2, 2, dtype=torch.bool)})
        with pytest.raises(ValueError, match=r"structure 'skull' has the shape \(2, 2, 3\)"):
            found.scores({"skull": torch.ones(2, 2, 3, dtype=torch.bool)})
