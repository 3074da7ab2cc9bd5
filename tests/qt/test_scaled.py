"""Texts are not cut where the screen is small and scaled. Qt reads the factor when it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.gui, pytest.mark.slow]


@pytest.mark.parametrize(
    ("factor", "width", "height"), [("1.25", 1280, 800), ("2", 2560, 1600)], ids=["125 %", "200 %"]
)
def test_no_text_is_cut_on_a_scaled_screen(factor: str, width: int, height: int) -> None:
    """All five widgets on laptops' screens, each fold open, with everything that they may say."""
    here = Path(__file__).parents[2]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "tests/qt/scaled.py", "-q", "-p", "no:xdist"),
            *("-p", "no:cacheprovider", "--no-cov", "-o", f"xvfb_width={width}"),
            *("-o", f"xvfb_height={height}"),
        ],
        cwd=here,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "DISPLAY"))}
        | {"QT_SCALE_FACTOR": factor},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "1 passed" in done.stdout
