from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from graft.core.memory import is_out_of_memory, keep_freed_pages, peak_memory_mib, seconds_since_process_start


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (OSError("No space left on device"), False),
    ],
)
def test_which_errors_mean_that_memory_ran_out(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_what_torch_really_raises_counts() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_the_off_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_KEEP_PAGES", "0")
    assert keep_freed_pages() is False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_pages_are_kept_with_glibc() -> None:
    program = "from graft.core.memory import keep_freed_pages; print(keep_freed_pages())"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert told in ("True", "False")
    assert told == "True" or "glibc" not in __import__("platform").libc_ver()[0]


def test_the_peak_grows_with_what_is_held() -> None:
    before = peak_memory_mib()
    held = np.ones(int((before + 50) * (1 << 20) / 8))
    assert peak_memory_mib() > before + 20
    assert held[-1] == 1


def test_the_age_of_this_process_grows() -> None:
    first = seconds_since_process_start()
    assert 0 < first <= seconds_since_process_start() < 86_400
