"""Importing torch beside a window disturbs it little, and leaves the interpreter as it was."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from napari_clickseg.models import _torch
from napari_clickseg.models._torch import beside_a_window


@pytest.mark.parametrize("collecting", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_garbage_waits_until_torch_is_imported_and_all_is_as_before(
    monkeypatch: pytest.MonkeyPatch, collecting: bool, fails: bool
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(_torch, "_open_libraries", lambda: None)  # they are open
    turn, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    (gc.enable if collecting else gc.disable)()
    try:
        with beside_a_window():
            assert not gc.isenabled() and sys.getswitchinterval() < turn
            if fails:
                raise ImportError
    except ImportError:
        assert fails
    now = gc.isenabled()
    gc.enable()
    assert now == collecting
    assert sys.getswitchinterval() == turn
    # Of objects that others froze some may have died since; none were thawed or frozen here.
    assert 0.9 * frozen <= gc.get_freeze_count() <= frozen


def test_nothing_is_done_where_torch_is_imported_already() -> None:
    import torch  # noqa: F401

    turn = sys.getswitchinterval()
    with beside_a_window():
        assert gc.isenabled() and sys.getswitchinterval() == turn


OPENED = """
from pathlib import Path
from napari_clickseg.models._torch import beside_a_window
with beside_a_window():
    maps = Path("/proc/self/maps").read_text()
    assert "libtorch_cpu" in maps and "libtorch_python" not in maps
    import torch
assert torch.ones(3).sum() == 3
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only done on Linux")
def test_torchs_libraries_are_open_before_it_is_imported() -> None:
    subprocess.run([sys.executable, "-c", OPENED], check=True, timeout=300)
