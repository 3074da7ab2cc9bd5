"""Click segmentation for napari: say what you see with clicks.

The names below are loaded when they are first used; importing the package loads neither torch
nor Qt.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_clickseg.core.clicks import Click, ClickError, PromptError
    from napari_clickseg.core.masks import Refinement
    from napari_clickseg.core.source import ImageError
    from napari_clickseg.engine.segmenter import (
        DeviceError,
        Prediction,
        Segmenter,
        Session,
        load_segmenter,
    )
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.models.checkpoint import ModelFileError
    from napari_clickseg.models.registry import list_models

try:
    __version__ = version("napari-clickseg")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

_HOMES = {
    "Click": "core.clicks",
    "ClickError": "core.clicks",
    "DeviceError": "engine.segmenter",
    "ImageError": "core.source",
    "ModelCard": "models.card",
    "ModelFileError": "models.checkpoint",
    "Prediction": "engine.segmenter",
    "PromptError": "core.clicks",
    "Refinement": "core.masks",
    "Segmenter": "engine.segmenter",
    "Session": "engine.segmenter",
    "list_models": "models.registry",
    "load_segmenter": "engine.segmenter",
}

__all__ = [
    "Click",
    "ClickError",
    "DeviceError",
    "ImageError",
    "ModelCard",
    "ModelFileError",
    "Prediction",
    "PromptError",
    "Refinement",
    "Segmenter",
    "Session",
    "__version__",
    "list_models",
    "load_segmenter",
]


def __getattr__(name: str) -> Any:
    if name == "core":  # so that clickseg.core.voronoi needs no import of its own
        return import_module(f"{__name__}.core")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
