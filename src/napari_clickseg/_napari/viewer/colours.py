"""The colours of classes and of ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.colormaps import CyclicLabelColormap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_clickseg.data.classes import ProjectClasses

__all__ = ["PALETTE", "class_colours", "colour_of", "colours_of", "label_colormap"]

# Okabe & Ito's colours, told apart by the colour-blind, without black.
PALETTE = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
_MOST = 255


def colour_of(identifier: int) -> str:
    """Return the colour of a class whose colour nobody said."""
    return PALETTE[(identifier - 1) % len(PALETTE)]


def class_colours(known: Mapping[int, str]) -> tuple[str, ...]:
    """Return the colours of ids, from 1: those that are known, and of the palette where none is."""
    last = min(_MOST, max(*known, len(PALETTE)))
    return tuple(known.get(i, colour_of(i)) for i in range(1, last + 1))


def colours_of(classes: ProjectClasses | None) -> tuple[str, ...]:
    """Return the colours of ids, from 1, where ids are classes; none where each is an object."""
    if classes is None or classes.scheme != "classes":
        return ()
    return class_colours({one.id: one.colour for one in classes.classes})


def label_colormap(colours: Sequence[str]) -> CyclicLabelColormap:
    """Return a colormap of labels, with colours of the ids from 1.

    A DirectLabelColormap would do, but has numba compile for seconds while the window is frozen.
    """
    return CyclicLabelColormap(colors=["transparent", *colours])
