"""The course map: what it refuses, the order it gives, and drawings in which nothing overlaps, whatever the graph."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from book.coursemap import Graph, Node, duration, paths_html
from book.coursemap_layout import Box, direct_needs
from book.coursemap_svg import COLOURS, CSS, narrow_sheet, part_title, svg, text_width, wide_sheet, wrap
from book.lessons import PATHS, Lesson

ROUNDING = 0.06  # path data has one digit after the point


def node(name, *needs, title="", part="", minutes=10, summary="", paths=()):
    return Node(name, title or f"Lesson {name}", part or name.partition("/")[0], minutes, summary, needs, tuple(paths))


def link(lesson_id):
    return f"../{lesson_id}.html"


SMALL = Graph.from_nodes(
    [
        node("physics/echo", "physics/spins", minutes=45, paths=["physicist"]),
        node("nets/unet", "start/images", minutes=80, paths=["engineer"]),
        node("physics/spins", "start/images", minutes=30, paths=["physicist"]),
        node("start/images", minutes=20, paths=["engineer", "physicist"]),
    ]
)


@pytest.mark.parametrize(
    ("nodes", "sentence"),
    [
        ([node("a/one", "a/two")], "a/one: prerequisite «a/two» is not a lesson, expected one of a/one"),
        ([node("a/one", "a/one")], "prerequisites run in a circle: a/one needs a/one, expected"),
        (
            [node("a/zero"), node("a/one", "a/three"), node("a/two", "a/one"), node("a/three", "a/two", "a/zero")],
            "prerequisites run in a circle: a/one needs a/three needs a/two needs a/one, expected",
        ),
        ([node("a/one", paths=["poet"])], "a/one: path «poet» is unknown, expected one of clinician, engineer"),
        (
            [node("a/one", paths=["engineer"]), node("a/two", "a/one", paths=["engineer", "physicist"])],
            "a/two: is on the path «physicist» but its prerequisite «a/one» is not, expected «physicist» among",
        ),
    ],
)
def test_a_graph_that_cannot_be_read_in_order_is_refused(nodes, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Graph.from_nodes(nodes)


def test_the_order_follows_the_prerequisites_and_stays_in_a_part():
    assert SMALL.order == ["start/images", "nets/unet", "physics/spins", "physics/echo"]
    assert SMALL.parts == ["start", "nets", "physics"]
    assert SMALL.needs["physics/echo"] == ("physics/spins",)
    two_parts = [node("a/one"), node("b/one"), node("a/two"), node("b/two"), node("a/three")]
    assert Graph.from_nodes(two_parts).order == ["a/one", "a/two", "a/three", "b/one", "b/two"]


def test_reading_paths():
    assert SMALL.reading_path("physicist") == ["start/images", "physics/spins", "physics/echo"]
    assert SMALL.reading_path("clinician") == []
    with pytest.raises(ValueError, match="path «poet» is unknown, expected one of clinician, engineer, physicist"):
        SMALL.reading_path("poet")


def test_minutes():
    assert SMALL.minutes(SMALL.reading_path("physicist")) == 95
    assert SMALL.minutes([]) == 0
    assert [duration(minutes) for minutes in (0, 45, 60, 125)] == ["0 min", "45 min", "1 h", "2 h 5 min"]


def test_a_graph_of_lessons(tmp_path):
    source = tmp_path / "part" / "one.py"
    source.parent.mkdir()
    header = (
        "# ---\n# jupyter:\n#   lesson: {summary: Short., prerequisites: [], paths: [engineer], weights: []}\n# ---\n"
    )
    source.write_text(f"{header}\n# %% [markdown]\n# # The title\n# {'word ' * 300}\n")
    graph = Graph.from_lessons([Lesson(source, tmp_path)])
    assert graph.nodes == {"part/one": Node("part/one", "The title", "part", 2, "Short.", (), ("engineer",))}


def test_the_paths_as_html():
    text = paths_html(SMALL, link)
    sections = ElementTree.fromstring(text).findall("section")
    assert [section.find("p/strong").text for section in sections] == [
        "For a clinician",
        "For an engineer",
        "For a physicist",
    ]
    assert "0 lessons, 0 min of reading" in text and "<p>No lesson yet.</p>" in text
    assert "2 lessons, 1 h 40 min of reading" in text and "3 lessons, 1 h 35 min of reading" in text
    assert [a.get("href") for a in sections[1].iter("a")] == ["../start/images.html", "../nets/unet.html"]
    alone = Graph.from_nodes([node("a/one", paths=["clinician"])])
    assert "1 lesson, 10 min" in paths_html(alone, link)


def test_each_drawing_has_one_link_a_lesson():
    root = ElementTree.fromstring(svg(SMALL, link))
    drawings = [element for element in root if element.tag.endswith("svg")]
    assert [drawing.get("class") for drawing in drawings] == ["coursemap-wide", "coursemap-narrow"]
    for drawing in drawings:
        found = [element for element in drawing.iter() if element.tag.endswith("}a")]
        assert [a.get("href") for a in found] == [link(name) for name in SMALL.order]
        assert found[-1].get("aria-label") == (
            "Lesson physics/echo. Physics, 45 minutes to read. Builds on: Lesson physics/spins."
        )
        assert found[0].get("aria-label").endswith("Needs no other lesson.")
        assert drawing.get("aria-label") == "Map of the book: 4 lessons and what each builds on"
    assert [item[0].tail for item in root.iter("li")] == ["Start", "Nets", "Physics"]


def test_the_map_is_one_line_and_its_classes_have_a_style():
    text = svg(SMALL, link)
    assert "\n" not in text and "\n" not in paths_html(SMALL, link)
    for name in set(re.findall(r'class="([\w-]+)"', text + paths_html(SMALL, link))):
        assert f".{name}" in CSS, f"nothing styles {name}"


def test_titles_and_addresses_are_escaped():
    title = 'Is $p$ < 0.05 & "so" <script>alert(1)</script>?'
    graph = Graph.from_nodes([node("a/one", title=title, summary="<b> & more", paths=PATHS)])
    text = svg(graph, lambda name: f'{name}.html?a=1&b="2"')
    assert "<script" not in text + paths_html(graph, link)
    root = ElementTree.fromstring(text)
    found = next(element for element in root.iter() if element.tag.endswith("}a"))
    assert found.get("href") == 'a/one.html?a=1&b="2"'
    assert found.get("aria-label").startswith('Is p < 0.05 & "so" <script>alert(1)</script>?')
    assert found[0].text == "<b> & more"


def test_an_empty_book():
    graph = Graph.from_nodes([])
    assert (graph.order, graph.parts, graph.reading_path("engineer")) == ([], [], [])
    assert svg(graph, link) == '<div class="coursemap"><p>No lesson yet.</p></div>'
    assert paths_html(graph, link).count("No lesson yet.") == len(PATHS)


def test_names_of_parts():
    assert part_title("physics/mri") == "Physics, MRI"
    assert part_title("deep_learning") == "Deep learning"
    assert part_title("") == "The book"


def test_more_parts_than_colours_start_again():
    graph = Graph.from_nodes([node(f"part{at}/one") for at in range(len(COLOURS) + 1)])
    drawing = svg(graph, link)
    assert all(colour in drawing for colour in COLOURS)
    assert drawing.count(f"--part:var(--coursemap-part-0,{COLOURS[0]})") == 6  # two lessons: legend and two drawings


@given(st.text("abc mwiW.…", max_size=80), st.floats(60, 200), st.integers(0, 4))
def test_wrapped_text_fits(text, width, most):
    lines = wrap(text, width, 14, most)
    assert len(lines) <= most
    assert all(text_width(line, 14) <= width or len(line) <= 2 for line in lines)
    if not any("…" in line for line in lines) and most:
        assert " ".join(lines).split() == text.split()


@st.composite
def graphs(draw):
    """Up to 24 lessons in up to four parts, each of which needs any of those before it."""
    count = draw(st.integers(1, 24))
    nodes = []
    for at in range(count):
        needs = draw(st.sets(st.integers(0, at - 1), max_size=4)) if at else ()
        part = draw(st.sampled_from("abcd"))
        title = " ".join(["word"] * draw(st.integers(1, 12)))
        names = [nodes[need].id for need in sorted(needs)]
        nodes.append(node(f"{part}/{at}", *names, title=title, summary=draw(st.sampled_from(["", title]))))
    return Graph.from_nodes(draw(st.permutations(nodes)))


def inside(sheet, x, y):
    return -ROUNDING <= x <= sheet.width + ROUNDING and -ROUNDING <= y <= sheet.height + ROUNDING


def overlap(one, other):
    apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
    apart_y = one.y + one.height <= other.y or other.y + other.height <= one.y
    return not (apart_x or apart_y)


def on_card(box, x, y):
    """Whether a point lies on the edge of a card."""
    left, right, top, bottom = x - box.x, box.x + box.width - x, y - box.y, box.y + box.height - y
    return abs(min(left, right, top, bottom)) <= ROUNDING


def strokes(path):
    """The strokes of path data: for each, its points."""
    parts = [[float(n) for n in re.findall(r"-?\d+\.\d", part)] for part in path.split("M")[1:]]
    return [list(zip(numbers[::2], numbers[1::2], strict=True)) for numbers in parts]


def near(one, other):
    return abs(one[0] - other[0]) <= 2 * ROUNDING and abs(one[1] - other[1]) <= 2 * ROUNDING


@settings(deadline=None, max_examples=100)
@given(graphs())
def test_the_layout_of_any_graph(graph):
    wide, narrow = wide_sheet(graph)[0], narrow_sheet(graph)[0]
    for sheet in (wide, narrow):
        cards_stand_apart_on_the_sheet(graph, sheet)
        edges_arrive_at_every_lesson_that_builds_on_theirs(graph, sheet)
    wide_edges_are_unbroken_and_pass_no_card(wide)
    narrow_edges_start_at_their_card_and_stay_in_the_margin(narrow)
    again = Graph(dict(graph.nodes))
    assert (wide, narrow) == (wide_sheet(again)[0], narrow_sheet(again)[0])


def cards_stand_apart_on_the_sheet(graph, sheet):
    assert list(sheet.boxes) == graph.order
    assert not any(overlap(one, other) for one, other in combinations(sheet.boxes.values(), 2))
    for box in sheet.boxes.values():
        assert box.width > 0 and box.height > 0
        assert inside(sheet, box.x, box.y) and inside(sheet, box.x + box.width, box.y + box.height)


def edges_arrive_at_every_lesson_that_builds_on_theirs(graph, sheet):
    direct = direct_needs(graph.order, graph.needs)
    assert set(sheet.edges) == set(sheet.arrivals) == {need for needs in direct.values() for need in needs}
    for source, ends in sheet.arrivals.items():
        targets = [name for name in graph.order if source in direct[name]]
        assert len(ends) == len(targets)
        for target in targets:
            assert sum(on_card(sheet.boxes[target], *end) for end in ends) == 1


def wide_edges_are_unbroken_and_pass_no_card(sheet):
    for source, path in sheet.edges.items():
        drawn = strokes(path)
        starts, ends = [points[0] for points in drawn], [points[-1] for points in drawn]
        for start in starts:
            assert on_card(sheet.boxes[source], *start) or any(near(start, end) for end in ends)
        for end in ends:
            assert any(near(end, other) for other in [*sheet.arrivals[source], *starts])
        for points in drawn:
            assert all(inside(sheet, *point) for point in points)
            if len(points) == 5:  # a curve between layers, then straight on through one
                (x, y), (right, bottom) = points[3:]
                assert not any(overlap(box, Box(x, y, right - x, bottom - y)) for box in sheet.boxes.values())


def narrow_edges_start_at_their_card_and_stay_in_the_margin(sheet):
    gutter = next(iter(sheet.boxes.values())).x
    for source, path in sheet.edges.items():
        points = [(float(x), float(y)) for x, y in re.findall(r"(-?\d+\.\d) (-?\d+\.\d)", path)]
        assert on_card(sheet.boxes[source], *points[0])
        assert all(inside(sheet, *point) and point[0] <= gutter + ROUNDING for point in points)
        straight = [float(x) for x in re.findall(r"H(-?\d+\.\d)", path)]
        assert all(-ROUNDING <= x <= gutter + ROUNDING for x in straight)
        assert sum(abs(x - gutter) <= ROUNDING for x in straight) >= len(sheet.arrivals[source])
        assert all(0 <= float(y) <= sheet.height for y in re.findall(r"V(-?\d+\.\d)", path))


@settings(deadline=None, max_examples=5)
@given(graphs())
def test_the_same_graph_gives_the_same_drawing(graph):
    text = svg(graph, link)
    assert text == svg(Graph(dict(graph.nodes)), link)
    assert [part.count("<a href") for part in text.split("<svg")[1:]] == [len(graph.nodes)] * 2
