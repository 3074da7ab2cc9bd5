"""Packages that a file needs and an installation may lack."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from napari_clickseg.core.source import ImageError

if TYPE_CHECKING:
    from pathlib import Path


def needed(path: Path, module: str, extra: str) -> Any:
    """Import a module that reads a file.

    Parameters
    ----------
    path : Path
        What messages name.
    extra : str
        The extra of this package that brings it.

    Raises
    ------
    ImageError
        If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImageError(
            f"{path} needs the package {package}: pip install 'napari-clickseg[{extra}]'."
        ) from error
