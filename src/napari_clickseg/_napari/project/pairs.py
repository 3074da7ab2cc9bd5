"""Which layers belong together as image and annotation, and what is in them.

`pairs_of` and `snapshot` look at layers, so they belong on the main thread; a snapshot may be read
on any thread.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from napari_clickseg._napari.annotate.pairing import Pairing, finish_writing
from napari_clickseg._napari.viewer.features import noted_in, saved_notes
from napari_clickseg._napari.viewer.label_matching import images_under, match_labels
from napari_clickseg._napari.viewer.layers import (
    CompanionError,
    check_companion,
    full_resolution,
    unwrapped,
)
from napari_clickseg._napari.viewer.metadata import (
    ObjectClasses,
    Origin,
    complete_planes,
    empty_planes,
    is_explaining,
    is_under_review,
    origin_of,
    saved_classes,
)
from napari_clickseg._napari.viewer.pixels import pixel_size_of
from napari_clickseg._napari.viewer.planes import PlaneData
from napari_clickseg.core.plane import Plane

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt
    from napari.components import Dims, ViewerModel
    from napari.layers.base import Layer

    from napari_clickseg._napari.viewer.writes import Write
    from napari_clickseg.data.annotations import ObjectNote
    from napari_clickseg.data.classes import ProjectClasses
    from napari_clickseg.data.pixel_size import PixelSize
    from napari_clickseg.journal.scene import Accepted


@dataclass(frozen=True, eq=False, slots=True)
class LayerPair:
    """An image layer and the labels layer that it is annotated in.

    Parameters
    ----------
    channel_axis : int, optional
        The data axis that holds channels; there the labels have a length of 1.
    objects : sequence of Accepted
        Objects with their clicks, as far as they are known.
    sure : bool
        Whether they clearly belong together.
    """

    image: Image
    labels: Labels
    channel_axis: int | None = None
    objects: Sequence[Accepted] = ()
    sure: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class PairData:
    """What `gather` needs to know of a pair of layers; it refers to their arrays.

    Parameters
    ----------
    name, labels_name : str
        Of the image layer and of the labels layer.
    image, labels : array
        The finest levels; numpy, dask or zarr.
    rgb : bool
        Whether the image has a last axis of colours, which the labels have not.
    axes : (int, int)
        The data axes of the planes' y and x, rising.
    classes : ProjectClasses, optional
        What ids mean, if that is said.
    object_classes : ObjectClasses
        The classes of objects, where they are known.
    empty : frozenset of tuple of int
        Positions of planes in which there is really nothing.
    origin : Origin, optional
        The records that the image was opened from.
    notes : mapping of int to ObjectNote
        How objects came about that were not made now.
    complete : mapping of tuple of int to bool
        Positions of planes of which it is said whether all objects are labelled.
    erasable : tuple of Write
        What changed in labels that a project holds: planes that became empty by it were erased.
    file : str
        Where the image was opened from; empty where that is not known.
    """

    name: str
    labels_name: str
    image: Any
    labels: Any
    rgb: bool
    axes: tuple[int, int]
    channel_axis: int | None = None
    classes: ProjectClasses | None = None
    object_classes: ObjectClasses = field(default_factory=ObjectClasses)
    objects: Sequence[Accepted] = ()
    empty: frozenset[tuple[int, ...]] = frozenset()
    origin: Origin | None = None
    notes: Mapping[int, ObjectNote] = field(default_factory=dict)
    pixel_size: PixelSize | None = None
    complete: Mapping[tuple[int, ...], bool] = field(default_factory=dict)
    erasable: tuple[Write, ...] = ()
    file: str = ""

    def erased(self, plane: Plane) -> bool:
        """Whether a plane that has no labels had some in the project."""
        return any(write.touches(plane) for write in self.erasable)

    @property
    def count(self) -> int:
        """How many planes there are."""
        return int(np.prod([len(positions) for positions in self._positions()]))

    def planes(self) -> Iterator[Plane]:
        """Go through all planes, the last axis first."""
        shape = self.labels.shape
        for index in itertools.product(*self._positions()):
            yield Plane(self.axes, index, (int(shape[self.axes[0]]), int(shape[self.axes[1]])))

    def _positions(self) -> list[range]:
        fixed = {*self.axes, self.channel_axis}
        return [range(1 if axis in fixed else int(n)) for axis, n in enumerate(self.labels.shape)]

    def read_labels(self, plane: Plane) -> npt.NDArray[Any]:
        """Read the ids (Y, X) of a plane."""
        return np.asarray(self.labels[plane.key(slice(None), slice(None))])

    def read_image(self, plane: Plane) -> npt.NDArray[Any]:
        """Read the pixels (Y, X) or (Y, X, C) of a plane."""
        if self.rgb:
            index, channels = (*plane.index, 0), self.image.ndim - 1
            return PlaneData(self.image, plane, index, channels)[:, :]
        return PlaneData(self.image, plane, plane.index, self.channel_axis)[:, :]


def pairs_of(viewer: ViewerModel) -> tuple[LayerPair, ...]:
    """Find the image and labels layers of a viewer that clearly belong together, in its order.

    What is annotated together belongs together; `belonging` says what else is clear. Each layer is
    in one pair at the most. What is under review is left out: a prediction is no annotation.
    """
    return tuple(pair for pair in _all_pairs(viewer) if pair.sure)


def possible_pairs(viewer: ViewerModel) -> tuple[LayerPair, ...]:
    """Find the layers that might belong together, so that the user has to say."""
    return tuple(pair for pair in _all_pairs(viewer) if not pair.sure)


def may_be_reviewed(labels: Layer) -> bool:
    """Whether a labels layer is anything but what shows a prediction, or is under review."""
    labels = unwrapped(labels)
    shown = [layer for one in list(Pairing.alive) for layer in one.display.layers()]
    own = is_under_review(labels) or is_explaining(labels)
    return not own and labels not in [unwrapped(layer) for layer in shown]


def pair_under(viewer: ViewerModel, labels: Labels) -> LayerPair:
    """Return a labels layer with the image that it lies on, be it without its axis of channels.

    Raises
    ------
    CompanionError
        If it is under review, lies on no open image, or may lie on several of them.
    """
    labels = unwrapped(labels)
    if is_under_review(labels):
        raise CompanionError(f"'{labels.name}' is under review already; accept it there.")
    annotated = {unwrapped(one.image): one for one in list(Pairing.alive)}

    def axis_of(image: Image) -> int | None:
        return annotated[image].channel_axis if image in annotated else _channel_axis(image)

    layers = [unwrapped(layer) for layer in viewer.layers]
    images = images_under(labels, [one for one in layers if not is_explaining(one)], axis_of)
    chosen = [one for one in images if one in [unwrapped(s) for s in viewer.layers.selection]]
    images = chosen or images
    if len(images) != 1:
        named = " or ".join(f"'{one.name}'" for one in images)
        raise CompanionError(
            f"Which image does '{labels.name}' lie on: {named}? Select that image in the list of "
            "layers, and try again."
            if images
            else f"'{labels.name}' lies on no open image; open the image, of the same shape, first."
        )
    (image,) = images
    axis = axis_of(image)
    if axis is not None and labels.ndim < image.ndim:
        data: Any = full_resolution(labels)
        known = {"name": labels.name, "features": labels.features, "metadata": labels.metadata}
        return LayerPair(image, Labels(np.expand_dims(data, axis), **known), axis)
    return LayerPair(image, labels, axis)


def _all_pairs(viewer: ViewerModel) -> list[LayerPair]:
    layers = [unwrapped(layer) for layer in viewer.layers]
    annotated, taken = _annotated(layers)
    pairs: list[LayerPair] = []
    for image in layers:
        if not isinstance(image, Image):
            continue
        if image in annotated:
            pairs.append(annotated[image])
        elif image not in taken:
            axis = _channel_axis(image)
            known = match_labels(image, axis, layers, taken)
            some = (known.labels,) if known.labels is not None else known.possible
            sure = known.labels is not None
            pairs += [LayerPair(image, labels, axis, sure=sure) for labels in some]
    claims = Counter(pair.labels for pair in pairs if pair.sure)
    return [replace(pair, sure=pair.sure and claims[pair.labels] == 1) for pair in pairs]


def _annotated(layers: Sequence[Layer]) -> tuple[dict[Image, LayerPair], set[Layer]]:
    """Return the images that are annotated here, and layers that can't be in another pair."""
    taken = {layer for layer in layers if is_under_review(layer) or is_explaining(layer)}
    pairs: dict[Image, LayerPair] = {}
    for pairing in list(Pairing.alive):
        image, labels = unwrapped(pairing.image), unwrapped(pairing.annotation)
        if image not in layers:
            continue
        taken.update(unwrapped(layer) for layer in pairing.display.layers())
        if labels in taken:
            taken.add(image)
        elif labels in layers:
            objects = pairing.scene.objects
            pairs[image] = LayerPair(image, labels, pairing.channel_axis, objects)
            taken |= {image, labels}
    return pairs, taken


