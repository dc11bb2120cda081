"""With local data and weights no socket is opened: not by Graft, not by what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SITE = """
import os, socket, sys
if os.environ.get("GRAFT_NO_SOCKETS"):
    def _audit(event, arguments):
        if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
            where = arguments[1] if event == "socket.connect" else arguments
            if event == "socket.connect" and isinstance(where, (str, bytes)):
                return  # a Unix socket: data workers talk through them
            with open(os.environ["GRAFT_NO_SOCKETS"], "a") as file:
                file.write(f"{event} {where}\\n")
            raise OSError("no network here")
    sys.addaudithook(_audit)
"""


def test_an_offline_fit_opens_no_socket(
    environment: dict[str, str], pictures: Path, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITE)
    told = tmp_path / "sockets.txt"
    without = {k: v for k, v in environment.items() if k not in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")}
    command = (
        environment
        | without
        | {
            "PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}",
            "GRAFT_NO_SOCKETS": str(told),
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
        }
    )
    check = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 9), 1)"],
        env=command, capture_output=True, text=True,
    )  # fmt: skip
    assert check.returncode != 0
    assert told.exists(), "the trap does not work, so this test would prove nothing"
    told.unlink()
    words = ["fit", str(pictures), "--model", str(checkpoint), "--out", str(tmp_path / "run"), "--workers", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "graft", *words, "--cache", str(tmp_path / "cache")],
        env=command,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not told.exists(), told.read_text()
