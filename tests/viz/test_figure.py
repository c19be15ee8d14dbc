import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from medlab.viz import show, style
from medlab.viz.figure import svg_of


def drawing():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([0, 1, 2], [0, 1, 4], label="a curve")
    left.set_title("$T_2^*$ < 5 & more")
    left.legend()
    right.imshow(np.random.default_rng(0).normal(size=(40, 30)).cumsum(0), cmap="gray")
    right.plot([1, 2], [3, 4], color=style.PAPER)
    return figure


@pytest.fixture
def svg(displayed):
    return svg_of(drawing(), prefix="p-", alt='a "quoted" text & more')


def test_it_is_one_line_of_well_formed_xml(svg):
    assert "\n" not in svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_ink_and_paper_follow_the_theme(svg):
    assert style.INK not in svg and style.PAPER not in svg
    assert "currentColor" in svg and "var(--pst-color-background" in svg


def test_ids_are_prefixed_unique_and_every_reference_resolves(svg):
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert ids and len(ids) == len(set(ids)) and all(name.startswith("p-") for name in ids)
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
    assert references and {a or b for a, b in references} <= set(ids)


def test_it_carries_its_text_alternative_and_scales(svg):
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img" and root.attrib["aria-label"] == 'a "quoted" text & more'
    assert "width" not in root.attrib and "width:100%" in root.attrib["style"] and "viewBox" in root.attrib


def test_nothing_is_fetched(svg):
    addresses = set(re.findall(r'(?:xlink:)?href="([^#"][^"]*)"', svg))
    assert all(address.startswith("data:image/") for address in addresses)


def test_the_same_drawing_gives_the_same_bytes(displayed):
    assert svg_of(drawing(), prefix="p-", alt="a") == svg_of(drawing(), prefix="p-", alt="a")


def test_voxel_edges_are_kept_only_where_asked(displayed):
    figure, (smooth, sharp) = plt.subplots(1, 2)
    smooth.imshow(np.eye(4))
    sharp.imshow(np.eye(4)).set_gid("voxels1")
    assert svg_of(figure, prefix="", alt="a").count("image-rendering:pixelated") == 1


def test_few_colours_are_kept_to_the_letter():
    kinds = np.random.default_rng(0).integers(0, 4, (60, 60))
    colours = np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [1.0, 1.0, 1.0]])
    figure, ax = plt.subplots(figsize=(2, 2))
    ax.imshow(colours[kinds], interpolation="none")
    kind, packed = re.search(
        r"data:image/(\w+);base64,([A-Za-z0-9+/=]+)", svg_of(figure, prefix="c-", alt="c")
    ).groups()
    shown = Image.open(io.BytesIO(base64.b64decode(packed))).convert("RGB")
    assert kind == "webp" and len(shown.getcolors()) == 4


def test_show_closes_the_figure_and_gives_html_and_text(displayed):
    show(drawing(), caption="See the curve.", alt="a curve")
    (bundle, _), *rest = displayed
    assert not rest and not plt.get_fignums()
    assert "<figcaption>See the curve.</figcaption>" in bundle["text/html"]
    assert bundle["text/plain"] == "Figure: a curve"


@pytest.mark.parametrize(("caption", "alt"), [("", "a"), ("  ", "a"), ("a", ""), ("a", None)])
def test_a_figure_without_words_is_refused(displayed, caption, alt):
    with pytest.raises(ValueError, match="is empty, expected"):
        show(drawing(), caption=caption, alt=alt)
    plt.close("all")
