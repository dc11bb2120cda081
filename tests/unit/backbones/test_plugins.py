from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from graft.backbones.frontends import model_inputs, noise
from graft.backbones.plugins import PluginFrontend
from graft.core.errors import DataError, UsageError

ROOT = Path(__file__).resolve().parents[3]
YAMNET = f"{ROOT / 'examples' / 'yamnet_preprocessing.py'}:log_mel"
GOOD = """
import numpy as np
SAMPLING_RATE_HZ = 8000
WINDOW_S = 0.5

def loudness(waveform, sampling_rate_hz):
    padded = np.zeros(4000, np.float32)
    padded[:len(waveform)] = waveform
    return np.abs(padded).reshape(1, 10, -1).mean(-1, keepdims=True) * sampling_rate_hz
"""


def written(folder: Path, code: str) -> str:
    (folder / "own.py").write_text(code, encoding="utf-8")
    return f"{folder / 'own.py'}:loudness"


def test_a_function_of_the_users_gives_an_input_a_window(tmp_path: Path) -> None:
    frontend = PluginFrontend(written(tmp_path, GOOD))
    assert (frontend.sampling_rate_hz, frontend.window, frontend.hop, frontend.shape) == (8000, 4000, 2000, (1, 10, 1))
    inputs = model_inputs(frontend, noise(9000))
    assert [x.shape for x in inputs] == [(1, 10, 1)] * 4
    assert all(x.dtype == np.float32 for x in inputs)


def test_it_is_the_file_as_it_was_that_is_run_hashed_and_saved(tmp_path: Path) -> None:
    frontend = PluginFrontend(written(tmp_path, GOOD))
    same = pickle.loads(pickle.dumps(frontend))  # noqa: S301  our own
    (tmp_path / "own.py").write_text(GOOD.replace("np.abs", "np.sign"), encoding="utf-8")
    changed = PluginFrontend(f"{tmp_path / 'own.py'}:loudness")
    assert frontend.fingerprint == same.fingerprint != changed.fingerprint
    np.testing.assert_array_equal(frontend(noise(4000)), same(noise(4000)))
    (tmp_path / "model").mkdir()
    frontend.save(tmp_path / "model")
    assert (tmp_path / "model" / "own.py").read_text(encoding="utf-8") == GOOD
    again = PluginFrontend(f"{tmp_path / 'model' / 'own.py'}:loudness")
    assert again.record == frontend.record == {"file": "own.py", "name": "loudness", "hash": frontend.hash}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (GOOD.replace("SAMPLING_RATE_HZ =", "RATE ="), "sets SAMPLING_RATE_HZ to None"),
        (GOOD.replace("WINDOW_S = 0.5", "WINDOW_S = 'half'"), "sets WINDOW_S to 'half'"),
        (GOOD.replace("def loudness", "def loudnes"), "Did you mean 'loudnes'"),
        (GOOD.replace("import numpy as np", "import nothing_like_it"), "nothing_like_it"),
        (GOOD.replace("return np.abs(padded)", "return np.abs(waveform)"), "ValueError"),
        (
            GOOD.replace("return np.abs(padded).reshape(1, 10, -1)", "return waveform[None, :, None]"),
            "different shapes",
        ),
        (GOOD.replace("* sampling_rate_hz", "/ 0"), "numbers that are not finite"),
        ("def loudness(:", "SyntaxError"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_file_that_breaks_the_contract_is_told_before_any_data(code: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        PluginFrontend(written(tmp_path, code))
    assert told in str(error.value)
    assert "own.py" in str(error.value)


@pytest.mark.parametrize("named", ["own.py", "missing.py:loudness", ":loudness", "missing.py:"])
def test_a_name_that_cannot_be_meant_is_refused(named: str) -> None:
    with pytest.raises(UsageError, match=r"--preprocessing FILE\.py:NAME"):
        PluginFrontend(named)


def test_a_window_on_which_the_function_fails_is_an_error_of_the_data(tmp_path: Path) -> None:
    guarded = GOOD.replace("    padded = np", "    assert waveform[0] != 7, 'seven'\n    padded = np")
    frontend = PluginFrontend(written(tmp_path, guarded))
    with pytest.raises(DataError, match="AssertionError: seven"):
        frontend(np.full(10, 7, np.float32))


def test_yamnets_front_end_is_the_published_one(shared: Path) -> None:
    frontend = PluginFrontend(YAMNET)
    published = np.load(shared / "models" / "yamnet" / "frontend.npz")
    assert (frontend.sampling_rate_hz, frontend.window, frontend.shape) == (16_000, 15_600, (1, 96, 64))
    waveform = noise(15_600)
    frames = np.stack([waveform[t * 160 : t * 160 + 400] for t in range(96)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    spectrum = np.abs(np.fft.rfft(frames * hann, 512))
    expected = np.log(spectrum @ published["mel"].T + published["bias"])
    np.testing.assert_allclose(frontend(waveform)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "name", "shape"),
    [("yamnet_preprocessing.py", "log_mel", (1, 96, 64)), ("words_preprocessing.py", "spectrogram", (3, 64, 64))],
)
def test_the_examples_keep_to_the_contract(file: str, name: str, shape: tuple[int, ...]) -> None:
    frontend = PluginFrontend(f"{ROOT / 'examples' / file}:{name}")
    assert frontend.shape == shape
    assert len(model_inputs(frontend, noise(3 * frontend.window))) > 3
