"""The application: the verbs, and how errors become one message and an exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Any

from cyclopts import App, CycloptsError
from rich.console import Console

import graft
from graft.cli import demo, doctor, evaluate, fit, predict, pretrain
from graft.cli.config_file import with_config_file
from graft.core.errors import GraftError, Interrupted

__all__ = ["app", "run"]

app = App(
    name="graft",
    help="Fine-tune a pretrained model on few labels, and know whether to trust it.",
    version=graft.__version__,
    version_flags=["--version"],
)
for _verb in (fit.fit, predict.predict, evaluate.evaluate, pretrain.pretrain, demo.demo, doctor.doctor):
    app.command(_verb)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments : words after ``graft``.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app(
            with_config_file(arguments),
            exit_on_error=False,
            print_error=False,
            console=Console(),
            result_action="return_value",
        )
    except CycloptsError as error:
        errors.print(f"[bold red]error:[/bold red] {_plain(error)}")
        return 2
    except KeyboardInterrupt:
        errors.print("[bold red]interrupted[/bold red]")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except GraftError as error:
        word = "interrupted:" if isinstance(error, Interrupted) else "error:"
        errors.print(f"[bold red]{word}[/bold red]", end=" ")
        errors.print(str(error), markup=False)
        return error.exit_code
    except MemoryError:
        errors.print("[bold red]error:[/bold red] out of memory. To fix: a smaller --batch-size or --workers 0")
        return 5
    return 0


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _plain(error: CycloptsError) -> str:
    from rich.markup import escape

    return escape(str(error))
