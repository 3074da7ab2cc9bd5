from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.gui, pytest.mark.slow]


def test_the_demo_segments_a_coin_and_shows_it(tmp_path: Path) -> None:
    """With the bundled model, real mouse events and nobody at the screen."""
    clickseg = f"{os.path.dirname(sys.executable)}/clickseg"
    done = subprocess.run(
        [clickseg, "demo", "--out", tmp_path / "out"],
        env=os.environ | {"NAPARI_CONFIG": str(tmp_path / "settings.yaml")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    match = re.search(r"IoU (\d\.\d+) after \d clicks?", done.stdout)
    assert match, done.stderr
    assert float(match[1]) >= 0.8
    assert done.returncode == 0
    assert (tmp_path / "out" / "demo.png").stat().st_size > 10_000
    assert not (tmp_path / "home").exists(), "nothing is left to be offered the next time"
