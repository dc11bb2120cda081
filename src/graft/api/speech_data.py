"""Transcribed utterances made ready: split by speaker or recording, decoded once, filtered and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graft.api.config import FitConfig
from graft.backbones.on_disk import refuse_missing_folder
from graft.core.errors import DataError
from graft.core.files import hash_bytes
from graft.core.text import counted
from graft.data.audio import SILENCE_PEAK
from graft.data.splitting import stratified_split
from graft.data.transcripts import TranscribedSplits
from graft.data.utterances import Sound, Utterances, decode_utterances
from graft.tasks.speech_recognition import SpeechRecognition
from graft.training.recordings import open_waveforms, store_waveforms
from graft.training.utterances import UtteranceExamples

__all__ = ["SpeechData", "divide", "load_recogniser", "prepare"]

_VALID_SHARE = 0.15
_CLIPPED_SHARE = 0.01


@dataclass(frozen=True)
class SpeechData:
    """Utterances of all splits, ready to learn from.

    Parameters
    ----------
    utterances : of all splits, one after the other.
    examples : the same, decoded, with their tokens.
    rows : by split, of both.
    notes : sentences on what was left out, and why.
    facts : what the manifest keeps.
    """

    utterances: Utterances
    examples: UtteranceExamples
    rows: dict[str, NDArray[np.int64]]
    notes: tuple[str, ...]
    facts: dict[str, Any]

    def hours(self, split: str) -> float:
        """Return the hours of sound of a split."""
        return float(self.facts["splits"][split]["seconds"]) / 3600


def load_recogniser(config: FitConfig, *, texts: Sequence[str]) -> SpeechRecognition:
    """Return the recogniser of the options; `texts` of train give its letters where the checkpoint's do not serve."""
    refuse_missing_folder(config.model)
    return SpeechRecognition.load(
        config.model,
        texts=texts,
        transcripts=config.transcripts,
        vocabulary=config.vocabulary,
        language=config.language,
        revision=config.revision,
        is_offline=config.offline,
        trust_remote_code=config.trust_remote_code,
    )


def divide(splits: TranscribedSplits, config: FitConfig) -> tuple[dict[str, Utterances], list[str]]:
    """Return train, valid and test with notes; a speaker (or recording, where no speakers are named) is in one alone.

    Raises
    ------
    DataError
        When there are too few speakers or recordings to hold any out.
    """
    parts = {"train": splits.train}
    parts |= {name: part for name, part in (("valid", splits.valid), ("test", splits.test)) if part is not None}
    notes = list(splits.notes)
    name = splits.train.group_name or "recording"
    for wanted, share in (("test", config.test_fraction), ("valid", _VALID_SHARE)):
        train = parts["train"]
        if wanted in parts:
            continue
        if train.n_groups < 2:
            if wanted == "valid":
                notes.append(f"one {name} to train with: none is held out to choose by, the last weights are taken")
                continue
            raise DataError(
                f"all {counted(len(train), 'utterance')} are of one {name}",
                expected=f"at least 2 {name}s, so that one can be held out to judge with",
                fix="give other utterances to judge with: --test (Python: test=), or name no speaker column",
            )
        found = stratified_split(
            np.zeros(len(train), np.int64),
            groups=train.groups,
            fractions={"train": 1 - share, wanted: share},
            seed=config.seed,
        )
        parts[wanted] = train.select(found[wanted])
        parts["train"] = train.select(found["train"])
        notes.append(
            f"{wanted}: {counted(parts[wanted].n_groups, name)} held out"
            f" ({counted(len(parts[wanted]), 'utterance')}), none of them in train"
        )
    for held_out in ("valid", "test"):
        if held_out in parts and (shared := set(parts[held_out].group_keys) & set(parts["train"].group_keys)):
            notes.append(
                f"{counted(len(shared), name)} of {held_out} also in train: its figures say nothing of new {name}s"
            )
    return {key: parts[key] for key in ("train", "valid", "test") if key in parts}, notes


