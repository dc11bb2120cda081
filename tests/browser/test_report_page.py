"""The report in a real browser: it fits, it answers to clicks and keys, it is accessible, and nothing runs in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from pages import classes, label_sets, write

OUTSIDE = """() => {
  const width = document.documentElement.clientWidth;
  const isClipped = e => e && (getComputedStyle(e).overflowX !== "visible" || isClipped(e.parentElement));
  const out = [...document.querySelectorAll("body *")].filter(e =>
    e.getBoundingClientRect().right > width + 1 && !e.closest("svg") && !isClipped(e.parentElement));
  return out.map(e => `${e.tagName}.${e.className}`).concat(
    document.documentElement.scrollWidth > width ? ["the page"] : []);
}"""
PLAYS = """a => new Promise((done, fail) => {
  a.ontimeupdate = () => { if (a.currentTime > 0.05) done([a.currentTime, a.duration]); };
  a.play().catch(fail);
})"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a report by its name, made once."""
    folder = tmp_path_factory.mktemp("pages")
    makers = {"pictures": (classes, 25), "texts": (classes, 40), "sounds": (classes, 8), "two": (classes, 2)}
    makers["six"] = (classes, 6)

    def report(name: str) -> Path:
        path = folder / f"{name}.html"
        if not path.is_file():
            make, n = makers.get(name, (label_sets, 9))
            write(path, *make(n), form={"two": "names", "six": "names", "sets": "pictures"}.get(name, name))  # type: ignore[operator]
        return path

    return report


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")])
@pytest.mark.parametrize("name", ["pictures", "texts", "sounds", "two", "sets"])
def test_nothing_sticks_out_and_axe_finds_nothing_serious(
    name: str, width: int, scheme: str, reports: Callable[[str], Path], show: Callable[..., Any]
) -> None:
    page = show(reports(name), width=width, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate("[...document.images].filter(i => !i.naturalWidth).length") == 0
    found = Axe().run(page).response["violations"]
    told = [
        f"{v['id']}: {len(v['nodes'])} {v['nodes'][0]['html'][:200]} {v['nodes'][0].get('failureSummary', '')}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert told == []


def test_a_cell_shows_its_examples_by_mouse_and_by_key(
    reports: Callable[[str], Path], show: Callable[..., Any]
) -> None:
    page = show(reports("pictures"))
    cell = page.locator("table.confusion a[data-pair]").first
    target = cell.get_attribute("href")[1:]
    cell.click()
    visible = page.locator("#by-pair .group:visible")
    assert visible.count() == 1
    assert visible.get_attribute("id") == target
    assert visible.locator("img").count() == min(6, int(cell.inner_text()))
    assert page.evaluate("document.activeElement.closest('.group')?.id") == target
    page.locator(".filter[data-for=by-pair] .all").click()
    assert page.locator("#by-pair .group:visible").count() > 1
    last = page.locator("table.confusion a[data-pair]").last
    last.focus()
    page.keyboard.press("Enter")
    assert visible.get_attribute("id") == last.get_attribute("href")[1:]


def test_cells_are_reached_by_the_tabulator(reports: Callable[[str], Path], show: Callable[..., Any]) -> None:
    page = show(reports("pictures"))
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('td a[data-pair]')"):
            break
    else:
        pytest.fail("no cell is reached by the tabulator")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_columns_sort_and_say_so(reports: Callable[[str], Path], show: Callable[..., Any]) -> None:
    page = show(reports("texts"))
    table = page.locator("#class-table > table")
    head = table.locator("th", has_text="Precision")

    def values() -> list[float]:
        cells = table.locator("tbody td:nth-child(4)")
        return [float(v) for v in cells.evaluate_all("c => c.map(e => e.dataset.sort)")]

    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())
    assert len(set(values())) > 3
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    table.locator("th[data-by=text] button").click()
    assert head.get_attribute("aria-sort") is None


def test_a_filter_leaves_what_fits_and_opens_what_is_folded(
    reports: Callable[[str], Path], show: Callable[..., Any]
) -> None:
    page = show(reports("texts"))
    filter_ = page.locator(".filter[data-for=class-table]")
    filter_.locator("input").fill("goes_on_xxxxx3")
    rows = page.locator("#class-table tbody tr:visible")
    said = rows.locator("th").all_inner_texts()
    assert said
    assert all("goes_on_xxxxx3" in text for text in said)
    assert f"{len(said)} of 40" in filter_.locator("[role=status]").inner_text()
    filter_.locator("input").fill("<script>")
    assert rows.count() == 1
    filter_.locator(".all").click()
    assert page.locator("#class-table tbody tr:visible").count() == 40


def test_a_matrix_that_is_wider_than_the_page_says_so_and_one_of_six_fits(
    reports: Callable[[str], Path], show: Callable[..., Any]
) -> None:
    page = show(reports("pictures"), width=390)
    box = page.get_by_role("region", name="Confusion matrix")
    assert "more-right" in box.get_attribute("class")
    assert page.locator("[aria-label='Confusion matrix'] + .scroll-hint").is_visible()
    box.evaluate("e => { e.scrollLeft = 9999; }")
    page.locator("[aria-label='Confusion matrix'].more-left:not(.more-right)").wait_for()
    six = show(reports("six"), width=390).get_by_role("region", name="Confusion matrix")
    assert six.evaluate("e => e.scrollWidth <= e.clientWidth")
    assert "more" not in six.get_attribute("class")


def test_sounds_play(reports: Callable[[str], Path], show: Callable[..., Any]) -> None:
    played = show(reports("sounds")).locator("audio").first.evaluate(PLAYS)
    assert played[0] > 0
    assert played[1] == pytest.approx(1.0, abs=0.05)


def test_it_reads_without_script_and_prints_whole(reports: Callable[[str], Path], show: Callable[..., Any]) -> None:
    page = show(reports("pictures"), has_script=False)
    assert page.locator(".filter:visible").count() == 0
    assert page.locator("thead button").count() == 0
    cell = page.locator("table.confusion a[data-pair]").first
    cell.click()
    assert page.url.endswith(cell.get_attribute("href"))
    assert page.locator("#by-pair .group:visible").count() > 1
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    for name in ("Surest mistakes", "Class by class", "To repeat it"):
        assert page.get_by_text(name).first.is_visible()


def test_what_is_put_in_would_be_stopped_by_the_page_itself(
    reports: Callable[[str], Path], browser: Any, tmp_path: Path
) -> None:
    """Were the escaping broken, the policy still forbids scripts and connections."""
    page = reports("pictures").read_text(encoding="utf-8")
    put = "<script>document.title = 'run'</script><img src='https://example.invalid/x.png' onerror='document.title=1'>"
    broken = tmp_path / "broken.html"
    broken.write_text(page.replace("<main>", f"<main>{put}"), encoding="utf-8")
    tab = browser.new_page()
    told: list[str] = []
    tab.on("console", lambda message: told.append(message.text))
    tab.goto(broken.as_uri())
    assert tab.title() not in ("run", "1")
    assert any("script" in text for text in told)
    assert any("example.invalid" in text for text in told)
    tab.close()
