"""A report and the pictures of `specs/` in a real browser: run by ``nox -s browser``.

The browser is what playwright installs, or the file that BROWSER names; screenshots go where SCREENSHOTS says.

python -m pytest -p no:cacheprovider tests/extras/check_report_page.py
"""

import importlib
import os
from pathlib import Path

import pytest

import dagrow

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
WINDOW = {"width": 1200, "height": 900}
PAGE = {"width": 1200, "height": 1700}
"""A sheet of paper, upright."""
LEAST_TEXT = 5.0
"""Pixels in height of the smallest text of a picture that is as large as the sheet allows."""
SIZE = "() => (each => [each.width, each.height])(document.querySelector('svg').getBoundingClientRect())"
TEXT_HEIGHTS = """() => [...document.querySelectorAll('svg g[id^=text_]')].filter(
    each => /<!--.*[A-Z0-9bdfhkl].*-->/.test(each.innerHTML)).map(
    each => Math.min(each.getBoundingClientRect().height, each.getBoundingClientRect().width))"""
"""Of texts with a letter of full height: a "sum" is as high as its small letters."""


@pytest.fixture(scope="module")
def browser_page():
    # One process, and one page: a container may not let a browser start others.
    flags = ["--no-sandbox", "--no-zygote", "--single-process", "--disable-gpu"]
    with importlib.import_module("playwright.sync_api").sync_playwright() as playwright:
        own = os.environ.get("BROWSER")
        browser = playwright.chromium.launch(executable_path=own, args=flags if own else [])
        page = browser.new_page(viewport=WINDOW)
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("request", lambda request: page.complaints.extend(foreign(request.url)))
        yield page
        browser.close()


@pytest.fixture
def page(browser_page):
    browser_page.complaints.clear()
    return browser_page


def foreign(address):
    return [] if address.startswith(("file:", "data:")) else [address]


def keep(page, name):
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = tmp_path_factory.mktemp("browser") / "run"
    dagrow.grow(
        dagrow.load_run(ROOT / "specs" / "digits_graph.yaml", ["growth.budget.steps=2", "training.final_epochs=1"]),
        out=run,
    )
    return dagrow.write_report(run)


@pytest.mark.parametrize("width", [WINDOW["width"], 400])
def test_the_page_of_a_run_fits_windows_and_loads_nothing(page, report, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(report.as_uri())
    assert page.complaints == []
    keep(page, f"report_{width}")
    wide, window = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= window
    broken = page.evaluate("() => [...document.images].filter(each => !each.naturalWidth).length")
    assert (broken, page.locator("img").count() > 2) == (0, True)
    hidden = page.evaluate("() => [...document.querySelectorAll('section h2')].filter(e => !e.offsetHeight).length")
    assert hidden == 0


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_the_picture_of_a_spec_fits_a_sheet_and_can_be_read(page, spec, tmp_path):
    picture = dagrow.show(spec, tmp_path / "graph.svg").read_text(encoding="utf-8")
    page.set_viewport_size(PAGE)
    page.set_content(f"<style>body {{margin: 0}} svg {{max-width: 100vw; max-height: 100vh}}</style>{picture}")
    keep(page, f"picture_{spec.stem}")
    wide, high = page.evaluate(
        "() => Object.values(document.querySelector('svg').getBoundingClientRect().toJSON()).slice(2, 4)"
    )
    assert wide <= PAGE["width"]
    assert high <= PAGE["height"]
    heights = page.evaluate(TEXT_HEIGHTS)
    assert heights
    assert min(heights) >= LEAST_TEXT
