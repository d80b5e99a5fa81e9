"""Pages in a browser."""

import shutil
from pathlib import Path

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), ""
)
WIDE, NARROW = 1440, 390


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no Chromium is installed here")
    reason = "playwright is not installed: pip install -e .[test]"
    api = pytest.importorskip("playwright.sync_api", reason=reason)
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """A function that opens a page; its console, dialogs and requests are in ``page.events``."""
    contexts = []

    def visit(path: Path, width=WIDE, scheme="light", anchor="", unfolded=True, **options):
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme, **options
            )
        )
        page = contexts[-1].new_page()
        page.events = []
        page.on("console", lambda said: page.events.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: page.events.append(f"error: {error}"))
        page.on("request", lambda asked: page.events.append(asked.url))
        page.on("dialog", lambda shown: (page.events.append(shown.message), shown.dismiss()))
        page.goto(path.as_uri() + anchor)
        if unfolded:
            page.evaluate("for (const one of document.querySelectorAll('.fold')) one.open = true;")
        page.events = [event for event in page.events if not event.startswith("data:")]
        return page

    yield visit
    for context in contexts:
        context.close()
