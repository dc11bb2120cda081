from __future__ import annotations

import io

from rich.console import Console

from graft.core.findings import Finding, Suspect, Without
from graft.report.checks import check_rows, print_checks

FINDINGS = [
    Finding(
        "label_errors",
        "warning",
        "3 pictures may have a wrong label",
        3,
        tuple(Suspect(f"{i}.jpg", "train", "<b>cat</b>", suggested="dog", score=-0.9) for i in range(60)),
        Without("accuracy", 0.8, 0.85, 90, "head fitted without them, judged on test"),
    ).as_dict(),
    Finding("copies", "ok", "no picture of train is a copy of another").as_dict(),
]


def test_a_finding_keeps_fifty_and_leaves_out_what_is_empty() -> None:
    assert len(FINDINGS[0]["suspects"]) == 50
    assert set(FINDINGS[0]["suspects"][0]) == {"id", "split", "label", "suggested", "score"}
    assert FINDINGS[1]["without"] is None


def test_rows_say_what_it_costs_and_show_the_worst() -> None:
    first, second = check_rows(FINDINGS)
    assert first["without"].startswith("Accuracy 80.0")
    assert "without them 85.0" in first["without"]
    assert len(first["examples"]) == 3
    assert first["examples"][0] == "0.jpg, '<b>cat</b>', perhaps 'dog'"
    assert (second["without"], second["examples"]) == ("", [])


def test_the_terminal_is_short_and_takes_labels_literally() -> None:
    for is_whole in (False, True):
        console = Console(record=True, width=100, file=io.StringIO())
        print_checks([*FINDINGS, Finding("copies", "ok", "[bold]x").as_dict()], console=console, is_whole=is_whole)
        told = console.export_text()
        assert "Likely label errors: 3 pictures" in told
        assert "<b>cat</b>" in told
        assert ("no picture of train" in told) is is_whole
        assert ("[bold]x" in told) is is_whole
        assert "3.jpg" not in told
