"""Colours that mean different things are told apart by the colour-blind, too."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_clickseg._napari.viewer.colours import PALETTE, shade
from napari_clickseg._napari.viewer.layers import NEGATIVE, POSITIVE
from napari_clickseg.comparing import plots as comparing
from napari_clickseg.crossfit import plots as crossfit
from napari_clickseg.pictures.outcomes import COLOURS
from napari_clickseg.pictures.panels import _OBJECTS
from tests.colour_vision import nearest

SETS = {
    "clicks": ((POSITIVE, NEGATIVE), 20),
    "right and wrong": (tuple(COLOURS.values()), 13),
    "classes": (PALETTE, 10),
    "objects in panels": (_OBJECTS, 10),
    "kinds of pictures in a report": (crossfit._COLOURS, 10),
    "ways that are compared": (comparing._COLOURS[:6], 10),
}


@pytest.mark.parametrize("what", SETS)
def test_colours_of_a_kind_differ_to_every_eye(what: str) -> None:
    """A difference of 10 (CIEDE2000) is seen at a glance, of 1 by looking closely."""
    colours, least = SETS[what]
    difference, *which = nearest(colours)
    assert difference >= least, which


def test_what_is_measured_is_the_difference_that_is_seen() -> None:
    assert nearest(("#000000", "#FFFFFF"))[0] > 90
    assert nearest(("#1FA84A", "#E0342B"))[:2] < (7, "e"), "the usual green and red"
    assert nearest(("#1FA84A", "#E0342B"))[1] == "deuteranopia"


@pytest.mark.parametrize("colour", PALETTE)
def test_two_objects_of_a_class_are_told_apart_whichever_ids_they_have(colour: str) -> None:
    """Which of them touch nobody knows, so all pairs count."""
    shades = rgb2lab(np.array([[shade(colour, n)[:3] for n in range(1, 301)]]))[0]
    one, other = np.triu_indices(len(shades), 1)
    difference = deltaE_ciede2000(shades[one], shades[other])
    assert (difference < 5).mean() < 0.12, "alike at a glance"
    assert (difference < 2).mean() < 0.02, "alike"
