"""Makes importing torch safe in a process that draws with Mesa.

Mesa's software and AMD drivers bring LLVM, and so does triton, which torch imports on Linux if it
is there. With both in one process the second crashes it (segmentation fault in libtriton). Nothing
here needs triton, so it is kept out where Mesa's LLVM is loaded already.
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["keep_triton_out"]

_MAPS = Path("/proc/self/maps")


def keep_triton_out() -> bool:
    """Keep torch from importing triton if that would crash; return whether it was necessary."""
    if not sys.platform.startswith("linux") or "triton" in sys.modules or not _MAPS.exists():
        return False
    maps = _MAPS.read_text(errors="replace")
    if "libLLVM" not in maps and "libgallium" not in maps:
        return False
    sys.modules["triton"] = None  # type: ignore[assignment]  # makes `import triton` fail cleanly
    return True
