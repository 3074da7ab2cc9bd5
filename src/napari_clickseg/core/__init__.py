"""Values and pure functions: numpy, scipy and scikit-image only.

Of its modules, `voronoi` belongs to the public interface.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    if name == "voronoi":  # loaded when it is first used
        return import_module(f"{__name__}.voronoi")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