def prepare(
    parts: dict[str, Utterances],
    task: SpeechRecognition,
    config: FitConfig,
    folder: Path,
    *,
    say: Callable[[str], None],
) -> SpeechData:
    """Return the utterances decoded into one file of `folder`, without those that cannot be learned or judged.

    Raises
    ------
    DataError
        When a file cannot be read (unless ``skip_unreadable``), or a split is left without an utterance.
    """
    items = tuple(item for part in parts.values() for item in part)
    whole = replace(next(iter(parts.values())), items=tuple(_unique(parts)), source="the data")
    bounds = np.cumsum([0, *(len(part) for part in parts.values())])
    rate = task.model.sampling_rate_hz
    peaks, clipped, digests = np.zeros(len(items)), np.zeros(len(items)), [""] * len(items)
    errors: dict[int, str] = {}

    def sounds() -> Iterator[NDArray[np.float32]]:
        decoded = decode_utterances(whole, sampling_rate_hz=rate, skip_unreadable=config.skip_unreadable)
        for row, sound in enumerate(decoded):
            _note(row, sound)
            yield sound.waveform

    def _note(row: int, sound: Sound) -> None:
        peaks[row], clipped[row] = sound.peak, sound.clipped
        digests[row] = hash_bytes(sound.waveform.tobytes())
        if sound.error:
            errors[row] = sound.error

    folder.mkdir(parents=True, exist_ok=True)
    store_waveforms(folder / "utterances.npy", sounds())
    waveforms = open_waveforms(folder / "utterances.npy")
    targets = [task.target(text) for text in whole.texts]
    lengths = waveforms.lengths
    most = round(task.model.window_s * rate)
    notes: list[str] = []
    rows: dict[str, NDArray[np.int64]] = {}
    splits: dict[str, dict[str, Any]] = {}
    in_train: set[str] = set()
    for number, (split, part) in enumerate(parts.items()):
        own = np.arange(bounds[number], bounds[number + 1])
        is_judged_whole = split != "train" and task.model.family == "ctc"
        reasons = {
            "cannot be read": np.array([row in errors for row in own], bool),
            "are silent": (peaks[own] <= 2 * SILENCE_PEAK) & np.array([row not in errors for row in own], bool),
            f"last more than {task.model.window_s:g} s": (lengths[own] > most) & (not is_judged_whole),
        }
        if split == "train":
            reasons["have more text than the network can write in their time"] = np.array(
                [not task.can_learn(int(lengths[row]), targets[row]) for row in own], bool
            )
        is_left = np.ones(len(own), bool)
        for why, is_out in reasons.items():
            if n := int((is_out & is_left).sum()):
                first = whole[int(own[np.flatnonzero(is_out & is_left)[0]])].id
                notes.append(f"{split}: {counted(n, 'utterance')} left out, as they {why}, for example {first}")
            is_left &= ~is_out
        rows[split] = own[is_left].astype(np.int64)
        if not len(rows[split]):
            raise DataError(
                f"no utterance of {split} is left: " + "; ".join(note for note in notes if note.startswith(split)),
                expected="utterances that can be heard",
                fix="see whether the texts belong to the recordings, and whether times are in seconds",
            )
        seconds = float(lengths[rows[split]].sum() / rate)
        splits[split] = {
            "n": len(rows[split]),
            "n_left_out": int((~is_left).sum()),
            "n_groups": len({whole[int(row)].group or whole[int(row)].place for row in rows[split]}),
            "seconds": round(seconds, 3),
            "fingerprint": part.fingerprint,
        }
        loud = [whole[int(row)].id for row in rows[split] if clipped[row] > _CLIPPED_SHARE]
        if loud:
            notes.append(f"{split}: {counted(len(loud), 'utterance')} clipped, for example {loud[0]}")
        if split == "train":
            in_train = {digests[row] for row in rows[split]}
        elif copies := [whole[int(row)].id for row in rows[split] if digests[row] in in_train]:
            notes.append(f"{split}: {counted(len(copies), 'recording')} also in train, for example {copies[0]}")
    for note in notes:
        say(note)
    examples = UtteranceExamples(waveforms, targets, task.collate, task.can_learn, task.model.sampling_rate_hz)
    return SpeechData(whole, examples, rows, tuple(notes), {"splits": splits})


def _unique(parts: dict[str, Utterances]) -> Iterator[Any]:
    """Yield all utterances; one whose id an earlier split has gets its split's name before it."""
    seen: set[str] = set()
    for split, part in parts.items():
        for item in part:
            name = item.id if item.id not in seen else f"{split}/{item.id}"
            seen.add(name)
            yield replace(item, id=name)
