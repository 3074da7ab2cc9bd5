"""Shorter turns of the interpreter while a network answers beside the window.

PyTorch takes the interpreter anew for each of the hundreds of operations of a look. Where the main
thread is drawing, each of them waits for its turn: up to 5 ms, as Python is set, which makes a
look several times as long as it is by itself.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TURN = 0.0002  # seconds
_lock = threading.Lock()
_before: list[float] = []  # what it was before each of those who are at it


@contextmanager
def short_turns() -> Iterator[None]:
    """Have threads take turns quickly; the last one to end puts back what it was."""
    with _lock:
        _before.append(sys.getswitchinterval())
        sys.setswitchinterval(min(_TURN, _before[0]))
    try:
        yield
    finally:
        with _lock:
            first = _before[0]
            _before.pop()
            if not _before:
                sys.setswitchinterval(first)
