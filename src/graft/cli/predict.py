"""``graft predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["predict"]


def predict(
    run: Path,
    inputs: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    out: Path | None = None,
    format: str | None = None,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    batch_size: int = 32,
    workers: int = 2,
    skip_unreadable: Annotated[bool, Parameter(negative="")] = False,
    text_column: str | None = None,
    text_pair_column: str | None = None,
    preprocessing: str | None = None,
    coverage: float | None = None,
    max_new_tokens: int = 256,
    temperature: float = 0.0,
    top_p: float = 1.0,
    decoding: Literal["auto", "greedy", "beam"] = "auto",
    language_model: str | None = None,
) -> None:
    """Predict the label of files or texts, write down what is said, or answer questions, as a stream.

    Parameters
    ----------
    run
        Folder that graft fit wrote.
    inputs
        Files and folders; folders are searched in depth. Of texts and questions: tables, or a line each in a .txt.
    out
        File to write, .csv or .jsonl; of speech .txt, .jsonl, .srt or .vtt; of answers .jsonl, .csv or .txt. Default:
        standard output.
    format
        csv or jsonl; of speech txt, jsonl, srt or vtt; of answers jsonl, csv or txt. Default: by the ending of OUT,
        else csv, txt and jsonl.
    engine
        How the network runs: auto, eager, compile or openvino.
    precision
        auto, bf16 or fp32.
    device
        auto, cpu, cuda or cuda:N.
    batch_size
        Examples a batch.
    workers
        Processes that decode.
    skip_unreadable
        Give unreadable examples an empty label and go on.
    text_column
        Column of a table that holds the texts. Default: as the run was fitted.
    text_pair_column
        Column of the second texts, of a model of pairs.
    preprocessing
        FILE.py:NAME, where the model was fitted with a preprocessing of your own; the file is run.
    coverage
        Also give each the set of likely classes that holds the right one so often, such as 0.9 (conformal prediction).
    max_new_tokens
        Tokens of a language model's answer.
    temperature
        Of a language model: 0: the likeliest token each time; above, tokens are drawn.
    top_p
        Share of the probability that tokens are drawn from.
    decoding
        Of speech: auto (as it was fitted), greedy or beam.
    language_model
        Of the beam: a text with a sentence a line, an .arpa file, or train, the run's own.
    """
    import sys
    from collections.abc import Callable
    from contextlib import nullcontext
    from functools import partial

    from rich.console import Console

    from graft.api.predict import is_speech_run, task_of_run
    from graft.api.predict import predict as run_predict
    from graft.core.errors import UsageError
    from graft.core.files import atomic_path
    from graft.deploy.writers import WRITERS

    ending = format or ("" if out is None else out.suffix.removeprefix("."))
    if is_speech_run(run):
        from graft.deploy.transcript_writers import transcript_writer

        write: Callable[..., int] = transcript_writer(ending, inputs)
    elif task_of_run(run) == "text-generation":
        from graft.deploy.answer_writers import answer_writer

        write = answer_writer(ending)
    else:
        form = format or ("jsonl" if ending == "jsonl" else "csv")
        if form not in WRITERS:
            raise UsageError(f"--format {form}", expected=" or ".join(WRITERS))
        write = partial(WRITERS[form], has_sets=coverage is not None)
    errors = Console(stderr=True, highlight=False, emoji=False)
    predictions = run_predict(
        run,
        list(inputs),
        engine=engine,
        precision=precision,
        device=device,
        batch_size=batch_size,
        workers=workers,
        skip_unreadable=skip_unreadable,
        text_column=text_column,
        text_pair_column=text_pair_column,
        preprocessing=preprocessing,
        coverage=coverage,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        decoding=decoding,
        language_model=language_model,
        say=lambda text: errors.print(f"· {text}", style="dim", markup=False),
    )
    with atomic_path(out) if out is not None else nullcontext(None) as place:
        if place is None:
            n = write(predictions, sys.stdout)
        else:
            with open(place, "w", encoding="utf-8", newline="") as file:
                n = write(predictions, file)
    if out is not None:
        errors.print(f"{n:,} predictions: {out}", markup=False)
