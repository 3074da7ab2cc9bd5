"""Who is killed while annotating loses the last second at most, and nothing that was accepted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes can't be forked")
ROOT = Path(__file__).parents[4]


def outcomes(kills: int, seed: int, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "tests.napari.annotate.autosave.killed"]
    done = subprocess.run(
        [*command, str(kills), str(seed), str(folder)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280 if kills < 10 else 3000,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def all_kept(lines: list[str], kills: int) -> None:
    assert len(lines) == kills
    assert all(line.startswith("kept ") for line in lines), lines


def test_who_is_killed_while_annotating_loses_the_last_second_at_most(tmp_path: Path) -> None:
    all_kept(outcomes(3, 1, tmp_path), 3)


@pytest.mark.slow
@pytest.mark.timeout(3100)
def test_two_hundred_kills_take_nothing_that_was_accepted_a_second_before(tmp_path: Path) -> None:
    all_kept(outcomes(200, 1000, tmp_path), 200)
