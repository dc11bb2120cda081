"""The system's Chromium, driven by Playwright; without either the tests of this folder are skipped."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the pages that tests write
BROWSER = next((b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless browser of this session."""
    from playwright.sync_api import sync_playwright

    if BROWSER is None:
        pytest.skip("no chromium on this machine: playwright drives the system's, and .ci/run installs it where it may")
    with sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=shutil.which(BROWSER),
            args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
        )
        yield started
        started.close()


@pytest.fixture
def show(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a file in a page of its own; at the end nothing may have been asked of a network, said or thrown."""
    opened: list[Any] = []
    complaints: list[str] = []

    def heard(dialog: Any) -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def asked(request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            complaints.append(f"request: {request.url}")

    def open_it(path: Path, *, width: int = 1280, scheme: str = "light", has_script: bool = True) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=has_script
        )
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", heard)
        page.on("request", asked)
        page.goto(path.as_uri())
        return page

    yield open_it
    for context in opened:
        context.close()
    assert complaints == []
