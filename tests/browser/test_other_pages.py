"""Pages of language models and recognisers in a browser: they fit, are accessible, ask and run nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from speech_pages import write_comparison_of_speech, write_speech
from test_report_page import OUTSIDE
from text_pages import write_comparison, write_generation

DIRECTIONS = "\u202a\u202b\u202d\u202e"  # signs that turn what stands after them round
PAGES = ("report", "comparison", "recogniser", "recognisers")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("texts")
    return {
        "report": write_generation(folder / "r.html"),
        "comparison": write_comparison(folder / "c.html"),
        "recogniser": write_speech(folder / "s.html"),
        "recognisers": write_comparison_of_speech(folder / "t.html"),
    }


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out_and_axe_finds_nothing_serious(
    name: str, width: int, scheme: str, written: dict[str, Path], show: Callable[..., Any]
) -> None:
    page = show(written[name], width=width, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate(OUTSIDE) == []
    told = [
        f"{v['id']}: {len(v['nodes'])} {v['nodes'][0]['html'][:200]} {v['nodes'][0].get('failureSummary', '')}"
        for v in Axe().run(page).response["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert told == []


@pytest.mark.parametrize("name", PAGES)
def test_what_texts_say_is_read_and_not_run(name: str, written: dict[str, Path], show: Callable[..., Any]) -> None:
    page = show(written[name])  # at the end: no dialog, no request, no word on the console
    assert page.evaluate("document.querySelectorAll('script, img, iframe, object, svg [onload], form').length") == 0
    handlers = "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(a => a.startsWith('on'))"
    assert page.evaluate(handlers) == []
    text = page.locator("main").inner_text()
    assert "<script>alert(1)</script>" in text
    assert not set(text) & set(DIRECTIONS)
    colours = [
        show(written[name], scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert colours[0] != colours[1]


def test_what_is_learned_is_marked_and_links_lead_somewhere(written: dict[str, Path], show: Callable[..., Any]) -> None:
    page = show(written["report"])
    marks = page.evaluate(
        "['supervised', 'masked'].map(c => getComputedStyle(document.querySelector(`.tokens .${c}`)).textDecorationLine"
        " + getComputedStyle(document.querySelector(`.tokens .${c}`)).backgroundColor)"
    )
    assert marks[0] != marks[1]
    targets = "[...document.querySelectorAll('nav.contents a')].map(a => a.getAttribute('href'))"
    for target in page.evaluate(targets):
        assert page.locator(target).count() == 1, target
    assert page.locator("#worst .answer-pair").count() == 20
    assert page.locator("#worst details .answer-pair").first.is_visible() is False
    page.locator("#worst summary").click()
    assert page.locator("#worst details .answer-pair").first.is_visible()


@pytest.mark.parametrize("name", ["recogniser", "recognisers"])
def test_sections_stand_in_two_columns_and_what_was_misheard_is_marked(
    name: str, written: dict[str, Path], show: Callable[..., Any]
) -> None:
    page = show(written[name])
    sides = page.evaluate(
        "[...document.querySelectorAll('main section')].map(s => ['.about', '.shown'].map(c => {"
        " const r = s.querySelector(c).getBoundingClientRect(); return [r.left, r.right, r.width]; }))"
    )
    assert len(sides) >= 3
    for about, shown in sides:
        assert about[1] <= shown[0]
        assert shown[2] > about[2]
    words = page.locator(".transcript").first
    lines = [
        words.locator(kind).first.evaluate("e => getComputedStyle(e).textDecorationLine") for kind in ("del", "ins")
    ]
    assert lines == ["line-through", "underline"]


def test_the_worst_utterances_can_be_heard(written: dict[str, Path], show: Callable[..., Any]) -> None:
    page = show(written["recogniser"])
    assert page.locator("audio").count() == page.locator("article").count() == 20
    page.evaluate("document.querySelector('audio').play()")
    page.wait_for_function("document.querySelector('audio').currentTime > 0")
    assert page.evaluate("document.querySelector('audio').duration") == 1.0
