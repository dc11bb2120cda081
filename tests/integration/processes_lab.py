"""Several runs one after the other in the same processes, which saves their start.

Usage, with torchrun: processes_lab.py CALLS, a JSON list of arguments of `graft.fit`. What each process has for an
error goes to ``rank-<rank>.json`` in the working folder.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from graft.api.fit import fit
from graft.core.errors import GraftError


def main() -> None:
    """Make every call."""
    errors = []
    for call in json.loads(sys.argv[1]):
        try:
            fit(**call)
            errors.append("")
        except GraftError as error:
            errors.append(str(error))
    Path(f"rank-{os.environ['RANK']}.json").write_text(json.dumps(errors))


if __name__ == "__main__":
    main()
