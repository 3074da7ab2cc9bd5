"""Which labels that are open already belong to an image: what is clear, and what has to be asked.

What is not clear is never guessed: labels of another image would be learned from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Points

from napari_clickseg._napari.viewer.layers import companion_shape, full_resolution, unwrapped
from napari_clickseg._napari.viewer.metadata import is_under_review, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from napari.layers.base import Layer

# In the metadata of what goes with an image: which one, and whether points are positive clicks.
_IMAGE_KEY, _CLICKS_KEY = "napari-clickseg image", "napari-clickseg clicks"
_AFTER = re.compile(r"([\s_.\-(\[]|$)")  # the name of an image ends there


@dataclass(frozen=True, slots=True)
class LabelMatch:
    """Labels that belong to an image.

    Parameters
    ----------
    labels : Labels, optional
        Those that clearly do.
    possible : tuple of Labels
        Where none do: those that might, so that the user has to say.
    """

    labels: Labels | None = None
    possible: tuple[Labels, ...] = ()


def match_labels(
    image: Image,
    channel_axis: int | None,
    layers: Iterable[Layer],
    taken: Collection[Layer] = (),
) -> LabelMatch:
    """Find the open labels that belong to an image, without reading any.

    Labels belong to the image that they were made on, to the one of the same project's records, to
    the one whose name they begin with; or to the only image of their shape, if they are the only
    labels of it.

    Parameters
    ----------
    channel_axis : int, optional
        Its data axis that holds channels.
    taken : collection of Layer
        Those that go with other images, and what shows predictions.
    """
    every = [unwrapped(layer) for layer in layers]
    image = unwrapped(image)
    images = [one for one in every if isinstance(one, Image) and one not in taken]
    fitting = [
        one
        for one in every
        if isinstance(one, Labels)
        and one not in taken
        and not is_under_review(one)
        and _shape(one) == companion_shape(image, channel_axis)
    ]
    left = fitting
    for owners in (_made_on, _of_project, _named_after):
        own = [one for one in left if image in owners(one, images)]
        if own:
            return LabelMatch(own[0]) if len(own) == 1 else LabelMatch(None, tuple(own))
        # What is another image's can't be this one's.
        left = [one for one in left if not owners(one, images)]
    alike = [one for one in images if one is image or _could_go(one, left)]
    if len(left) == 1 and len(alike) == 1:
        return LabelMatch(left[0])
    return LabelMatch(None, tuple(left))


def images_under(
    labels: Labels, layers: Iterable[Layer], channel_axis: Callable[[Image], int | None]
) -> list[Image]:
    """Return the open images that labels lie on: those they belong to, else all of their shape.

    Parameters
    ----------
    channel_axis : callable
        Returns the data axis of an image that holds channels, if it has one. Labels without that
        axis, as other tools make them, lie on the image as well.
    """
    labels = unwrapped(labels)
    every = [one for one in map(unwrapped, layers) if isinstance(one, Image)]
    fitting = [one for one in every if _lies_on(labels, one, channel_axis(one))]
    for owners in (_made_on, _of_project, _named_after):
        own = [one for one in owners(labels, every) if one in fitting]
        if own:
            return own
    return fitting


def _lies_on(labels: Labels, image: Image, channel_axis: int | None) -> bool:
    shape = companion_shape(image, channel_axis)
    flat = tuple(n for axis, n in enumerate(shape) if axis != channel_axis)
    return _shape(labels) in (shape, flat)


def note_image(layer: Layer, image: Image, *, positive: bool | None = None) -> None:
    """Note with a layer that it goes with an image, for as long as that is open.

    Parameters
    ----------
    layer : Layer
        The labels, or the points.
    positive : bool, optional
        Of points: the polarity of the clicks that they show.
    """
    layer.metadata[_IMAGE_KEY] = _identity(image)
    if positive is not None:
        layer.metadata[_CLICKS_KEY] = positive


def clicks_of(image: Image, layers: Iterable[Layer], *, positive: bool) -> Points | None:
    """Return the points layer that shows the clicks of a polarity on an image, if there is one."""
    for layer in layers:
        noted = layer.metadata.get(_IMAGE_KEY), layer.metadata.get(_CLICKS_KEY)
        if isinstance(layer, Points) and noted == (_identity(image), positive):
            return layer
    return None


def _identity(image: Image) -> str:
    return str(unwrapped(image).unique_id)


def _made_on(labels: Labels, images: Sequence[Image]) -> list[Image]:
    noted = labels.metadata.get(_IMAGE_KEY)
    return [one for one in images if _identity(one) == noted]


def _of_project(labels: Labels, images: Sequence[Image]) -> list[Image]:
    origin = origin_of(labels)
    return [one for one in images if origin is not None and origin_of(one) == origin]


def _named_after(labels: Labels, images: Sequence[Image]) -> list[Image]:
    """Return the images whose name a labels layer begins with: those with the longest."""
    name = labels.name.lower()
    named = [
        one
        for one in images
        if name.startswith(one.name.lower()) and _AFTER.match(name[len(one.name) :])
    ]
    longest = max((len(one.name) for one in named), default=0)
    return [one for one in named if len(one.name) == longest]


def _could_go(image: Image, labels: Sequence[Labels]) -> bool:
    return any(_shape(one) == companion_shape(image, None) for one in labels)


def _shape(labels: Labels) -> tuple[int, ...]:
    data: Any = full_resolution(labels)
    return tuple(int(n) for n in data.shape)
