"""Make the demo's backbone anew: ``python scripts/pretrain_demo_backbone.py [OUT]``, a quarter of an hour on 2 cores.

OUT is src/graft/demo_assets/letters_backbone unless given; what it held is replaced, its README excepted.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from graft.api.demo import LETTERS_BACKBONE
from graft.api.letters import pretrain_letters

KEPT = ("config.json", "model.safetensors", "preprocessor_config.json", "pretrain.json")


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else LETTERS_BACKBONE
    with tempfile.TemporaryDirectory() as temporary:
        made = pretrain_letters(Path(temporary, "backbone"), work=Path(temporary, "letters"), console=Console())
        out.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            shutil.copyfile(made / name, out / name)
    print(out)


if __name__ == "__main__":
    main()
