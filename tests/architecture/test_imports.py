"""Which module may import which, and that starting up imports nothing heavy."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "graft"
HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "sklearn",
    "pandas",
    "scipy",
    "matplotlib",
    "pyarrow",
    "openvino",
    "accelerate",
}


def imported_by(program: str) -> set[str]:
    """Return the top-level packages that a program has imported at its end."""
    tail = "\nimport sys, json; print(); print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", program + tail], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "program",
    [
        "import graft",
        "import graft; graft.fit, graft.predict, graft.evaluate, graft.GraftError",
        "from graft.cli.app import run\nassert run(['--help']) == 0",
        "from graft.cli.app import run\nassert run(['fit', '--help']) == 0",
        "from graft.cli.app import run\nassert run(['fit', 'd', '--model', 'm']) == 2",
    ],
    ids=["import graft", "the verbs", "graft --help", "graft fit --help", "a usage error"],
)
def test_starting_up_imports_nothing_heavy(program: str) -> None:
    assert imported_by(program) & HEAVY == set()


def test_the_layers_hold() -> None:
    from importlinter import cli

    assert cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize(
    ("package", "folders"),
    [("transformers", {"backbones", "tasks"}), ("peft", {"methods"}), ("openvino", {"backbones"}), ("timm", set())],
)
def test_who_may_know_whom(package: str, folders: set[str]) -> None:
    """Functions' own imports count too, which import-linter's indirect ones do not tell apart."""
    users = {path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py") if package in imports_of(path)}
    assert users <= folders


def test_no_pickle_and_no_remote_code() -> None:
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "trust_remote_code=True" not in text, path
        assert "weights_only=False" not in text, path
        assert "pickle.load" not in text, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                given = {keyword.arg for keyword in node.keywords}
                assert "weights_only" in given, f"{path}: torch.load without weights_only"
