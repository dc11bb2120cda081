"""Pretrained speech recognisers: CTC networks with the right letters, and Whisper with the right prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from graft.backbones.catalog import Backbone
from graft.backbones.ctc import refuse_other_ctc
from graft.backbones.licences import stated_licence
from graft.backbones.loading import hash_weights, quiet_transformers
from graft.backbones.speech_model import SpeechModel
from graft.backbones.vocabulary import (
    checkpoint_tokenizer,
    form_of_vocabulary,
    letters_of,
    missing_letters,
    tokenizer_of_letters,
)
from graft.core.errors import ModelError, UsageError, did_you_mean
from graft.core.text import counted
from graft.data.transcript_form import FORMS, TranscriptForm, form_of

__all__ = ["load_speech_model"]

_SKIPPED_LAYERS = ("layerdrop", "encoder_layerdrop", "decoder_layerdrop")


def load_speech_model(
    model: str,
    *,
    texts: Sequence[str] = (),
    transcripts: str = "auto",
    vocabulary: str = "auto",
    language: str | None = None,
    form: TranscriptForm | None = None,
    revision: str | None = None,
    is_offline: bool = False,
    trust_remote_code: bool = False,
) -> SpeechModel:
    """Return a pretrained recogniser.

    Parameters
    ----------
    model : hub id, or folder of a transformers checkpoint.
    texts : training transcripts; letters are made from them where the checkpoint's do not serve.
    transcripts : form of the transcripts, see `graft.data.transcript_form`; ``"auto"``: plain for new letters, the
        checkpoint's own for its letters, as they are for Whisper.
    vocabulary : ``"checkpoint"``, ``"transcripts"``, or ``"auto"``: the checkpoint's letters where it can spell all of
        `texts`, else new ones.
    language : of Whisper's prompt, by code or name; None: the checkpoint's.
    form : of a saved model; goes before `transcripts`.

    Raises
    ------
    ModelError
        When the model is not there, or recognises no speech.
    UsageError
        When `language` is none of Whisper's, or the wanted vocabulary cannot be had.

    Notes
    -----
    Layers are not skipped in training, and the networks' own masks are not drawn, as they come from NumPy's global
    state; Graft masks spans of frames itself, see `graft.backbones.ctc.encoder_states`.
    """
    where: dict[str, Any] = {
        "revision": revision or "main",
        "local_files_only": is_offline or Path(model).exists(),
        "trust_remote_code": trust_remote_code,
    }
    from transformers import AutoConfig, AutoFeatureExtractor
    from transformers.models.auto.modeling_auto import MODEL_FOR_CTC_MAPPING

    try:
        with quiet_transformers():
            config: Any = AutoConfig.from_pretrained(model, **where)
            is_ctc = type(config) in MODEL_FOR_CTC_MAPPING
            if not is_ctc and config.model_type != "whisper":
                raise _not_speech(model, f"it is of the type {config.model_type}")
            extractor: Any = AutoFeatureExtractor.from_pretrained(model, **where)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise _not_speech(model, str(error).strip().splitlines()[0][:160]) from error
    for name in _SKIPPED_LAYERS:
        if hasattr(config, name):
            setattr(config, name, 0.0)
    if hasattr(config, "apply_spec_augment") and not is_ctc:
        config.apply_spec_augment = False
    if is_ctc:
        wanted = form or (None if transcripts == "auto" else form_of(transcripts))
        return _ctc(model, config, extractor, where, texts=texts, form=wanted, vocabulary=vocabulary)
    wanted = form or form_of("keep" if transcripts == "auto" else transcripts)
    return _whisper(model, config, extractor, where, form=wanted, language=language)


def _ctc(
    model: str,
    config: Any,
    extractor: Any,
    where: dict[str, Any],
    *,
    texts: Sequence[str],
    form: TranscriptForm | None,
    vocabulary: str,
) -> SpeechModel:
    from transformers import AutoModelForCTC

    notes: list[str] = []
    tokenizer = None if vocabulary == "transcripts" else checkpoint_tokenizer(model, where)
    if tokenizer is not None:
        own = form or form_of_vocabulary(tokenizer)
        lacking = missing_letters(tokenizer, [own(text) for text in texts])
        if lacking and vocabulary == "auto":
            shown = " ".join(letter for letter, _ in lacking.most_common(8))
            notes.append(f"the checkpoint cannot spell {shown}: new letters from the transcripts, and a new head")
            tokenizer = None
        elif lacking:
            notes.append(f"{counted(sum(lacking.values()), 'character')} that the checkpoint cannot spell: as unknown")
    if tokenizer is None and vocabulary == "checkpoint":
        raise UsageError(
            f"--vocabulary checkpoint, but {model} brings no letters",
            expected="vocab.json beside the weights",
            fix="--vocabulary transcripts (Python: vocabulary='transcripts')",
        )
    is_kept = tokenizer is not None
    if tokenizer is None:
        own = form or FORMS["plain"]
        letters = letters_of(own(text) for text in texts)
        if not letters:
            raise ModelError(
                f"{model} brings no letters, and there are no transcripts to make them from",
                expected="vocab.json beside the weights",
                fix="fine-tune it first: graft fit",
            )
        tokenizer = tokenizer_of_letters(letters)
        notes.append(f"it spells with {len(letters)} letters of the transcripts: {''.join(sorted(letters))[:60]}")
    config.vocab_size, config.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    config.ctc_loss_reduction, config.ctc_zero_infinity = "sum", False
    network, missing = _network(AutoModelForCTC, model, config, where)
    random = [name for name in missing if not name.startswith("lm_head.") and "masked_spec_embed" not in name]
    _refuse_random(model, random)
    is_new = any(name.startswith("lm_head.") for name in missing)
    if not is_new and not is_kept:  # as many letters by chance, but others
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            network.lm_head.reset_parameters()
        is_new = True
    refuse_other_ctc(network, model)
    return SpeechModel(
        network, extractor, tokenizer, "ctc", own, _backbone(model, network), is_new_head=is_new, notes=tuple(notes)
    )


def _whisper(
    model: str, config: Any, extractor: Any, where: dict[str, Any], *, form: TranscriptForm, language: str | None
) -> SpeechModel:
    from transformers import WhisperForConditionalGeneration, WhisperTokenizer

    network, missing = _network(WhisperForConditionalGeneration, model, config, where)
    _refuse_random(model, [name for name in missing if not name.startswith("proj_out.")])
    try:
        with quiet_transformers():
            tokenizer: Any = WhisperTokenizer.from_pretrained(model, **where)
    except (OSError, ValueError, TypeError) as error:
        raise _not_speech(model, f"its tokenizer cannot be loaded: {str(error).splitlines()[0][:160]}") from error
    known: dict[str, int] = getattr(network.generation_config, "lang_to_id", None) or {}
    code = _language_code(language or getattr(network.generation_config, "language", None), known)
    if code:
        tokenizer.set_prefix_tokens(language=code, task="transcribe", predict_timestamps=False)
        network.generation_config.language, network.generation_config.task = code, "transcribe"
    elif known:
        tokenizer.set_prefix_tokens(task="transcribe", predict_timestamps=False)
    network.generation_config.forced_decoder_ids = None
    if not network.generation_config.num_beams:  # the pipeline would take 5: what is judged here is what it then writes
        network.generation_config.num_beams = 1
    if (network.generation_config.max_length or 0) <= 20:  # transformers' default, after which it stops mid-sentence
        network.generation_config.max_length = config.max_target_positions
    notes: tuple[str, ...] = ()
    if known and not code:
        notes = ("no language was named: it is guessed of each recording (--language en is surer)",)
    return SpeechModel(
        network, extractor, tokenizer, "seq2seq", form, _backbone(model, network), language=code, notes=notes
    )


def _language_code(language: str | None, known: dict[str, int]) -> str:
    """Return Whisper's code of a language, such as ``"en"``; empty where none is wanted or there are none."""
    if not language or not known:
        return ""
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    code = str(language).strip().lower().strip("<|>")
    code = TO_LANGUAGE_CODE.get(code, code)
    if f"<|{code}|>" not in known:
        names = [*TO_LANGUAGE_CODE, *TO_LANGUAGE_CODE.values()]
        raise UsageError(
            f"--language {language}.{did_you_mean(code, names)}",
            expected="a language that the checkpoint knows, by code or English name, such as en or german",
            fix="correct it, or leave it away (Python: language=None)",
        )
    return code


