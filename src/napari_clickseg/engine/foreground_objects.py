"""Objects told apart by networks that never learned to: they answer with a foreground alone.

Networks that others trained give a probability of the foreground, with that of the boundaries
between objects at best. Where there is a boundary, objects are parted where it is likely; where
there is none, where the foreground is narrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.models.card import ObjectsSpec

if TYPE_CHECKING:
    from napari_clickseg.models.card import ModelCard

FloatArray = npt.NDArray[np.float32]
_BOUNDARY = ("boundar", "border", "edge", "contour", "outline", "membrane")  # how names begin
_PARTED = ObjectsSpec(seed_height=0.15, smallest=10)  # by a boundary
_NARROW = ObjectsSpec(seed_height=0.05, smallest=10)  # by width
_REACH = 64  # pixels from the edge, beyond which an object is not looked at any closer
_SMOOTH = 1.0  # pixels: edges have steps


def objects_spec(card: ModelCard) -> ObjectsSpec | None:
    """Return how a model's objects are told apart, where it was trained elsewhere as well.

    None where it can't tell any apart; `why_none` says why.
    """
    if card.objects is not None or why_none(card):
        return card.objects
    return _PARTED if _boundary(card) is not None else _NARROW


def why_none(card: ModelCard) -> str:
    """Say why a model can't tell objects apart; "" where it can."""
    if card.objects is not None:
        return ""
    if card.encoding != "image" or card.training:
        what = "tells no objects apart"
        if card.encoding != "image":
            what = "answers clicks, so it finds no objects by itself"
        return (
            f"The model '{card.name}' {what}; train one with the task instances "
            "(clickseg train --set task=instances)."
        )
    if len(card.classes) == 1 or _boundary(card) is not None:
        return ""
    return (
        f"The model '{card.name}' answers with {len(card.classes)} classes "
        f"({', '.join(card.classes[:4])}), and objects are told apart by one class, or by one and "
        "its boundary; import it again, and name them so: --classes cell,boundary."
    )


def class_of_objects(card: ModelCard) -> int:
    """Return the number of the class, from 1 on, that objects of a network with one class have."""
    return 2 if _boundary(card) == 1 else 1


def foreground_and_heights(
    card: ModelCard, probabilities: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the foreground (1, Y, X), and what stands for the distances in objects (2, Y, X).

    Parameters
    ----------
    card : ModelCard
        Of a model that learned no distances, and has an `objects_spec`.
    probabilities : float32 (outputs, Y, X)
        Of the foreground; or of background, and the class and its boundary.
    """
    boundary = _boundary(card)
    if boundary is None:
        foreground = probabilities[:1]
        height = _width(foreground[0] > 0.5)
    else:
        # What is boundary belongs to some object: the pixels around which two of them meet.
        foreground = 1 - probabilities[:1]
        height = 1 - probabilities[boundary]
    return foreground, np.repeat(height[None], 2, axis=0).astype(np.float32)


def _boundary(card: ModelCard) -> int | None:
    """Return the number of the class that is the other one's boundary, from 1 on."""
    if len(card.classes) != 2:
        return None
    names = [name.lower().split() for name in card.classes]
    are = [any(word.startswith(_BOUNDARY) for word in words) for words in names]
    return are.index(True) + 1 if sum(are) == 1 else None


def _width(inside: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Return how far pixels are from the edge, 0 … 1; a share of the way is a step everywhere.

    The logarithm makes small and large objects alike: two that overlap by a third of their width
    are parted by land that lies as low.
    """
    from scipy import ndimage

    if inside.all():  # nothing ends within what is seen
        return np.ones(inside.shape, np.float32)
    far = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), _SMOOTH)
    share: npt.NDArray[Any] = np.log1p(np.minimum(far, _REACH)) / np.log1p(_REACH)
    return share
