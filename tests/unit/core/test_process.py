"""The process's end, and imports without Python's collector."""

from __future__ import annotations

import gc
import subprocess
import sys

from graft.core.process import uncollected


def test_the_collector_is_off_inside_and_as_it_was_after() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_leaving_flushes_runs_what_was_registered_and_keeps_the_code() -> None:
    ended = _run(
        "import atexit\nfrom graft.core.process import leave_process\n"
        "atexit.register(print, 'registered')\nprint('written', end=' ')\nleave_process(3)"
    )
    assert (ended.returncode, ended.stdout.split()) == (3, ["written", "registered"])


def test_leaving_waits_for_a_thread_that_works() -> None:
    ended = _run(
        "import threading, time\nfrom graft.core.process import leave_process\n"
        "threading.Thread(target=lambda: (time.sleep(0.5), print('done'))).start()\nleave_process(0)"
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "done")