def _channel_axis(image: Image) -> int | None:
    """Return the axis of channels of an image that was opened from a project."""
    origin = origin_of(image)
    axis = origin.channel_axis if origin is not None else None
    return axis if axis is None or axis < image.ndim else None


def snapshot(
    pairs: Iterable[LayerPair | tuple[Image, Labels]], dims: Dims | None = None
) -> tuple[PairData, ...]:
    """Note what is to be gathered, without reading it; to be called on the main thread.

    Parameters
    ----------
    pairs : iterable of LayerPair or (Image, Labels)
        What `pairs_of` found, or what the user chose.
    dims : Dims, optional
        The viewer's: its displayed axes are those of the planes. By default the last two are.

    Raises
    ------
    CompanionError
        If a labels layer has another shape than its image.
    """
    given = (pair if isinstance(pair, LayerPair) else LayerPair(*pair) for pair in pairs)
    return tuple(_frozen(pair, dims) for pair in given)


def _frozen(pair: LayerPair, dims: Dims | None) -> PairData:
    image, labels = unwrapped(pair.image), unwrapped(pair.labels)
    finish_writing(labels)
    check_companion(labels, image, pair.channel_axis)
    classes, object_classes = saved_classes(labels)
    made = ((one.plane.index, one.value, one.class_id) for one in pair.objects)
    axes = _axes(pair, dims)
    return PairData(
        image.name,
        labels.name,
        full_resolution(image),
        full_resolution(labels),
        bool(image.rgb),
        axes,
        pair.channel_axis,
        classes,
        object_classes.with_objects(made),
        pair.objects,
        empty_planes(labels),
        origin_of(image),
        noted_in(labels.features) | saved_notes(labels.metadata),
        pixel_size_of(image, axes),
        complete_planes(labels),
        file=str(image.source.path or ""),
    )


def _axes(pair: LayerPair, dims: Dims | None) -> tuple[int, int]:
    """Return the axes of the planes: those that objects were made on, or else the displayed."""
    made = Counter(one.plane.axes for one in pair.objects)
    if made:
        return made.most_common(1)[0][0]
    ndim = pair.image.ndim
    if dims is not None and dims.ndisplay == 2:
        shown = sorted(axis - (dims.ndim - ndim) for axis in dims.displayed)
        if shown[0] >= 0 and pair.channel_axis not in shown:
            return shown[0], shown[1]
    rest = [axis for axis in range(ndim) if axis != pair.channel_axis]
    return rest[-2], rest[-1]
