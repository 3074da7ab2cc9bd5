"""Packages that a format needs and an installation may lack."""

from __future__ import annotations

import importlib
from typing import Any

from napari_clickseg.formats.annotated import FormatError


def package(name: str) -> Any:
    """Import a package of the extra `formats`.

    Raises
    ------
    FormatError
        If it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise FormatError(
            f"This needs the package {name}: pip install 'napari-clickseg[formats]'."
        ) from error