def _network(loader: Any, model: str, config: Any, where: dict[str, Any]) -> tuple[Any, set[str]]:
    """Return the network and the names of what its checkpoint lacked; what is new is drawn from seed 0."""
    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            network, info = loader.from_pretrained(
                model,
                config=config,
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
                output_loading_info=True,
                **where,
            )
    except (OSError, ValueError, ImportError, KeyError, EOFError, RuntimeError) as error:
        raise _not_speech(model, str(error).strip().splitlines()[0][:160]) from error
    mismatched = {key[0] if isinstance(key, tuple) else key for key in info["mismatched_keys"]}
    return network.float().eval().requires_grad_(False), {*info["missing_keys"], *mismatched}


def _refuse_random(model: str, names: Sequence[str]) -> None:
    if names:
        raise ModelError(
            f"{model} lacks the weights of {len(names)} layers, for example {names[0]}: they would stay random",
            expected="a checkpoint that holds every layer but the head",
            fix="check that config.json belongs to these weights, or choose another checkpoint",
        )


def _backbone(model: str, network: Any) -> Backbone:
    revision = getattr(network.config, "_commit_hash", None) or ""
    return Backbone(
        id=model,
        revision=revision,
        modality="audio",
        architecture=type(network).__name__,
        n_features=int(network.config.hidden_size),
        n_parameters=sum(p.numel() for p in network.parameters()),
        weights_hash=hash_weights(network),
        licence=stated_licence(model, revision=revision),
    )


def _not_speech(model: str, why: str) -> ModelError:
    return ModelError(
        f"the model '{model}' cannot be loaded as a speech recogniser: {why}",
        expected="a wav2vec2, HuBERT, WavLM or Whisper checkpoint: a folder that save_pretrained wrote, or a hub id",
        fix="check the name; offline, download it first elsewhere (`hf download NAME`) and pass the folder",
    )
