"""The report in headless Chromium: what only a browser can tell."""

import shutil
from pathlib import Path

import pytest
from made_up_page import FIGURES, HOSTILE, TEXTS, inputs

from duo.report import page as report

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed; it comes with the extra `test`"
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no `chromium` on the PATH; Debian's package of that name has it")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def heard() -> dict[str, list[str]]:
    """What the page says on the console and asks of the network."""
    return {"console": [], "requests": []}


@pytest.fixture(scope="module")
def page(browser, heard, tmp_path_factory):
    file: Path = tmp_path_factory.mktemp("report") / "index.html"
    file.write_text(report.render(**inputs()), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.on("console", lambda message: heard["console"].append(message.text))
    page.on("pageerror", lambda error: heard["console"].append(str(error)))
    page.on("request", lambda request: heard["requests"].append(request.url))
    page.goto(file.as_uri())
    yield page
    page.close()


def shown_values(page, token) -> str:
    return page.evaluate("token => getComputedStyle(token, '::after').content", token.element_handle())


def test_every_picture_loads(page):
    widths = page.evaluate("[...document.images].map(image => image.complete && image.naturalWidth)")
    assert len(widths) == len(FIGURES) and all(width > 0 for width in widths)


def test_hovering_and_stepping_to_a_token_show_its_values(page):
    token = page.locator(".by-loss .token").nth(2)
    assert shown_values(page, token) == "none"
    for reach in (token.hover, token.focus):
        reach()
        assert shown_values(page, token) == '"loss 1.00, oracle 1.00, gap 0.00 nats"'
        page.mouse.move(0, 0)
    page.keyboard.press("Tab")
    assert shown_values(page, token) == "none"
    assert shown_values(page, page.locator(".by-loss .token").nth(3)).startswith('"loss 1.50')


def test_text_keeps_its_lines_and_stays_text(page):
    panel = page.locator(".coloured").first
    assert panel.inner_text() == "".join(TEXTS).strip("\n")
    assert HOSTILE in panel.text_content() and page.locator("script").count() == 0


def test_deeper_colour_for_higher_values_in_light_and_dark(page):
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colours = page.evaluate(
            "[...document.querySelector('.by-gap .coloured').children].map(t => getComputedStyle(t).backgroundColor)"
        )
        assert len(set(colours[:3])) == 1 and len(set(colours[2:])) == len(colours[2:])  # gaps up to zero look alike
    page.emulate_media(color_scheme=None)


def test_claims_lead_to_their_pictures(page):
    links = page.locator(".claims td > a")
    assert links.count() == 3
    for index in range(links.count()):
        links.nth(index).click()
        assert page.evaluate("document.querySelector(':target').tagName") == "FIGURE"


def test_claims_unfold(page):
    tests = page.locator(".claims details").first
    assert not tests.locator("table").is_visible()
    tests.locator("summary").click()
    assert tests.locator("table").is_visible()


def test_console_is_clean_and_nothing_comes_from_outside(page, heard):
    assert heard["console"] == []
    assert heard["requests"] and all(url.startswith(("file:", "data:")) for url in heard["requests"])


def test_narrow_screens_do_not_scroll_sideways(page):
    page.set_viewport_size({"width": 400, "height": 800})
    page.evaluate(
        "document.querySelectorAll('details').forEach(each => each.open = true)"
    )  # wide tables scroll in a box of their own
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
