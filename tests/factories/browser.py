"""A headless Chromium that opens pages from disk and keeps what it complains of and asks for."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE, DESKTOP = 390, 1280


@dataclass
class Visit:
    """A page that is open.

    Attributes:
        page: The page.
        console: What it wrote to the console, and errors of its scripts.
        requests: What it asked for, itself and data that it holds left out.
    """

    page: Page
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def wait_until(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until an expression holds; what playwright itself has for this is code that the pages forbid."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never came true: {expression}"
            self.page.wait_for_timeout(50)

    @property
    def is_too_wide(self) -> bool:
        """Whether the page has to be scrolled sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser of the system; tests that need it are skipped where there is none."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("needs Chromium: apt-get install chromium, or name one with CHROMIUM=PATH")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--mute-audio"])
        except Error as error:
            pytest.skip(f"{found} does not start: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@contextmanager
def visit(
    browser: Browser, path: Path, *, width: int = DESKTOP, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Visit]:
    """Open a page from disk."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    visited = Visit(page)
    own = path.resolve().as_uri()
    page.on("console", lambda message: visited.console.append(message.text))
    page.on("pageerror", lambda error: visited.console.append(str(error)))
    page.on("request", lambda request: visited.requests.append(request.url))
    page.goto(own)
    visited.requests = [url for url in visited.requests if url != own and not url.startswith("data:")]
    try:
        yield visited
    finally:
        visited.requests = [url for url in visited.requests if url != own and not url.startswith("data:")]
        context.close()
