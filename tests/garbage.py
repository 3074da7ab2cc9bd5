"""What tests have imported stays: the garbage collector need not look through it each time.

It takes a quarter of a second for torch and napari, every few tests.
"""

from __future__ import annotations

import gc
import sys

_imported = 0  # modules that are left alone; gc.get_freeze_count would count every single object


def leave_alone_what_stays() -> None:
    """Leave alone what was imported since; called between tests, when there is little else."""
    if len(sys.modules) > _imported + 50:
        leave_alone()


def leave_alone() -> None:
    """Leave alone whatever there is."""
    global _imported
    gc.collect()
    gc.freeze()
    _imported = len(sys.modules)


def look_through_all() -> None:
    """Collect also what was left alone."""
    global _imported
    gc.unfreeze()
    gc.collect()
    _imported = 0
