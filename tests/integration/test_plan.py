"""`graft plan`: figures of every strategy, and nothing left behind."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

import graft
from graft.core.files import read_json
from small_sounds import make_audio_checkpoint, make_recordings
from small_texts import make_text_checkpoint
from small_things import make_folders

Run = Callable[..., Any]
STRATEGIES = ["head", "lp-ft", "full", "partial", "lora", "gradual", "contrastive"]
SMALL = {"workers": 0, "engine": "eager", "precision": "fp32", "device": "cpu", "batch_size": 4, "last_k_blocks": 1}
WORDS = ["--workers", 0, "--engine", "eager", "--precision", "fp32", "--device", "cpu", "--batch-size", 4,
         "--last-k-blocks", 1]  # fmt: skip


class Planned(NamedTuple):
    """A plan, what was printed, and what is on disk after it."""

    plan: Any
    text: str
    json: Path
    left: list[str]
    n_read: int


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, pictures: Path) -> Planned:
    """A plan of the little pictures, printed 80 columns wide."""
    from graft.data.dataset import LabeledDataset

    folder, read, said = tmp_path_factory.mktemp("plan"), [], io.StringIO()
    reads = LabeledDataset.read
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setattr(LabeledDataset, "read", lambda self, index: read.append(index) or reads(self, index))
        plan = graft.plan(
            pictures,
            model=str(checkpoint),
            json="plan.json",
            cache=str(folder / "cache"),
            lora_rank=2,
            console=Console(file=said, width=80),
            **SMALL,
        )
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return Planned(plan, said.getvalue(), folder / "plan.json", left, len(read))


def test_the_figures_of_every_strategy(planned: Planned) -> None:
    assert [method.name for method in planned.plan.methods] == STRATEGIES
    for method in planned.plan.methods:
        assert not method.why
        assert method.n_trainable > 0
        assert method.memory_bytes is None or method.memory_bytes >= 0
        assert method.disk["total"] == sum(size for kind, size in method.disk.items() if kind != "total")
        assert method.seconds["total"] == pytest.approx(sum(s for k, s in method.seconds.items() if k != "total"))
        assert method.fits == "yes"
        if method.name != "head":
            assert method.n_steps == 100, "29 pictures, 6 epochs of batches of 4: below the fewest steps"
            assert method.n_runs == 6, "five folds and the run on all"
            assert method.epoch_s == pytest.approx(method.step_s * 29 / 4)
            assert method.disk["checkpoints"] > 0
    assert planned.plan.method("lp-ft").disk["examples"] == 29 * 3 * 32 * 32
    assert planned.plan.method("head").disk["examples"] == 0


def test_trainable_parameters_by_hand(planned: Planned, checkpoint: Path) -> None:
    from transformers import AutoModelForImageClassification

    network = AutoModelForImageClassification.from_pretrained(checkpoint)
    body = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("classifier."))
    n = {method.name: method.n_trainable for method in planned.plan.methods}
    assert n["head"] == 3 * (16 + 1)
    assert n["lp-ft"] == n["full"] == n["gradual"] == body + n["head"]
    assert n["head"] < n["lora"] < n["lp-ft"]
    assert n["head"] < n["partial"] < n["lp-ft"]
    assert planned.plan.method("lp-ft").trainable_share == 1


def test_partial_counts_the_activations_at_the_boundary(planned: Planned) -> None:
    # The stem of the tiny network and its first stage keep 8 channels of 32 / 4 pixels a side; two views; float32.
    a_picture = 2 * 8 * 8 * 8 * 4
    disk = planned.plan.method("partial").disk["activations"]
    assert disk == pytest.approx(6 * 29 * a_picture, rel=0.02)
    assert planned.plan.method("lp-ft").disk["activations"] == 0


def test_nothing_is_left_behind_and_little_is_read(planned: Planned) -> None:
    assert planned.left == ["plan.json"]
    assert planned.n_read == 2 * 4


def test_json_says_the_same(planned: Planned) -> None:
    found = read_json(planned.json)
    assert found == planned.plan.as_dict()
    assert found["data"]["splits"] == {"train": 29, "test": 7}
    assert found["data"]["classes"] == ["blue", "green", "red"]
    assert found["compute"]["memory"] == "growth of the resident set"
    assert {method["name"]: method["n_trainable"] for method in found["methods"]}["head"] == 51


def test_what_is_printed(planned: Planned, checkpoint: Path) -> None:
    *lines, command = planned.text.rstrip().splitlines()
    assert max(map(len, lines)) <= 80
    header = next(i for i, line in enumerate(lines) if "trainable" in line)
    for word in ("memory", "disk", "steps", "total", "fits 10 min"):
        assert word in lines[header]
    assert [line.split()[0] for line in lines[header + 1 : header + 8]] == STRATEGIES
    flat = " ".join(planned.text.split())
    assert "36 pictures of 3 classes (blue, green, red): 29 train, 7 test (held out here)" in flat
    assert "fine-tuning in fp32 (asked for)" in flat
    assert "lp-ft fits into 10 minutes: graft fit will try it" in flat
    assert command.strip().startswith("graft fit ")
    assert f"--model {checkpoint} --out run" in command
    assert "--lora-rank 2" in command


def test_the_command_line_and_an_architecture_without_known_order(
    here: Run, pictures: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graft.backbones import depth

    monkeypatch.delitem(depth.DEPTHS, "resnet")  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    told = here("plan", pictures, "--model", checkpoint, "--json", tmp_path / "p.json", *WORDS)
    assert told.code == 0, told.err
    methods = {method["name"]: method for method in read_json(tmp_path / "p.json")["methods"]}
    for name in ("full", "partial", "gradual"):
        assert "the order of the blocks of 'resnet' is not known" in methods[name]["why"]
        line = next(line for line in told.out.splitlines() if line.startswith(f"{name} "))
        assert "is not known" in line
        assert "MiB" not in line
    assert not methods["lp-ft"]["why"]
    assert not methods["lora"]["why"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.json"]


def test_a_time_limit_and_a_named_strategy(pictures: Path, checkpoint: Path) -> None:
    said = io.StringIO()
    plan = graft.plan(
        pictures, model=str(checkpoint), strategy="full", time_limit="3s", console=Console(file=said), **SMALL
    )
    assert plan.method("full").fits == "no"
    assert "full does not fit into 3.0 s" in plan.recommendation
    assert "--time-limit 3s" in plan.command
    assert "fits 3.0 s" in said.getvalue()


@pytest.mark.parametrize("soup", [1, 3])
@pytest.mark.parametrize("n_valid", [0, 400])
@pytest.mark.parametrize(("name", "frozen_s"), [("lp-ft", 0.0), ("partial", 0.002)])
def test_a_contest_is_reckoned_as_it_reckons_itself(name: str, frozen_s: float, n_valid: int, soup: int) -> None:
    from graft.api.config import FitConfig
    from graft.api.contenders import method_of
    from graft.api.plan_estimates import Job
    from graft.api.plan_measures import MethodMeasure, PassMeasure
    from graft.data.kinds import PICTURE
    from graft.methods.budget import RunBudget, RunCost

    own: dict[str, Any] = {"model": "m", "out": "o", "strategy": name, "soup": soup, "workers": 0}
    pass_measure = PassMeasure(None, 0.0, 0.0, None, None, 0)  # type: ignore[arg-type]
    cost = RunCost(0.1, frozen_s)
    fits = []
    for limit in ("20s", "60s", "100s", "300s"):
        config = FitConfig(**own, time_limit=limit)
        job = Job(config, PICTURE, 800, n_valid, 0, False, 3, 10, 10, 0.0, 0.0, 0, 0.0, False, pass_measure)
        method, measure = method_of(config, name), MethodMeasure(1, cost, 0, None)
        left = job.limit_s - job.end_s - 4 * cost.step_s - 64 * cost.frozen_s
        budget = RunBudget(method, lambda left=left: left, n_train=800, n_valid=n_valid, soup=soup, cost=cost)  # type: ignore[misc]
        n_folds = 1 if n_valid else 3
        assert job.seconds(method.settings, measure)["contest"] == pytest.approx(budget.planned_s(n_folds))
        fit = job.fit(method, measure)
        assert (fit.n_folds, fit.share) == pytest.approx(budget.affordable(n_folds))
        fits.append((fit.n_folds, fit.share))
    assert fits[0][1] < 1
    assert fits[-1] == (1 if n_valid else 3, 1)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--strategy", "lpft"], 2, "--strategy lpft"),
        (["--time-limit", "soon"], 2, "a time such as 90s"),
        (["--model", "nowhere/at-all", "--offline"], 4, "nowhere/at-all"),
        (["--soup", 2, "--soup-kind", "greedy"], 2, "greedy soup"),
        (["--modle", "x"], 2, "--modle"),
    ],
)
def test_bad_options(here: Run, pictures: Path, checkpoint: Path, words: list[Any], code: int, message: str) -> None:
    model = [] if "--model" in words else ["--model", checkpoint]
    told = here("plan", pictures, *model, *words)
    assert told.code == code, told.err
    assert told.err.startswith("error: ")
    assert message in told.err


def test_bad_data(here: Run, checkpoint: Path, tmp_path: Path) -> None:
    told = here("plan", tmp_path / "nothing", "--model", checkpoint)
    assert told.code == 3
    assert "no such file or folder" in told.err
    data = make_folders(tmp_path / "data", 4)
    for path in data.glob("*/*.png"):
        path.write_bytes(b"no picture")
    told = here("plan", data, "--model", checkpoint, *WORDS)
    assert told.code == 3
    assert ".png" in told.err
    told = here("plan", data, "--model", checkpoint, "--skip-unreadable", *WORDS)
    assert told.code == 3
    assert "error: " in told.err


@pytest.mark.parametrize("kind", ["text", "recording"])
def test_texts_and_recordings_are_planned_as_they_are_fitted(kind: str, tmp_path: Path) -> None:
    if kind == "text":
        model = make_text_checkpoint(tmp_path / "model")
        lines = [
            f"{word} {i} things,{label}" for i in range(12) for word, label in (("buy", "shop"), ("sing", "music"))
        ]
        data = tmp_path / "said.csv"
        data.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    else:
        model, data = make_audio_checkpoint(tmp_path / "model", "ast"), make_recordings(tmp_path / "sounds", 8)
    said = io.StringIO()
    found = graft.plan(
        data, model=str(model), cache=str(tmp_path / "c"), console=Console(file=said, width=200), **SMALL
    )
    assert f"24 {kind}s of" in said.getvalue()
    assert f"features a {kind} of" in said.getvalue()
    for name in STRATEGIES:
        method = found.method(name)
        assert not method.why
        assert method.seconds["total"] > 0
    assert (found.method("lp-ft").disk["examples"] > 0) == (kind == "recording"), "texts stay in memory"
    assert not (tmp_path / "c").exists(), "a plan leaves nothing behind"
    assert ("after it contrastive" in found.recommendation) == (kind == "text")
