"""Opening a widget takes a moment: what is slow to import waits until it is used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.gui

TOLD_ON_OPENING = """
import json, sys, time
import napari
viewer = napari.Viewer(show=True)
viewer.window.add_plugin_dock_widget  # what comes with napari is imported
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
told = []
for name in ("Train", "Annotate"):
    start = time.thread_time()
    _, widget = viewer.window.add_plugin_dock_widget("napari-clickseg", name)
    imported = sorted({"torch", "matplotlib", "sklearn", "pandas"} & sys.modules.keys())
    QApplication.processEvents()
    told.append((time.thread_time() - start, imported))
print(json.dumps([*told, widget.status.text.value]))
viewer.close()
"""


def test_opening_a_widget_imports_little_and_is_quick() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOLD_ON_OPENING],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    train, annotate, status = json.loads(done.splitlines()[-1])
    for seconds, imported in (train, annotate):
        assert imported == []
        assert seconds < 2, "0.3 s on an idle machine; benchmarks/ measures it"
    assert "Loading default" in status
