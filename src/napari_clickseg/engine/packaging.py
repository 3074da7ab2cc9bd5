"""What a package of bioimage.io says beyond the model's card; importing it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_NOT_STATED = ("", "not stated")


@dataclass(frozen=True, slots=True)
class Pixels:
    """One plane of an image that is open.

    Parameters
    ----------
    data : array (Y, X) or (Y, X, C), or a list of them
        As `Segmenter.start` takes it.
    """

    data: Any
    rgb: bool


@dataclass(frozen=True, slots=True)
class Packaging:
    """What a package says beyond the model's card.

    Parameters
    ----------
    image : Path or Pixels
        One plane, for the test tensors and the cover.
    clicks : sequence of (float, float)
        Positive clicks on it, y and x in pixels; needed by models that need clicks.
    licence : str
        As SPDX calls it; "": the card's.
    """

    image: Path | Pixels
    clicks: Sequence[tuple[float, float]] = ()
    authors: tuple[str, ...] = ()
    licence: str = ""


def is_licence(text: str) -> bool:
    """Whether a card's licence says under which a package may go out."""
    return text not in _NOT_STATED
