"""`fit` for speech recognition: its own short way through the stations, as an utterance has no pooled feature.

Read, split by speaker, hear the untouched checkpoint, fine-tune, choose by word errors, save and reload, judge, report.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from graft.api.config import FitConfig
from graft.api.own_way import refuse_options, seconds_of_loop, where_of
from graft.api.report_speech import keep_worst
from graft.api.speech_data import divide, load_recogniser, prepare
from graft.api.speech_decoding import asked_beam, decided_decoding
from graft.api.speech_facts import (
    beside_untouched,
    contents,
    ended_early,
    strategy_facts,
    suspects,
    wav,
    write_predictions,
)
from graft.api.speech_shift import judge_corrupted_speech
from graft.api.speech_sizes import judge_hours
from graft.api.speech_training import evaluated, kept_network, most_samples, transcripts_of, tuned_on
from graft.api.test_reads import count_read
from graft.api.tuning import Deadline, forget
from graft.core.devices import choose_device
from graft.core.files import write_json
from graft.core.memory import seconds_since_process_start
from graft.core.processes import Processes
from graft.core.run_folder import Run
from graft.core.text import counted, percent
from graft.data.manifests import ManifestColumns
from graft.data.transcript_form import COMPARED
from graft.data.transcripts import read_transcribed
from graft.evaluation.speech import Transcripts
from graft.methods.speech import Heard, hear
from graft.methods.where import Where, training_precision
from graft.report.places import title_of
from graft.report.speech import print_speech, write_speech_report
from graft.report.use import use_of
from graft.report.wording import duration
from graft.tasks.speech_recognition import SpeechRecognition
from graft.tasks.speech_saved import save_speech

__all__ = ["fit_speech"]

_STRATEGIES = ("auto", "full", "lora", "head")
_OTHERS = ("multi_label", "from_scratch", "preprocessing", "label_column", "unlabeled", "shift_data")


def fit_speech(
    data: str,
    config: FitConfig,
    run: Run,
    folder: Path,
    processes: Processes,
    *,
    say: Callable[[str], None],
    console: Console,
) -> dict[str, Any]:
    """Fine-tune a recogniser and return what ``metrics.json`` holds.

    Raises
    ------
    UsageError
        When an option is not for speech recognition.
    DataError, ModelError, Interrupted
        As the stations do.
    """
    refuse_options(config, processes, noun="speech recognition", strategies=_STRATEGIES, absent=_OTHERS)
    deadline = Deadline.of(config)
    with run.phase("data"):
        columns = ManifestColumns(config.path_column, config.text_column, config.group_column)
        parts, notes = divide(read_transcribed(data, valid=config.valid, test=config.test, columns=columns), config)
        for note in notes:
            say(note)
    with run.phase("model"):
        task = load_recogniser(config, texts=parts["train"].texts)
        model = task.model
        say(
            f"{model.backbone.architecture}, {model.backbone.n_parameters / 1e6:.1f} million parameters, reads"
            f" {model.sampling_rate_hz / 1000:g} kHz; transcripts: {model.form.describe()}"
        )
        for note in model.notes:
            say(note)
    with run.phase("decode"):
        ready = prepare(parts, task, config, folder / "training", say=say)
        for name in ready.rows:
            say(f"{name}: {counted(len(ready.rows[name]), 'utterance')}, {duration(3600 * ready.hours(name))}")
        beam = asked_beam(task, ready, config, say=say)
    most = most_samples(float(ready.facts["splits"]["train"]["seconds"]), task, config)
    precision = training_precision(model.network, choose_device(config.device), wanted=config.precision)

    def heard_by(network: Any, split: str) -> Heard:
        return hear(task, network, ready.examples, ready.rows[split], most=most, precision=precision)

    untouched: dict[str, Heard] = {}
    with run.phase("zero-shot"):
        if not model.is_new_head:
            untouched = {name: heard_by(model.network, name) for name in ("valid", "test") if name in ready.rows}
            shown = evaluated(ready, untouched["valid"], "valid", config) if "valid" in untouched else None
            if shown is not None:
                say(f"the untouched checkpoint: {percent(shown.wer.value)} of words wrong on valid")
    with run.phase("fine-tuning"):
        tuned = tuned_on(
            ready.rows["train"],
            ready,
            task,
            config,
            most=most,
            say=say,
            where=where_of(config, folder / "training" / "speech", run, processes, console=console),
            max_seconds=seconds_of_loop(deadline, config),
        )
        if early := ended_early(tuned):
            say(early)
        network, kept, why = kept_network(ready, task, tuned, untouched, heard_by, config)
        say(why)
    with run.phase("decoding"):
        final = SpeechRecognition(model.with_network(network))
        final, decoding = decided_decoding(final, ready, beam, most=most, precision=precision, say=say)
    with run.phase("save"):
        facts = {"decoding": decoding} if decoding else None
        saved = save_speech(final, folder / "model", contents=contents(ready, final), facts=facts)
        by = ", by the best letter of each frame" if decoding else ""
        say(f"saved model reloaded: texts of {counted(saved['n_examples'], 'utterance')} are equal{by}")
    with run.phase("evaluation"):
        heard = {
            name: hear(final, network, ready.examples, rows, most=most, precision=precision)
            for name, rows in ready.rows.items()
        }
        reads = count_read(run, str(ready.facts["splits"]["test"]["fingerprint"]), cache=config.cache, say=say)
        judged = {name: evaluated(ready, found, name, config) for name, found in heard.items()}
        metrics: dict[str, Any] = {
            "task": task.name,
            "headline": "wer",
            "test": judged["test"].as_dict(),
            "held_out": {"valid": judged["valid"].as_dict()} if "valid" in judged else {},
            "train": {"wer": judged["train"].wer.value, "log_loss": heard["train"].log_loss},
            "baselines": {},
            **reads,
            "compared": COMPARED.describe(),
            "log_loss": {name: found.log_loss for name, found in heard.items()},
            "strategy": strategy_facts(tuned, kept, why),
            "suspects": suspects(ready, heard["train"]),
        }
        if decoding:
            metrics["decoding"] = decoding
            greedy = evaluated(ready, heard_by(network, "test"), "test", config)
            metrics["baselines"]["greedy decoding"] = greedy.as_dict()
        if config.more_data:

            def heard_after(rows: NDArray[np.int64]) -> Transcripts:
                part = tuned_on(rows, ready, task, config, most=most, where=Where(config.device, config.precision))
                return transcripts_of(ready, heard_by(part.network, "test"), "test")

            whole = transcripts_of(ready, heard_by(tuned.network, "test"), "test")
            metrics["more_data"] = judge_hours(ready, whole, heard_after=heard_after, seed=config.seed, say=say)
        metrics["corruptions"] = judge_corrupted_speech(
            final,
            network,
            ready,
            config,
            most=most,
            precision=precision,
            run_seconds=seconds_since_process_start(),
        )
        if untouched:
            alike = untouched["test"]
            if decoding:  # by the same beam, so that the fine-tuning alone is between them
                alike = hear(final, model.network, ready.examples, ready.rows["test"], most=most, precision=precision)
            metrics["baselines"]["zero-shot"] = beside_untouched(ready, heard["test"], alike, config)
    with run.phase("report"):
        write_predictions(folder / "predictions.parquet", ready, heard)
        write_json(folder / "strategy.json", metrics["strategy"])
        manifest = run.write_manifest(
            {
                "seed": config.seed,
                "title": title_of(data, config.model),
                "noun": "utterances",
                "notes": [*notes, *model.notes, *ready.notes],
                "task": task.name,
                "backbone": model.backbone.as_dict(),
                "transcripts": model.form.describe(),
                **ready.facts,
                **saved,
            }
        )
        metrics["seconds"] = {k: round(v, 3) for k, v in run.seconds.items()}
        metrics["seconds"]["total"] = round(seconds_since_process_start(), 3)
        told = transcripts_of(ready, heard["test"], "test")
        kept_sounds = keep_worst(
            folder,
            told,
            lambda i: final.preview(wav(ready, final, int(ready.rows["test"][i])), name="an utterance").sound,
        )
        write_speech_report(
            folder / "report.html",
            metrics=metrics,
            manifest=manifest,
            transcripts=told,
            sound=lambda i: kept_sounds[told.ids[i]].sound,
        )
        write_json(folder / "metrics.json", metrics)
    print_speech(metrics, console=console)
    say(f"model: {folder / 'model'} ({use_of({'task': 'automatic-speech-recognition'}, {}).told})")
    say(f"report: {folder / 'report.html'}")
    forget(folder)
    return metrics
