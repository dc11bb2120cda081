"""Which process of a job tells of an error: one, and the main one where it has the error too.

When a process ends with an error, the launcher ends the others, and whatever they wait for fails. Their troubles are
not worth telling. So the processes of a job agree through the launcher's key-value store on who tells.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Final

__all__ = ["is_mine_to_tell", "is_of_several", "lost_another"]

_GRACE_S: Final = 3.0  # that the main process has to tell the same error first


def is_of_several() -> bool:
    """Return whether this process is one of several of a job."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1


def is_mine_to_tell() -> bool:
    """Return whether this process is to tell the error that it ends with; to be asked once, right before it ends.

    A process other than the main one waits a little, so that the main one tells what all have run into.
    """
    if not is_of_several():
        return True
    for number in (signal.SIGTERM, signal.SIGINT):  # the launcher ends all once the first has ended
        signal.signal(number, signal.SIG_IGN)
    is_main = os.environ.get("RANK", "0") == "0"
    key = "graft-error-" + os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        store = _store()
        until = time.monotonic() + _GRACE_S
        while not is_main and time.monotonic() < until and not store.check([key]):
            time.sleep(0.05)
        return bool(store.add(key, 1) == 1)
    except (KeyError, RuntimeError, ValueError):  # no store, or it ended with the main process
        return is_main


def lost_another(error: Exception) -> bool:
    """Return whether the error is that another process of the job is gone."""
    return is_of_several() and any(word in str(error) for word in ("gloo", "Gloo", "NCCL", "Connection reset by peer"))


def _store() -> Any:
    from datetime import timedelta

    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    return TCPStore(*place, is_master=False, timeout=timedelta(seconds=5))
