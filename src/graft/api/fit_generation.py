"""`fit` for language models: its own way through the stations, as a conversation has no pooled feature.

Read, split, write as tokens, judge the untouched checkpoint, fine-tune, choose by held-out loss, save and reload,
judge, report.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from graft.api.config import FitConfig
from graft.api.generation_data import (
    GenerationData,
    divide_conversations,
    load_language_task,
    prepare_conversations,
    read_as_conversations,
    shown_example,
)
from graft.api.generation_evidence import on_device
from graft.api.generation_facts import (
    Before,
    after_training,
    before_training,
    strategy_facts,
)
from graft.api.generation_kept import keep_example, keep_losses, keep_texts
from graft.api.own_way import refuse_options, seconds_of_loop, settings_from, where_of
from graft.api.test_reads import count_read
from graft.api.tuning import Deadline, forget
from graft.backbones.four_bits import FourBits, four_bit_loader
from graft.core.devices import choose_device
from graft.core.errors import ModelError, UsageError
from graft.core.files import write_json
from graft.core.memory import seconds_since_process_start
from graft.core.processes import Processes
from graft.core.run_folder import Run
from graft.core.text import counted
from graft.methods.generation import GenerationTuned, fine_tune_generation, judge_answers
from graft.methods.settings import FineTuning
from graft.methods.where import training_precision
from graft.report.generation import print_example, print_generation, write_generation_report
from graft.report.places import title_of
from graft.report.use import use_of
from graft.tasks.generation_saved import save_generation
from graft.tasks.text_generation import TextGeneration
from graft.training.sharded import is_sharding_wanted

__all__ = ["fit_generation", "four_bits_of", "settings_of_generation"]

_STRATEGIES = ("auto", "lora", "full")
_CHECKED = 3  # answers on which the saved model is compared
_OTHERS = ("multi_label", "from_scratch", "preprocessing", "label_column", "unlabeled", "shift_data", "compile",
           "corrections")  # fmt: skip


def fit_generation(
    data: str,
    config: FitConfig,
    run: Run,
    folder: Path,
    processes: Processes,
    *,
    say: Callable[[str], None],
    console: Console,
) -> dict[str, Any]:
    """Fine-tune a language model on conversations and return what ``metrics.json`` holds.

    Raises
    ------
    UsageError
        When an option is not for language models.
    DataError, ModelError, Interrupted
        As the stations do.
    """
    _refuse(config, processes)
    four_bits = four_bits_of(config)
    deadline = Deadline.of(config)
    with run.phase("data"):
        splits = read_as_conversations(data, config)
        parts, notes = divide_conversations(splits, config)
        for note in notes:
            say(note)
    with run.phase("model"):
        task = load_language_task(config)
        model = task.model
        say(
            f"{model.backbone.architecture}, {model.backbone.n_parameters / 1e6:,.2f} million parameters, reads"
            f" {model.encoder.max_tokens} tokens, stops at"
            f" {' or '.join(model.tokenizer.convert_ids_to_tokens(list(model.stop_tokens)))}"
        )
        for note in model.notes:
            say(note)
    with run.phase("tokens"):
        ready = prepare_conversations(parts, task, config, say=say)
        example = shown_example(ready, task)
        print_example(example, console=console)
    precision = training_precision(model.network, choose_device(config.device), wanted=config.precision)
    before = None
    if processes.is_main:
        with run.phase("zero-shot"), on_device(model.network, choose_device(config.device)):
            before = before_training(task, ready, config, precision=precision, say=say)
    with run.phase("fine-tuning"):

        def tuned_on(rows: NDArray[np.int64], name: str, say: Callable[[str], None]) -> GenerationTuned:
            """Return what fine-tuning on some of the conversations comes to."""
            return fine_tune_generation(
                task,
                ready.examples,
                rows,
                held_out_rows=ready.rows["valid"],
                strategy="lora" if config.strategy == "auto" else config.strategy,
                adapter=config.adapter,
                four_bits=four_bits,
                settings=settings_of_generation(config),
                lora_rank=config.lora_rank,
                packing=config.packing,
                is_checkpointed=config.gradient_checkpointing,
                max_seconds=seconds_of_loop(deadline, config),
                seed=config.seed,
                where=where_of(config, folder / "training" / name, run, processes, console=console),
                say=say,
            )

        tuned = tuned_on(ready.rows["train"], "generation", say)
        if before is None:  # not the main process
            processes.wait()
            return {}
        with on_device(tuned.network, choose_device(config.device)):
            network, kept, why = _kept(ready, task, tuned, before, precision)
        if four_bits and tuned.training.history:
            best = min(float(line["log_loss"]) for line in tuned.training.history)
            why += f"; on the weights in 4 bits, where the updates were learned, it was {best:.3f}"
        say(why)
    with run.phase("save"):
        final = TextGeneration(model.with_network(network), answers=task.answers)
        prompts = [ready.conversations[int(row)].prompt for row in ready.rows["valid"][:_CHECKED]]
        saved = save_generation(final, folder / "model", prompts=prompts)
        say(f"saved model reloaded: the answers to {counted(saved['n_examples'], 'question')} are equal")
        if kept == "fine-tuned" and tuned.save_adapter is not None:
            saved["adapter"] = _save_adapter(tuned, network, task, ready, folder / "adapter")
            say(f"the update alone: {folder / 'adapter'} (loads in peft), merged it gives the same losses")
    with run.phase("evaluation"):
        reads = count_read(run, str(ready.facts["splits"]["test"]["fingerprint"]), cache=config.cache, say=say)
        figures, measured = after_training(
            task,
            final,
            ready,
            before,
            config,
            tuned_on=lambda rows: tuned_on(rows, f"part-{len(rows)}", lambda text: None).network,
            precision=precision,
            history=tuned.training.history,
            say=say,
        )
        metrics: dict[str, Any] = {
            "task": task.name,
            **figures,
            **reads,
            "strategy": strategy_facts(tuned, kept, why, config),
        }
    with run.phase("report"):
        keep_losses(folder / "predictions.parquet", ready, measured.judged)
        scored = measured.evidence.scored()
        keep_texts(folder / "texts.parquet", scored)
        keep_example(folder / "example.json", example)
        write_json(folder / "strategy.json", metrics["strategy"])
        manifest = run.write_manifest(
            {
                "seed": config.seed,
                "title": title_of(data, config.model),
                "noun": "conversations",
                "notes": [*notes, *model.notes, *ready.notes, *measured.notes],
                "task": task.name,
                "backbone": model.backbone.as_dict(),
                "form": splits.train.form,
                "answers": task.answers,
                "is_plain_template": model.is_plain_template,
                **ready.facts,
                **saved,
            }
        )
        metrics["seconds"] = {k: round(v, 3) for k, v in run.seconds.items()}
        metrics["seconds"]["total"] = round(seconds_since_process_start(), 3)
        write_generation_report(
            folder / "report.html",
            metrics=metrics,
            manifest=manifest,
            config=config.as_dict(),
            scored=scored,
            example=example,
        )
        write_json(folder / "metrics.json", metrics)
    print_generation(metrics, console=console)
    say(f"model: {folder / 'model'} ({use_of({'task': 'text-generation'}, {}).told})")
    say(f"report: {folder / 'report.html'}")
    say(f"to talk with it: graft chat {folder}")
    forget(folder)
    processes.wait()
    return metrics


def _refuse(config: FitConfig, processes: Processes) -> None:
    refuse_options(
        config, processes, noun="a language model", strategies=_STRATEGIES, absent=_OTHERS, is_alone=config.more_data
    )
    if is_sharding_wanted(processes):
        raise UsageError(
            "a language model in shards (FSDP)", expected="whole copies of it", fix="leave --use_fsdp away"
        )
    if config.adapter == "qlora" and config.strategy == "full":
        raise UsageError(
            "--adapter qlora with --strategy full: weights in 4 bits do not learn, updates on top of them do",
            expected="low-rank updates",
            fix="--strategy lora (Python: strategy='lora')",
        )


def four_bits_of(config: FitConfig) -> FourBits | None:
    """Return what loads the network in 4 bits, where the options want it."""
    if config.adapter != "qlora":
        return None
    return four_bit_loader(
        config.model,
        revision=config.revision,
        is_offline=config.offline,
        trust_remote_code=config.trust_remote_code,
    )


def settings_of_generation(config: FitConfig) -> FineTuning:
    """Return the settings of the loop that the options give."""
    names = (
        "learning_rate", "epochs", "fewest_steps", "batch_size", "micro_batch_size", "optimizer", "weight_decay",
        "schedule", "warmup_fraction", "ema_decay", "l2_sp", "patience", "word_embeddings",
    )  # fmt: skip
    return settings_from(config, names)


def _kept(
    ready: GenerationData, task: TextGeneration, tuned: GenerationTuned, before: Before, precision: Any
) -> tuple[Any, str, str]:
    """Return the network that is kept, its name, and why: the untouched one stays where fine-tuning did not help."""
    old = before.losses["valid"].log_loss
    new = judge_answers(task, tuned.network, ready.examples, ready.rows["valid"], precision=precision).log_loss
    told = f"loss {new:.3f} an answer token on valid, the untouched checkpoint {old:.3f}"
    if new < old:
        return tuned.network, "fine-tuned", f"the fine-tuned network is kept: {told}"
    return task.model.network, "untouched", f"fine-tuning did not help, the untouched checkpoint is kept: {told}"


def _save_adapter(
    tuned: GenerationTuned, network: Any, task: TextGeneration, ready: GenerationData, folder: Path
) -> dict[str, float]:
    """Write the update alone, merge it into the checkpoint's weights again, and compare losses."""
    from graft.core.devices import Precision
    from graft.methods.lora import adapted

    assert tuned.save_adapter is not None
    tuned.save_adapter(folder, kept=network, share=1.0)
    rows, exactly = ready.rows["valid"][:_CHECKED], Precision("fp32", "to compare")
    again = adapted(task.model.network, folder)
    mine, theirs = (
        judge_answers(task, net, ready.examples, rows, precision=exactly).log_loss for net in (network, again)
    )
    if abs(mine - theirs) > 1e-4 * max(1.0, abs(mine)):
        raise ModelError(
            f"the saved update gives a loss of {theirs:.5f}, the trained network {mine:.5f}",
            expected="equal losses",
            fix="report this; RUN/model holds the trained network",
        )
    return {"loss": mine, "loss_reloaded": theirs}
