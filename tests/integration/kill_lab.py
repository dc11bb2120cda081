"""Imports once, then runs one command again and again in forked children that die by SIGKILL as planned.

Usage: kill_lab.py WORDS PLAN, both JSON. Each entry of PLAN is {}, {"rename": k} (die before the k-th rename) or
{"after_s": t}. From the second on the command has --resume. Prints how each ended, as a JSON list in the last line.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"

import datasets  # noqa: F401
import torch  # noqa: F401
import transformers  # noqa: F401
from transformers import AutoImageProcessor, AutoModelForImageClassification  # noqa: F401

import graft.api.stations  # noqa: F401
from graft.cli.app import run


def count_renames(die_before: int | None, file: str) -> None:
    """Count every rename of this process in `file`; die before the given one."""
    n = 0

    def counted(original):  # type: ignore[no-untyped-def]
        def call(*arguments, **more):  # type: ignore[no-untyped-def]
            nonlocal n
            n += 1
            with open(file, "w") as told:
                told.write(str(n))
            if n == die_before:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **more)

        return call

    os.replace = counted(os.replace)
    os.rename = counted(os.rename)
    pathlib.Path.rename = counted(pathlib.Path.rename)


def main() -> None:
    """Follow the plan."""
    words, plan = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    ended = []
    for number, entry in enumerate(plan):
        log, counter = tempfile.mkstemp()[1], tempfile.mkstemp()[1]
        started = time.perf_counter()
        child = os.fork()
        if child == 0:
            out = os.open(log, os.O_WRONLY)
            os.dup2(out, 1)
            os.dup2(out, 2)
            count_renames(entry.get("rename"), counter)
            code = 99
            try:
                code = run([*words, *(["--resume"] if number else [])])
                sys.stdout.flush()
            finally:
                os._exit(code)
        if "after_s" in entry:
            time.sleep(entry["after_s"])
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with open(counter) as told:
            renames = int(told.read() or 0)
        with open(log) as told:
            said = told.read()
        seconds = time.perf_counter() - started
        ended.append(
            {"code": status, "renames": renames, "seconds": seconds, "said": "" if status == 0 else said[-600:]}
        )
        pathlib.Path(log).unlink()
        pathlib.Path(counter).unlink()
    print(json.dumps(ended))


if __name__ == "__main__":
    main()
