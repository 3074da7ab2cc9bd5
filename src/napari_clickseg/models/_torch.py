"""Makes importing torch safe in a process that draws with Mesa, and bearable beside a window.

Mesa's software and AMD drivers bring LLVM, and so does triton, which torch imports on Linux if it
is there. With both in one process the second crashes it (segmentation fault in libtriton). Nothing
here needs triton, so it is kept out where Mesa's LLVM is loaded already.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAPS = Path("/proc/self/maps")
_TURN = 0.001  # seconds after which a thread that waits for the interpreter gets it


def keep_triton_out() -> bool:
    """Keep torch from importing triton if that would crash; return whether it was necessary."""
    if not sys.platform.startswith("linux") or "triton" in sys.modules or not _MAPS.exists():
        return False
    maps = _MAPS.read_text(errors="replace")
    if "libLLVM" not in maps and "libgallium" not in maps:
        return False
    sys.modules["triton"] = None  # type: ignore[assignment]  # makes `import triton` fail cleanly
    return True


@contextmanager
def beside_a_window() -> Iterator[None]:
    """Import torch, and what comes with it, without holding other threads for long.

    What held them was garbage collection, which goes through all that lives again and again while
    so much is imported, and opening torch's libraries. So neither is done while holding the
    interpreter, and threads take turns more often. For a worker thread; does nothing where torch
    is imported already.
    """
    if "torch" in sys.modules:
        yield
        return
    collecting, turn = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(_TURN)
    try:
        _open_libraries()
        yield
    finally:
        sys.setswitchinterval(turn)
        if collecting:
            _call_all_old()
            gc.enable()


def _open_libraries() -> None:
    """Open torch's libraries with the interpreter free; importing finds them open.

    Only those that know nothing of Python. Where that can't be done, importing opens them.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        spec = find_spec("torch")
        opened = ctypes.CDLL(None).dlopen  # a call of ctypes frees the interpreter, CDLL() does not
    except (ImportError, AttributeError, ValueError, OSError):
        return
    if spec is not None and spec.origin is not None:
        library = Path(spec.origin).parent / "lib" / "libtorch.so"
        opened.restype = ctypes.c_void_p
        opened(os.fsencode(library), ctypes.c_int(os.RTLD_NOW))


def _call_all_old() -> None:
    """Have garbage collection take all that lives for old, without looking at it."""
    if not gc.get_freeze_count():  # else somebody's frozen objects would be thawed
        gc.freeze()
        gc.unfreeze()
