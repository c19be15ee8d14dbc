"""The form: well made, and in a browser it says what Python says."""

import random
import re

import pytest

from medlab.metrics.chooser import RULES, cautions, choose
from medlab.viz.chooser import chooser


@pytest.fixture
def shown(monkeypatch):
    caught = []
    monkeypatch.setattr("medlab.viz.chooser.display", lambda bundle, raw: caught.append(bundle))
    return caught


def test_it_needs_no_script_and_no_network(shown):
    chooser(RULES)
    html = shown[0]["text/html"]
    assert "<script" not in html and not re.search(r"(?:src|href)=|url\(|@import", html)
    assert len(html) < 60_000


def test_its_parts_have_names_of_their_own(shown):
    chooser(RULES)
    chooser(RULES)
    ids = [re.findall(r' id="([^"]+)"', bundle["text/html"]) for bundle in shown]
    assert len(set(ids[0])) == len(ids[0]) and not set(ids[0]) & set(ids[1]), "two forms on one page"
    html = shown[0]["text/html"]
    assert html.count("<fieldset") == html.count("<legend") == len(RULES.questions)
    assert html.count("<input") == html.count("<label") == sum(len(one.answers) for one in RULES.questions)
    assert html.count(" checked>") == len(RULES.questions), "one answer each"


def test_the_start_is_chosen(shown):
    chooser(RULES, start={"predicted": "image", "findings": True})
    html = shown[0]["text/html"]
    assert re.search(r'predicted-image" value="image" checked', html)
    assert re.search(r'findings-yes" value="yes" checked', html)
    text = shown[0]["text/plain"]
    assert "What is judged? images" in text and "lesion_contrast_ratio" in text and "dice" not in text


def test_a_start_that_is_none_is_refused(shown):
    with pytest.raises(ValueError, match="predicted is 'boxes'"):
        chooser(RULES, start={"predicted": "boxes"})
    assert not shown


SEEN = """() => Object.fromEntries(['fieldset', 'li.medlab-advice > code', 'li.medlab-caution', '.medlab-python code']
  .map(kind => [kind, [...document.querySelectorAll(kind)].filter(e => e.checkVisibility()).map(e => e.innerText)]))"""


def opened(chromium, shown, width=1200, **start):
    chooser(RULES, start=start)
    page = chromium.new_page(viewport={"width": width, "height": 800})
    page.set_content(f"<!doctype html><meta name=viewport content='width=device-width'>{shown[-1]['text/html']}")
    return page


@pytest.mark.browser
def test_the_page_says_what_python_says(chromium, shown):
    page = opened(chromium, shown)
    combinations = list(RULES.combinations())
    chosen = random.Random(0).sample(combinations, 60)
    for kind in RULES.questions[0].answers:
        chosen += random.Random(1).sample([one for one in combinations if one["predicted"] == kind], 2)
    for answers in chosen:  # buttons of questions that are not asked keep what they had
        for name, value in answers.items():
            page.evaluate(f"document.querySelector('input[id$=\"-{name}-{value}\"]').checked = true")
        seen = page.evaluate(SEEN)
        assert len(seen["fieldset"]) == len(answers)
        assert seen["li.medlab-advice > code"] == [one.call for one in choose(**answers)]
        assert seen["li.medlab-caution"] == cautions(**answers)
        written = eval(seen[".medlab-python code"][0].replace("choose(", "dict("))
        assert RULES.answers(written) == answers


@pytest.mark.browser
def test_it_is_worked_by_keys_and_fits_a_phone(chromium, shown):
    page = opened(chromium, shown, width=360)
    first = page.get_by_role("radio", name=RULES.questions[0].answers["mask"])
    page.keyboard.press("Tab")
    assert first.evaluate("e => e === document.activeElement") and first.is_checked()
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("radio", name=RULES.questions[0].answers["lesions"]).is_checked()
    assert page.get_by_role("group", name="What is judged?").count() == 1
    assert any(call.startswith("froc(") for call in page.evaluate(SEEN)["li.medlab-advice > code"])
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = "[...document.querySelectorAll('label')].filter(e => e.checkVisibility() && e.offsetHeight < 24).length"
    assert page.evaluate(small) == 0, "large enough for a finger"
