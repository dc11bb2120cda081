"""Corruptions change what they say, keep size and length, grow with severity, and are the same every time."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from datasets import Dataset
from PIL import Image

from graft.core.errors import DataError, UsageError
from graft.data.corruptions.corrupted import SEVERITIES, CorruptedExamples, corruptions_of
from graft.data.corruptions.pictures import PICTURE_CORRUPTIONS
from graft.data.corruptions.recordings import RECORDING_CORRUPTIONS
from graft.data.corruptions.texts import TEXT_CORRUPTIONS
from graft.data.dataset import LabeledDataset
from graft.data.kinds import PICTURE, RECORDING, TEXT, ExampleKind
from graft.data.texts import join_pair

RATE = 8_000
TEXT_ = (
    "Why was my card, which I use every single day, declined at the shop? I don't understand it; please help me now."
)


def data_of(contents: list[bytes]) -> LabeledDataset:
    rows = {"id": [f"e{i}" for i in range(len(contents))], "content": contents, "label": [0] * len(contents)}
    return LabeledDataset(Dataset.from_dict(rows), ("a", "b"))


def picture(seed: int = 0, size: tuple[int, int] = (48, 40)) -> bytes:
    coarse = np.random.default_rng(seed).integers(30, 225, (10, 12, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def recording() -> bytes:
    """Return noise between 0.1 and 0.5 s, a low and a high tone, and silence around them."""
    t = np.arange(RATE) / RATE
    sound = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    sound += 0.1 * np.sin(2 * np.pi * 300 * t) + 0.1 * np.sin(2 * np.pi * 2_900 * t)
    sound *= (t > 0.1) & (t < 0.5)
    file = io.BytesIO()
    soundfile.write(file, np.stack([sound, sound], axis=1), RATE, format="WAV")
    return file.getvalue()


def worse(content: bytes, kind: ExampleKind, corruption: str, severity: int, *, seed: int = 0) -> bytes:
    return CorruptedExamples(
        data_of([content]), [0], kind=kind, corruption=corruption, severity=severity, seed=seed
    ).read(0)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=np.float64)


@pytest.mark.parametrize("corruption", PICTURE_CORRUPTIONS)
def test_pictures_keep_their_size_and_get_worse_with_severity(corruption: str) -> None:
    original = pixels(picture())
    distance = []
    for severity in SEVERITIES:
        found = pixels(worse(picture(), PICTURE, corruption, severity))
        assert found.shape == original.shape
        distance.append(float(np.abs(found - original).mean()))
    assert distance[0] > 0
    assert distance == sorted(distance), distance
    assert distance[-1] > 1.5 * distance[0]


def test_pictures_change_in_what_the_name_says() -> None:
    plain = pixels(picture())
    assert pixels(worse(picture(), PICTURE, "contrast", 5)).std() < 0.3 * plain.std()
    blurred = pixels(worse(picture(), PICTURE, "blur", 5))
    assert np.abs(np.diff(blurred, axis=1)).max() < np.abs(np.diff(plain, axis=1)).max()
    assert abs(blurred.mean() - plain.mean()) < 2
    assert abs(pixels(worse(picture(), PICTURE, "brightness", 3)).mean() / plain.mean() - 1) > 0.2
    noise = pixels(worse(picture(), PICTURE, "noise", 2)) - plain
    assert 12 < noise.std() < 20


def test_greys_and_turned_pictures_come_out_upright_in_rgb() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (20, 10), 90).save(file, "JPEG", exif=exif)
    found = Image.open(io.BytesIO(worse(file.getvalue(), PICTURE, "contrast", 1)))
    assert found.size == (10, 20)
    assert found.mode == "RGB"


@pytest.mark.parametrize("corruption", TEXT_CORRUPTIONS)
def test_texts_get_worse_with_severity(corruption: str) -> None:
    found = [worse(TEXT_.encode(), TEXT, corruption, severity).decode() for severity in SEVERITIES]
    same = [sum(a == b for a, b in zip(text.split(), TEXT_.split(), strict=False)) for text in found]
    lengths = [len(text) for text in found]
    assert found[-1] != TEXT_
    assert all(found), "a text was emptied"
    if corruption == "missing words":
        assert lengths == sorted(lengths, reverse=True)
        assert all(word in TEXT_.split() for text in found for word in text.split())
    elif corruption == "missing punctuation":
        assert lengths == sorted(lengths, reverse=True)
        assert not set(found[-1]) & set(".,;?'")
        assert [c for c in found[-1] if c.isalnum()] == [c for c in TEXT_ if c.isalnum()]
    else:
        assert same == sorted(same, reverse=True)
        assert same[-1] < same[0]
    if corruption == "capitals":
        assert found[-1] == TEXT_.upper()


def test_a_text_is_never_emptied_and_a_pair_stays_one() -> None:
    for severity in SEVERITIES:
        assert worse(b"one", TEXT, "missing words", severity) == b"one"
        assert worse(b"", TEXT, "typing errors", severity) == b""
        both = worse(join_pair(TEXT_, "It is so.").encode(), TEXT, "missing punctuation", severity).decode()
        assert both.count("\x1f") == 1


@pytest.mark.parametrize("corruption", RECORDING_CORRUPTIONS)
def test_recordings_keep_rate_and_length_and_get_worse_with_severity(corruption: str) -> None:
    original, _ = soundfile.read(io.BytesIO(recording()), always_2d=True)
    original = original.mean(axis=1)
    found = [_sound(corruption, severity) for severity in SEVERITIES]
    assert all(sound.shape == original.shape and np.isfinite(sound).all() for sound in found)
    quiet = np.arange(RATE) > 0.55 * RATE
    if corruption == "narrow band":
        high = [float(np.abs(np.fft.rfft(sound))[2_700:3_100].sum()) for sound in [original, *found]]
        assert high == sorted(high, reverse=True)
        assert high[-1] < 0.05 * high[0]
    elif corruption == "echo":
        tails = [float(np.abs(sound[quiet]).mean()) for sound in [original, *found]]
        assert tails == sorted(tails)
        assert tails[-1] > 0.01
    else:
        distance = [float(np.abs(sound - original).mean()) for sound in found]
        assert distance == sorted(distance)
        assert distance[0] > 0


def _sound(corruption: str, severity: int) -> np.ndarray:
    sound, rate = soundfile.read(io.BytesIO(worse(recording(), RECORDING, corruption, severity)))
    assert rate == RATE
    return np.asarray(sound)


def test_noise_has_the_level_that_it_says() -> None:
    original = soundfile.read(io.BytesIO(recording()))[0][:, 0]
    noise = _sound("noise", 4) - original
    assert 10 * np.log10(np.square(original).mean() / np.square(noise).mean()) == pytest.approx(6, abs=0.3)


@pytest.mark.parametrize("kind", [PICTURE, TEXT, RECORDING], ids=lambda kind: str(kind.noun))
def test_the_same_example_is_corrupted_alike_every_time_and_others_otherwise(kind: ExampleKind) -> None:
    content = {PICTURE: picture(), TEXT: TEXT_.encode(), RECORDING: recording()}[kind]
    data = data_of([content] * 3)
    chancy = {PICTURE: "noise", TEXT: "typing errors", RECORDING: "noise"}[kind]
    of = CorruptedExamples(data, [0, 2], kind=kind, corruption=chancy, severity=4)
    alone = CorruptedExamples(data, [2], kind=kind, corruption=chancy, severity=4)
    assert of.read(0) == of.read(0)
    assert of.read(1) == alone.read(0)
    assert of.read(0) != of.read(1)
    assert alone.place(0).startswith("e2")
    other = CorruptedExamples(data, [2], kind=kind, corruption=chancy, severity=4, seed=1)
    assert alone.read(0) != other.read(0)


def test_what_cannot_be_corrupted_is_said() -> None:
    with pytest.raises(UsageError, match="'fog' of severity 1 for pictures"):
        CorruptedExamples(data_of([b""]), [0], kind=PICTURE, corruption="fog", severity=1)
    with pytest.raises(UsageError, match="severity 6"):
        CorruptedExamples(data_of([b""]), [0], kind=PICTURE, corruption="blur", severity=6)
    for kind in (PICTURE, RECORDING):
        with pytest.raises(DataError, match="cannot be read"):
            worse(b"no such thing", kind, corruptions_of(kind)[0], 1)
