"""Open the built book in a real browser without a network: desktop and phone, light and dark.

The book is the one that `make test` builds at the `ci` profile (`_build/html`).
"""

import functools
import http.server
import os
import re
import threading
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
IN_CI = os.environ.get("CI") == "true"
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if not path.relative_to(SITE).as_posix().startswith("_")
)
LESSONS = [page for page in PAGES if page.startswith("notebooks/")]

pytestmark = pytest.mark.browser


def missing(reason):
    """Skip with a reason on a reader's machine; under CI what is missing is a failure."""
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser(chromium):
    if not PAGES:
        missing("there is no book in _build/html: run `make book PROFILE=ci` first")
    return chromium


class Visit:
    """A page in the browser, with every complaint that it made and every address that it asked for."""

    def __init__(self, browser, width, theme, address):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        self.context.set_offline(address.startswith("file:"))
        self.page = self.context.new_page()
        self.complaints, self.asked = [], []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address, wait_until="load")
        self.page.wait_for_function("!window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def left_the_page(self, own):
        return [address for address in self.asked if not address.startswith((own, "data:", "blob:"))]


@pytest.mark.parametrize("name", LESSONS)
def test_code_names_equations_as_the_page_numbers_them(name):
    """Sphinx numbers the displayed formulas, `book.pages` the comments: both must count alike."""
    from book.lessons import Lesson
    from book.pages import EQUATION_LABEL, chapter_numbers

    lesson = Lesson(ROOT / name.replace(".html", ".py"), ROOT / "notebooks")
    chapter = chapter_numbers(yaml.safe_load((ROOT / "_toc.yml").read_text()))[f"notebooks/{lesson.id}"]
    text = "\n".join(cell.source for cell in lesson.notebook.cells if cell.cell_type == "markdown")
    shown = re.findall(r'class="eqno">\(([\d.]+)\).*?href="#equation-([\w-]+)"', (SITE / name).read_text())
    expected = [(f"{chapter}.{at}", label) for at, label in enumerate(EQUATION_LABEL.findall(text), start=1)]
    assert shown == expected and shown


def test_there_are_pages_to_open(browser):
    assert {"index.html", "book/index.html", "book/status.html", "search.html"} <= set(PAGES)
    assert len(LESSONS) >= 2


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", [page for page in PAGES if page != "index.html"])
def test_a_page_is_whole(browser, name, width, theme):
    with Visit(browser, width, theme, (SITE / name).as_uri()) as visit:
        page = visit.page
        assert visit.complaints == []
        assert visit.left_the_page("file://") == []
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{name} is {wide} px wider than a screen of {width} px"
        raw = page.evaluate(
            "[...document.querySelectorAll('.math')].filter(m => !m.querySelector('mjx-container')).length"
        )
        assert raw == 0, f"{raw} formulas of {name} are not typeset"
        assert page.locator("mjx-merror").count() == 0
        assert page.locator("mjx-container").count() == page.locator("mjx-container mjx-assistive-mml").count()
        # Formulas have MathML, icons their button's name.
        unnamed = page.evaluate(
            "[...document.querySelectorAll('main svg[role=img], main img')]"
            ".filter(e => !e.closest('[aria-hidden=true], .svg-inline--fa'))"
            ".filter(e => !(e.getAttribute('aria-label') || e.getAttribute('alt'))).length"
        )
        assert unnamed == 0, f"{unnamed} pictures of {name} have no text alternative"


@pytest.mark.parametrize("name", LESSONS)
def test_formulas_and_figures_are_there(browser, name):
    with Visit(browser, 1440, "light", (SITE / name).as_uri()) as visit:
        assert visit.page.locator("mjx-container").count() >= 3
        assert visit.page.locator("figure.medlab-figure svg").count() >= 3
        assert visit.page.locator("button.copybtn").count() >= 3
        assert visit.page.locator(".medlab-cost").count() == 1


@pytest.mark.parametrize("name", LESSONS)
def test_figures_follow_the_theme(browser, name):
    def colours(theme):
        with Visit(browser, 1440, theme, (SITE / name).as_uri()) as visit:
            return visit.page.evaluate(
                "(() => { const svg = document.querySelector('figure.medlab-figure svg');"
                "return [getComputedStyle(svg).color, getComputedStyle(document.body).backgroundColor]; })()"
            )

    light, dark = colours("light"), colours("dark")
    assert light[0] != dark[0] and light[1] != dark[1]


@pytest.mark.parametrize("name", LESSONS)
def test_each_slider_moves_its_picture_by_keyboard(browser, name):
    with Visit(browser, 390, "dark", (SITE / name).as_uri()) as visit:
        figures = visit.page.locator("figure.medlab-explore")
        assert figures.count() >= 1
        for at in range(figures.count()):
            figure = figures.nth(at)
            sliders = figure.locator("input[type=range]")
            for number in range(sliders.count()):
                slider = sliders.nth(number)
                before = figure.locator(".medlab-frame").inner_html()
                spoken = slider.get_attribute("aria-valuetext")
                key = "ArrowLeft" if slider.input_value() == slider.get_attribute("max") else "ArrowRight"
                slider.focus()
                visit.page.keyboard.press(key)
                visit.page.wait_for_function(
                    "([frame, old]) => frame.innerHTML !== old",
                    arg=[figure.locator(".medlab-frame").element_handle(), before],
                    timeout=5000,
                )
                assert slider.get_attribute("aria-valuetext") != spoken
                assert figure.locator("output").nth(number).inner_text() == slider.get_attribute("aria-valuetext")
        assert visit.complaints == []


@pytest.mark.parametrize("name", LESSONS)
def test_the_quiz_explains_and_hints_unfold(browser, name):
    with Visit(browser, 1440, "light", (SITE / name).as_uri()) as visit:
        page = visit.page
        option = page.locator(".medlab-quiz .medlab-option").first
        assert not option.locator(".medlab-why").is_visible()
        option.locator("input").check()
        assert option.locator(".medlab-why").is_visible()
        hint = page.locator("details.hint").first
        assert not hint.locator("p").first.is_visible()
        hint.locator("summary").click()
        assert hint.locator("p").first.is_visible()


@pytest.mark.parametrize("name", LESSONS)
def test_hidden_code_opens(browser, name):
    with Visit(browser, 1440, "light", (SITE / name).as_uri()) as visit:
        hidden = visit.page.locator("div.cell.tag_hide-input details, details.hide").first
        assert not hidden.locator("pre").first.is_visible()
        hidden.locator("summary").first.click()
        assert hidden.locator("pre").first.is_visible()


def count_results(visit):
    visit.page.wait_for_selector("#search-results li, .search li", timeout=10_000)
    return visit.page.locator("#search-results li, .search li").count()


def test_search_works_from_a_file(browser):
    with Visit(browser, 1440, "light", (SITE / "search.html").as_uri() + "?q=voxel") as visit:
        assert count_results(visit) >= 1
        assert visit.complaints == [] and visit.left_the_page("file://") == []


def test_the_book_works_from_a_web_server(browser):
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    own = f"http://127.0.0.1:{server.server_port}/"
    try:
        with Visit(browser, 1440, "light", f"{own}{LESSONS[0]}") as visit:
            assert visit.complaints == [] and visit.left_the_page(own) == []
        with Visit(browser, 1440, "light", f"{own}search.html?q=voxel") as visit:
            assert count_results(visit) >= 1 and visit.left_the_page(own) == []
        with Visit(browser, 390, "light", own) as visit:
            visit.page.wait_for_url("**/book/index.html")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", PAGES)
def test_no_page_names_a_foreign_asset(name):
    text = (SITE / name).read_text(encoding="utf-8")
    foreign = re.findall(r"<(?:script|img|iframe|source|video)[^>]+src=[\"']((?:https?:)?//[^\"']+)", text)
    foreign += re.findall(r"<link[^>]+rel=[\"'](?:stylesheet|preload|icon)[^>]+href=[\"']((?:https?:)?//[^\"']+)", text)
    assert foreign == []


@pytest.mark.parametrize("name", PAGES)
def test_no_link_inside_the_book_is_dead(name):
    page = SITE / name
    text = re.sub(r"<script.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in set(re.findall(r"<a[^>]+href=[\"']([^\"'#?]+)", text)):
        if not re.match(r"[a-z]+:|//", target):
            assert (page.parent / target).resolve().exists(), f"{name} links to {target}, which is not there"


def test_the_zip_holds_the_whole_book(browser):
    with zipfile.ZipFile(ROOT / "_build" / "medlab-book.zip") as archive:
        names = set(archive.namelist())
    assert {f"medlab-book/{page}" for page in PAGES} <= names
