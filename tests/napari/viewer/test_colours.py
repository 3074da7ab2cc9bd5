from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from napari.utils.colormaps import label_colormap

from napari_clickseg._napari.viewer.colours import object_colours, same_colours, shade

BLUE, ORANGE = "#56B4E9", "#E69F00"


@given(st.integers(1, 10_000))
def test_the_shades_of_a_colour_are_colours(number: int) -> None:
    assert all(0 <= part <= 1 for part in shade(BLUE, number))
    assert shade(BLUE, number)[3] == 1


def test_the_first_object_has_the_colour_itself_and_neighbours_are_told_apart() -> None:
    assert np.allclose(shade(BLUE, 1)[:3], np.array([0x56, 0xB4, 0xE9]) / 255)
    some = [np.array(shade(BLUE, n)) for n in range(1, 9)]
    assert min(np.abs(a - b).max() for a, b in itertools.pairwise(some)) > 0.05


def test_a_shade_is_nearer_to_its_own_class_than_to_another() -> None:
    away = lambda a, b: float(np.abs(np.array(a) - np.array(b)).sum())  # noqa: E731
    for n in range(1, 200):
        assert away(shade(BLUE, n), shade(BLUE, 1)) < away(shade(BLUE, n), shade(ORANGE, 1))


def test_objects_have_shades_of_their_class_and_all_else_is_as_it_was() -> None:
    before = label_colormap()
    colours = object_colours({1: BLUE, 2: ORANGE}, {3: 1, 70: 2}, before)
    assert np.allclose(colours.map(3), shade(BLUE, 3))
    assert np.allclose(colours.map(70), shade(ORANGE, 70))
    assert np.allclose(colours.map(5), before.map(5))
    assert np.allclose(colours.map(0), 0)


@given(
    st.dictionaries(st.integers(1, 3000), st.integers(1, 2), max_size=6),
    st.lists(st.integers(1, 3000), min_size=1, max_size=6),
    st.integers(3, 90),
)
def test_an_id_without_a_class_looks_alike_whichever_others_have_one(
    class_of: dict[int, int], ids: list[int], length: int
) -> None:
    before = label_colormap(length)
    colours = object_colours({1: BLUE, 2: ORANGE}, class_of, before, 3000)
    for one in ids:
        if one not in class_of:
            assert np.allclose(colours.map(one), before.map(one)), one
    for one, of in class_of.items():
        assert np.allclose(colours.map(one), shade((BLUE, ORANGE)[of - 1], one)), one


def test_ids_beyond_any_map_are_no_reason_to_stop() -> None:
    colours = object_colours({1: BLUE}, {4_000_000_000: 1}, label_colormap())
    assert len(colours.colors) <= 1 << 16
    assert np.allclose(colours.map(3_999_999_999), label_colormap().map(3_999_999_999))


def test_colours_are_compared_by_what_they_show() -> None:
    one, same = (object_colours({1: BLUE}, {3: 1}, label_colormap()) for _ in range(2))
    other = object_colours({1: ORANGE}, {3: 1}, label_colormap())
    assert same_colours(one, same) and not same_colours(one, other)
