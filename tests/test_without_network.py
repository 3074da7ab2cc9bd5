"""Nothing of ours asks the network unasked: the main jobs run where each connection is an error."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from napari_clickseg.data.writer import ProjectWriter

if TYPE_CHECKING:
    from pathlib import Path

# Runs commands, one after the other: whatever resolves a name or connects ends it.
NO_NETWORK = """
import json, sys

def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        family = getattr(args[0], "family", None) if args else None
        if event == "socket.connect" and family is not None and family.name == "AF_UNIX":
            return
        sys.stderr.write(f"asked the network: {event} {args[1:]}\\n")
        sys.stderr.flush()
        import os
        os._exit(97)

sys.addaudithook(refuse)
from napari_clickseg.cli import main
sys.exit(max(main(words) for words in json.loads(sys.argv[1])))
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    writer = ProjectWriter(tmp_path / "project")
    rng = np.random.default_rng(0)
    for i in range(4):
        labels = np.zeros((64, 64), np.uint8)
        labels[10 + i : 30 + i, 12:40] = 1
        labels[40:56, 20 + i : 44 + i] = 2
        image = (60 + 100 * (labels > 0) + rng.normal(0, 8, labels.shape)).clip(0, 255)
        writer.add(f"{i}", image.astype(np.uint8), labels)
    return tmp_path / "project"


def _run(*commands: list[str | Path]) -> subprocess.CompletedProcess[str]:
    words = json.dumps([[str(word) for word in command] for command in commands])
    return subprocess.run(
        [sys.executable, "-c", NO_NETWORK, words],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_connection_would_be_noticed(tmp_path: Path) -> None:
    done = _run(["models", "add", "https://example.org/model.safetensors"])
    assert done.returncode == 97
    assert "asked the network" in done.stderr


def test_predicting_a_project_and_training_on_it_ask_nothing(project: Path, tmp_path: Path) -> None:
    image = project / "images" / "0.png"
    settings = ["epochs=1", "windows=4", "batch=2", "size=64", "device=cpu"]
    done = _run(
        ["predict", image, "--positive", "20,25", "--out", tmp_path / "mask.tif"],
        ["train", project, "--out", tmp_path / "run", *(f"--set={one}" for one in settings)],
    )
    assert done.returncode == 0, done.stderr
    assert (tifffile.imread(tmp_path / "mask.tif") > 0).any()
    assert (tmp_path / "run" / "best.safetensors").exists()
