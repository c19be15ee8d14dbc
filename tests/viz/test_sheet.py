import matplotlib.pyplot as plt
import pytest
import torch

from medlab.data import Volume
from medlab.data.samples import Sample
from medlab.viz.sheet import Panel, panels_of, sheet

IMAGE = torch.rand(4, 6, 3, generator=torch.Generator().manual_seed(0))


def test_a_sheet_draws_each_panel_in_its_window_with_its_title():
    panels = [Panel("one", IMAGE, (0, 1)), Panel("two\nlines", IMAGE, (0, 2)), None, Panel("three", IMAGE)]
    figure = sheet(panels, columns=3)
    drawn = {ax.get_title(): ax.images[0].get_clim() for ax in figure.axes if ax.images}
    assert drawn == {"one": (0, 1), "two\nlines": (0, 2), "three": (float(IMAGE.min()), float(IMAGE.max()))}
    assert len(figure.axes) == 6 and not any(ax.axison for ax in figure.axes)
    plt.close(figure)


def test_masks_lie_over_the_same_slice():
    mask = torch.zeros(4, 6, 3, dtype=torch.bool)
    mask[0, 0, 2] = True
    figure = sheet([Panel("", IMAGE, masks={"#ff0000": mask}, index=2, spacing=(1.0, 2.0, 3.0))])
    picture, overlay = figure.axes[0].images
    assert picture.get_extent() == overlay.get_extent() == [0, 4, 0, 12]
    assert float(overlay.get_array()[..., 3].sum()) == pytest.approx(0.75)
    plt.close(figure)


def test_rows_are_as_high_as_their_highest_picture():
    flat, tall = Panel("", torch.zeros(8, 2, 1)), Panel("", torch.zeros(2, 8, 1))
    assert flat.aspect == 0.25 and tall.aspect == 4
    assert Panel("", torch.zeros(8, 1, 4), plane="coronal", spacing=(1.0, 1.0, 6.0)).aspect == 3
    low, high = (sheet([panel, panel], columns=2) for panel in (flat, tall))
    assert high.get_size_inches()[1] > 10 * low.get_size_inches()[1]
    plt.close("all")


def test_a_sample_gives_a_panel_for_each_channel():
    sample = Sample("somebody", Volume(torch.stack([IMAGE, 5 * IMAGE])), ("T1", "T2"))
    one, two = panels_of(sample, "cohort", {"T1": (0.0, 9.0)})
    assert (one.title, two.title) == ("cohort: T1", "cohort: T2")
    assert one.window == (0.0, 9.0)
    assert two.window == (0.0, pytest.approx(1.15 * 5 * float(IMAGE.quantile(0.995)), rel=1e-4))
    assert torch.equal(two.image, 5 * IMAGE)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: sheet([]), "panels are 0 in 2 columns"),
        (lambda: sheet([None]), "panels are 0"),
        (lambda: sheet([Panel("", IMAGE)], columns=0), "in 0 columns"),
        (lambda: sheet([Panel("", IMAGE, plane="oblique")]), "plane is 'oblique', expected one of sagittal"),
    ],
)
def test_a_sheet_refuses(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
