"""The evidence, for people: one HTML file and a terminal summary."""

from __future__ import annotations

from graft.report.html import write_report
from graft.report.terminal import print_summary
from graft.report.verdict import Fact, Verdict, build_verdict

__all__ = ["Fact", "Verdict", "build_verdict", "print_summary", "write_report"]
