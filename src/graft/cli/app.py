"""The application: the verbs, and how errors become one message and an exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any

from cyclopts import App, CycloptsError
from rich.console import Console

import graft
from graft.cli import chat, check, demo, doctor, evaluate, find_lr, fit, plan, predict, pretrain, rank, report
from graft.cli.config_file import with_config_file
from graft.core.errors import GraftError, Interrupted
from graft.core.job_errors import is_mine_to_tell, is_of_several, lost_another
from graft.core.processes import leave_processes

__all__ = ["app", "run"]

app = App(
    name="graft",
    help="Fine-tune a pretrained model on few labels, and know whether to trust it.",
    version=graft.__version__,
    version_flags=["--version"],
)
for _verb in (
    fit.fit,
    check.check,
    plan.plan,
    rank.rank,
    find_lr.find_lr,
    predict.predict,
    chat.chat,
    evaluate.evaluate,
    pretrain.pretrain,
    report.report,
    demo.demo,
    doctor.doctor,
):
    app.command(_verb)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. Of several processes of a job one tells what went wrong.

    Parameters
    ----------
    arguments : words after ``graft``.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    try:
        app(
            with_config_file(arguments),
            exit_on_error=False,
            print_error=False,
            console=Console(),
            result_action="return_value",
        )
        leave_processes()
        return 0
    except CycloptsError as error:
        code, word, told = 2, "error:", str(error)
    except KeyboardInterrupt:
        code, word, told = 130, "interrupted", ""
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except GraftError as error:
        code, word, told = error.exit_code, "interrupted:" if isinstance(error, Interrupted) else "error:", str(error)
    except MemoryError:
        code, word, told = 5, "error:", "out of memory. To fix: a smaller --batch-size or --workers 0"
    except Exception as error:
        if not is_of_several():
            raise
        if not is_mine_to_tell():
            return 1
        if not lost_another(error):
            raise
        errors.print("[bold red]error:[/bold red] another process of this job died; --resume goes on with the run")
        return 1
    if is_mine_to_tell():
        errors.print(f"[bold red]{word}[/bold red]", end=" " if told else "\n")
        errors.print(told, markup=False, end="\n" if told else "")
    return code


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
