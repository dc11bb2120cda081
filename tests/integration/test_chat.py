"""From conversations to a model that answers: fit, predict and chat of the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from rich.console import Console

import graft
from graft import Chat
from graft.cli.app import run as run_words
from graft.core.errors import DataError, UsageError
from small_language import make_language, questions


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data") / "backwards.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in questions(40)))
    return place


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_language(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def finished(data: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    with open(out.with_name("told.txt"), "w", encoding="utf-8") as file:
        graft.fit(
            data, model=str(model), out=out, device="cpu", fewest_steps=10, epochs=1, batch_size=8,
            console=Console(file=file, width=200),
        )  # fmt: skip
    return out


def test_fit_tells_the_form_the_masks_and_what_it_came_to(finished: Path) -> None:
    told = finished.with_name("told.txt").read_text(encoding="utf-8")
    assert "40 conversations in the form alpaca" in told
    assert "the checkpoint brings no chat template: a plain one" in told
    assert "of which" in told
    assert "carry loss" in told
    assert "A training conversation; what is learned is marked" in told
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["task"] == "text-generation"
    assert metrics["strategy"]["method"] == "lora"
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["splits"]["train"]["n_truncated_answers"] == 0
    assert (finished / "adapter" / "adapter_config.json").is_file()
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert '<span class="supervised">' in page  # the example, with what carries loss


def test_the_saved_model_answers_in_the_pipeline_and_stops_at_its_stop_tokens(finished: Path) -> None:
    from transformers import pipeline

    writer = pipeline("text-generation", model=str(finished / "model"), device="cpu")
    asked = [{"role": "user", "content": "turn cat 0"}]
    theirs = writer(asked, max_new_tokens=12, do_sample=False)[0]["generated_text"][-1]["content"]
    assert Chat(finished, device="cpu", max_new_tokens=12, precision="fp32").say(asked[0]["content"]) == theirs.strip()
    settings = json.loads((finished / "model" / "generation_config.json").read_text())
    assert settings["eos_token_id"] in ([2], 2)


def test_predict_answers_in_order_and_in_every_form(finished: Path, data: Path, tmp_path: Path) -> None:
    words = ["predict", str(finished), str(data), "--device", "cpu", "--max-new-tokens", "6", "--batch-size", "7"]
    for form in ("jsonl", "csv", "txt"):
        assert run_words([*words, "--out", str(tmp_path / f"a.{form}")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [row["reference"] for row in rows] == [row["output"] for row in questions(40)]
    assert rows[1]["messages"][0]["content"] == "turn horse 1\n\nplease"
    with open(tmp_path / "a.csv", newline="") as file:
        assert [row["answer"] for row in csv.DictReader(file)] == [row["answer"] for row in rows]
    assert len((tmp_path / "a.txt").read_text().splitlines()) == 40
    alone = graft.predict(finished, data, device="cpu", max_new_tokens=6, batch_size=1)
    assert [found.text for found in alone] == [row["answer"] for row in rows]


def test_chat_goes_on_and_begins_anew(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = Chat(finished, device="cpu", max_new_tokens=8, system="Be brief.")
    pieces: list[str] = []
    first = talk.say("turn dog 5", show=pieces.append)
    assert "".join(pieces).strip() == first
    talk.say("again")
    assert [message["role"] for message in talk.messages] == ["system", "user", "assistant", "user", "assistant"]
    talk.begin_anew()
    assert talk.say("turn dog 5") == first
    asked = iter(["turn dog 5", "/new", ""])
    monkeypatch.setattr("builtins.input", lambda *_: next(asked))
    assert run_words(["chat", str(finished), "--device", "cpu", "--max-new-tokens", "8"]) == 0
    assert "a new conversation" in capsys.readouterr().out


def test_what_a_language_model_does_not_have_is_refused(
    finished: Path, data: Path, model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="answers have no sets"):
        list(graft.predict(finished, data, coverage=0.9))
    with pytest.raises(UsageError, match="--top-p 0"):
        Chat(finished, top_p=0)
    with pytest.raises(DataError, match="is no file"):
        list(graft.predict(finished, tmp_path))
    for options, told in (
        ({"strategy": "head"}, "--strategy head for a language model"),
        ({"adapter": "qlora", "strategy": "full"}, "--adapter qlora with --strategy full"),
        ({"shift_data": "x"}, "--shift-data x for a language model"),
    ):
        with pytest.raises(UsageError, match=told):
            graft.fit(data, model=str(model), out=tmp_path / "r", overwrite=True, **options)


def test_a_row_without_a_token_to_learn_is_an_error_unless_it_may_be_left_out(model: Path, tmp_path: Path) -> None:
    rows = [*questions(20), {"instruction": "a" * 300, "input": "", "output": "lost"}]
    place = tmp_path / "long.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"model": str(model), "device": "cpu", "fewest_steps": 2, "epochs": 0.1, "overwrite": True}
    with pytest.raises(DataError, match=r"line 21 has no token that carries loss: its question alone fills the 160"):
        graft.fit(place, out=tmp_path / "r", **options)
    graft.fit(place, out=tmp_path / "r", skip_unusable=True, console=Console(quiet=True), **options)
    splits = json.loads((tmp_path / "r" / "manifest.json").read_text())["splits"]
    assert sum(part["n_dropped"] for part in splits.values()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("evaluate RUN DATA --as-shift", "graft evaluate --as-shift of conversations"),
        ("rank DATA --models MODEL", "graft rank of conversations"),
        ("find-lr DATA --model MODEL --out OUT", "graft find-lr of conversations"),
    ],
)
def test_verbs_that_want_classes_say_so(
    finished: Path, data: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], words: str, told: str
) -> None:
    names = {"RUN": finished, "DATA": data, "MODEL": model, "OUT": tmp_path / "out"}
    assert run_words([str(names.get(word, word)) for word in words.split()]) == 2
    said = " ".join("".join(capfd.readouterr()).split())
    assert told in said
    assert "To fix:" in said
