"""The colours of classes and of ids: each object has a shade of its class's."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import CyclicLabelColormap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from napari_clickseg.data.classes import ProjectClasses

# Okabe & Ito's colours, told apart by the colour-blind, without black.
PALETTE = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
BY_SCORE = "clickseg scores"  # the name of a colormap
_SURE = ("#D55E00", "#F0E442", "#56B4E9", "#0072B2")  # from the least certain on
_SCORED = 1 << 16  # ids that have a colour of their own there
_MOST = 255
# Steps that spread evenly in three directions, however many there are (Roberts' R3 sequence). The
# golden ratio's powers do not: it and its square make 1, so one direction follows the other.
_STEPS = tuple(1.2207440846**-k for k in (1, 2, 3))
_LIGHTER, _HUE, _PALER = 0.42, 0.07, 0.6  # how far shades go apart, of 1
_FEWEST = 64  # ids with a colour of their own
_MOST_COLOURS = 1 << 16  # of a map, the background's included; napari takes no more
_BLOCK = 1 << 10  # shades that are worked out at once


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


def shade(colour: str, number: int) -> tuple[float, float, float, float]:
    """Return one of the shades of a colour; any two are told apart, but for a few.

    Parameters
    ----------
    colour : str
        ``#RRGGBB``.
    number : int
        From 1, which is the colour itself.

    Returns
    -------
    (float, float, float, float)
        Red, green, blue and alpha, 0 … 1.
    """
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    if number <= 1:
        return red, green, blue, 1.0
    hue, light, full = colorsys.rgb_to_hls(red, green, blue)
    lighter, turned, paler = ((number - 1) * step % 1 for step in _STEPS)
    light = min(0.85, max(0.25, light + _LIGHTER * (lighter - 0.5)))
    hue, full = (hue + _HUE * (turned - 0.5)) % 1, full * (1 - _PALER * paler)
    return (*colorsys.hls_to_rgb(hue, light, full), 1.0)


@lru_cache(maxsize=64)  # all of them are asked for at each object that is accepted
def _shades(colour: str, first: int) -> npt.NDArray[np.float64]:
    """Return a block of a colour's shades, from a number on, (_BLOCK, 4)."""
    return np.array([shade(colour, first + n) for n in range(_BLOCK)])


def object_colours(
    classes: Mapping[int, str], class_of: Mapping[int, int], others: Any, largest: int = 0
) -> CyclicLabelColormap:
    """Return a colormap in which objects have shades of their class's colour.

    All else looks as it did, whichever objects have a class: an id's colour hangs on its own
    class alone.

    Parameters
    ----------
    classes : mapping of int to str
        The colour ``#RRGGBB`` of each class.
    class_of : mapping of int to int
        The class of each object, by its id.
    others : CyclicLabelColormap
        Says what all else looks like.
    largest : int
        The largest id that anything has. Beyond 65,500 or so colours come again.
    """
    cycle: npt.NDArray[Any] = np.array(others.colors, float)[1:]
    ids = np.fromiter(class_of, np.int64, len(class_of))
    known = np.fromiter(class_of.values(), np.int64, len(class_of))
    last = max(int(ids.max(initial=0)), largest, _FEWEST)
    # In steps, as a map of another length is drawn anew; of whole cycles, as napari goes through
    # the colours again for ids beyond.
    wanted = 1 << (-(-last // len(cycle)) - 1).bit_length()
    cycles = max(1, min(wanted, (_MOST_COLOURS - 1) // len(cycle)))
    colours = np.concatenate([np.zeros((1, 4)), np.tile(cycle, (cycles, 1))])
    for one in np.unique(known).tolist():
        mine = ids[(known == one) & (ids > 0) & (ids < len(colours))]
        if one in classes and len(mine):
            colours[mine] = _shades_of(classes[one], mine)
    return CyclicLabelColormap(colors=colours)


def _shades_of(colour: str, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    blocks, inside = np.divmod(numbers, _BLOCK)
    shades = np.empty((len(numbers), 4))
    for block in np.unique(blocks).tolist():
        mine = blocks == block
        shades[mine] = _shades(colour, block * _BLOCK)[inside[mine]]
    return shades


def score_colours(scores: Mapping[int, float]) -> CyclicLabelColormap:
    """Return a colormap in which objects go from orange, the least certain, to blue, the surest.

    Parameters
    ----------
    scores : mapping of int to float
        Of objects, by their ids; all others are grey.
    """
    ids = np.fromiter(scores, np.int64, len(scores))
    values = np.fromiter(scores.values(), np.float64, len(scores))
    count = min(_SCORED, max(_FEWEST, 1 << (int(ids.max(initial=0)) + 1).bit_length()))
    colours = np.tile(np.array([0.6, 0.6, 0.6, 1.0]), (count, 1))
    colours[0] = 0
    low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    sure = (values - low) / (high - low) if high > low else np.ones(len(values))
    known = ids < count
    at = np.linspace(0, 1, len(_SURE))
    for channel in range(3):
        stops = [int(colour[1 + 2 * channel : 3 + 2 * channel], 16) / 255 for colour in _SURE]
        colours[ids[known], channel] = np.interp(sure[known], at, stops)
    return CyclicLabelColormap(colors=colours, name=BY_SCORE)


def same_colours(first: Any, second: Any) -> bool:
    """Whether two colormaps show every id alike."""
    alike = type(first) is type(second) and isinstance(first, CyclicLabelColormap)
    return bool(alike and np.array_equal(first.colors, second.colors))
