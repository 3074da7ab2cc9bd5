"""Half-written files of a process that was killed go at the next start, those of others stay."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from napari_clickseg.runs.conduct import conducted
from napari_clickseg.runs.log import EventLog
from napari_clickseg.util.files import begin

if TYPE_CHECKING:
    from pathlib import Path

BEGUN = """
import os, sys
from pathlib import Path
from napari_clickseg.util.files import begin
begin(Path(sys.argv[1])).write_bytes(bytes(1000))
os._exit(9)
"""


def test_what_a_killed_run_was_writing_goes_when_it_is_resumed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", BEGUN, str(tmp_path / "last.ckpt")], check=False)
    assert len(list(tmp_path.glob(".partial-*"))) == 1
    ours = begin(tmp_path / "report.md")  # of a process that is alive
    with conducted(EventLog(tmp_path)):
        assert list(tmp_path.glob(".partial-*")) == [ours]
