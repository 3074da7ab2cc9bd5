"""A slide predicted whole: tile by tile to disk, then put together as OME-Zarr with a pyramid.

What is in memory does not grow with the slide: a few tiles, the windows that neighbours share, and
what is measured of each object. Finished tiles are on disk, so the work can be stopped, or killed,
and gone on with.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.instances.joining import Block, Joining, blocks
from napari_clickseg.core.mosaic import LARGEST
from napari_clickseg.core.window import Box
from napari_clickseg.data.annotations import Annotations
from napari_clickseg.engine.finding import (
    BLOCK,
    BlockObjects,
    JoinedObjects,
    ObjectFinder,
    ObjectSums,
    object_notes,
)
from napari_clickseg.engine.inference import Estimator
from napari_clickseg.engine.slides.class_tiles import ClassTiles, doubt_of
from napari_clickseg.engine.slides.one_colour import OneColour
from napari_clickseg.engine.slides.tile_files import TileFiles, UnfinishedError
from napari_clickseg.formats.omezarr import begin_labels, finish_labels
from napari_clickseg.formats.shapes.drawn_regions import inside_outlines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.core.instances.separating import SeparationRules
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.formats.annotated import AnnotatedImage
    from napari_clickseg.formats.shapes.drawn_regions import Outline
    from napari_clickseg.models.card import ModelCard

IntArray = npt.NDArray[np.int32]
Arrays = dict[str, Any]
_LARGE = 1 << 26  # pixels of an image that is not predicted in memory
_SIDES = (2048, 1024, 512)  # of tiles, in pixels: the first whose probabilities fit
_ROOM = 128 << 20  # bytes of the probabilities of a tile
_MOST_NOTES = 100_000  # objects that are each spoken of; the arrays beside the labels know all
_VERSION = 1


class SlideError(ValueError):
    """What can't be predicted as a slide; the message says what to do."""


@dataclass(frozen=True, slots=True)
class SlideOrder:
    """What is to be found on a slide.

    Parameters
    ----------
    model : str
        SHA-256 of the model's file.
    ids : tuple of int
        The id of each of the model's classes; 0 where objects of it are to have no class.
    region : Box, optional
        Where to look; everywhere by default. What lies outside is background.
    outlines : tuple of outlines
        Corners y, x of areas: of the region only what lies in one of them is predicted. None at all
        leaves nothing out.
    threshold : float
        Probability above which a pixel belongs to some class; objects go by `rules`.
    rules : SeparationRules, optional
        How objects are told apart; None finds classes.
    as_objects : bool
        Whether objects have ids of their own, or those of their classes.
    """

    model: str
    ids: tuple[int, ...]
    region: Box | None = None
    outlines: tuple[Outline, ...] = ()
    threshold: float = 0.5
    rules: SeparationRules | None = None
    as_objects: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class SlidePrediction:
    """What was predicted on a slide.

    Parameters
    ----------
    shape : (int, int)
        Its height and width.
    uncertainty : float
        How unsure the model is, 0 … 1.
    notes : Annotations
        What is known of each object; empty where there are very many, or none are told apart.
    pixels : dict of int to int
        Pixels of each class, by the class's number; of models that find classes.
    objects : int, optional
        How many there are; of models that tell objects apart.
    """

    shape: tuple[int, int]
    uncertainty: float
    notes: Annotations
    pixels: dict[int, int]
    objects: int | None = None

    def summary(self) -> dict[str, Any]:
        """Return what is kept with the labels, as JSON has it."""
        return {
            "shape": list(self.shape),
            "uncertainty": round(self.uncertainty, 6),
            "pixels": self.pixels,
            "objects": self.objects,
        }


def is_slide(shape: tuple[int, int], card: ModelCard, *, apart: bool) -> bool:
    """Whether an image is so large that it is predicted tile by tile.

    Parameters
    ----------
    shape : (int, int)
        Height and width.
    card : ModelCard
        Of the model.
    apart : bool
        Whether objects are told apart.
    """
    lowered = not apart and max(shape) * (card.window.zoom or 0.0) > LARGEST
    return lowered or shape[0] * shape[1] > _LARGE


def predict_slide(
    segmenter: Segmenter,
    image: Any,
    out: Path,
    order: SlideOrder,
    about: AnnotatedImage,
    *,
    rgb: bool | None = None,
    anew: bool = False,
    stop: Callable[[], bool] = lambda: False,
    on_tile: Callable[[int, int], object] = lambda *_: None,
) -> SlidePrediction | None:
    """Predict a slide, and write OME-Zarr with a pyramid.

    Started again after it was stopped, or killed, it goes on with the tiles that are not finished.

    Parameters
    ----------
    segmenter : Segmenter
        Its model predicts without clicks.
    image, rgb
        As for `Segmenter.start`.
    out : Path
        Folder of the labels; replaced if it is there, once all is found.
    order : SlideOrder
        What is to be found.
    about : AnnotatedImage
        What is known of the image and its classes; its labels are not looked at.
    anew : bool
        Drop tiles that were finished for another order.
    stop : callable
        Asked before each tile; True ends it, and the answer is None.
    on_tile : callable
        Called with the number of tiles that are finished, and how many there are.

    Raises
    ------
    SlideError
        If the model, or the region, does not fit.
    UnfinishedError
        If somebody else predicts it, or finished tiles are of another order.
    ImageError, OSError
        If the image can't be used, or files can't be written.
    """
    session = segmenter.start(image, rgb=rgb)
    ask = OneColour(segmenter.look)
    estimator = Estimator(segmenter.card, session.source, session.intensity, ask)
    region = _region(order, session.shape)
    find = _ClassesOfSlide if order.rules is None else _ObjectsOfSlide
    way: _SlideWay = find(estimator, order, region)
    way.parts = [part for part in way.parts if _inside(order, region, part.core).any()]
    if not way.parts:
        raise SlideError("No pixel of the image lies in the outlines of the region.")
    files = TileFiles(out)
    with files.begun(_written_order(estimator, order, region, way.parts), anew=anew):
        for number, part in enumerate(way.parts):
            if stop():
                return None
            tile = files.get(number)
            if tile is None:
                tile = way.look(part)
                files.put(number, tile)
            way.take(part, tile)
            on_tile(number + 1, len(way.parts))
        prediction = way.prediction()
        if not _put_together(files, way, region, session.shape, stop):
            return None
        known = replace(about, labels=way.present(), axes="YX", annotations=prediction.notes)
        finish_labels(
            files.group, known, more={"model": order.model, "summary": prediction.summary()}
        )
        files.finish()
    return prediction


def _region(order: SlideOrder, shape: tuple[int, int]) -> Box:
    whole = Box(0, 0, *shape)
    region = whole if order.region is None else order.region.intersection(whole)
    if not region:
        raise SlideError(
            f"The region lies outside the image, which has {shape[0]} x {shape[1]} pixels."
        )
    return region


def _inside(order: SlideOrder, region: Box, box: Box) -> npt.NDArray[np.bool_]:
    """Return which pixels of a box of the region are to be predicted."""
    if not order.outlines:
        return np.ones(box.shape, bool)
    return inside_outlines(order.outlines, box.shift(region.top, region.left))


def _written_order(
    estimator: Estimator, order: SlideOrder, region: Box, parts: list[Block]
) -> dict[str, Any]:
    """Return all that decides what is found in each tile."""
    source = estimator.source
    seen = hashlib.sha256(np.ascontiguousarray(source.sample()).tobytes()).hexdigest()
    return {
        "version": _VERSION,
        "image": [*source.shape, source.channels, str(source.dtype), seen],
        **asdict(replace(order, region=region)),
        "tiles": [[part.core.top, part.core.left] for part in parts],
    }


def _put_together(
    files: TileFiles, way: _SlideWay, region: Box, shape: tuple[int, int], stop: Callable[[], bool]
) -> bool:
    """Write the tiles into one array; return whether nobody stopped it."""
    whole = begin_labels(files.group, shape, way.dtype())
    for number, part in enumerate(way.parts):
        if stop():
            return False
        tile = files.get(number)
        if tile is None:
            raise UnfinishedError(f"A tile in {files.folder} is broken; the same command mends it.")
        values = way.values(number, part, tile)
        if values.any():
            whole[part.core.shift(region.top, region.left).slices] = values
    way.beside(whole)
    return True


class _SlideWay(Protocol):
    """What is done with each tile of a slide: classes are found, or objects told apart."""

    parts: list[Block]

    def look(self, part: Block) -> Arrays:
        """Return what a tile keeps."""

    def take(self, part: Block, tile: Arrays) -> None:
        """Take note of the next tile, in their order."""

    def prediction(self) -> SlidePrediction:
        """Return what all tiles came to."""

    def dtype(self) -> np.dtype[Any]:
        """Return the dtype that has room for all ids."""

    def values(self, number: int, part: Block, tile: Arrays) -> npt.NDArray[Any]:
        """Return the ids in the core of a tile."""

    def present(self) -> npt.NDArray[Any]:
        """Return the ids that there are, as a map (1, n)."""

    def beside(self, whole: Any) -> None:
        """Write what is kept beside the labels."""


class _ClassesOfSlide:
    """Finds classes."""

    def __init__(self, estimator: Estimator, order: SlideOrder, region: Box) -> None:
        card = estimator.card
        if card.encoding != "image" and card.window.zoom is None:
            raise SlideError(
                f"The model '{card.name}' looks for one object around a click, so it predicts no "
                "image whole; choose a model with the task binary, multiclass or instances."
            )
        self._tiles = ClassTiles(estimator, order.threshold)
        self._ids = np.array((0, *order.ids))
        self._order, self._region, self._shape = order, region, estimator.source.shape
        zoom = max(1.0, self._tiles.window.zoom)
        bytes_each = 4 * zoom**2 * (card.class_outputs + 1)
        side = next((one for one in _SIDES if one**2 * bytes_each <= _ROOM), _SIDES[-1])
        self.parts = blocks(region.shape, side, 0)
        self._counts = np.zeros(256, np.int64)
        self._unsure, self._pixels, self._highest = 0.0, 0, 0.0

    def look(self, part: Block) -> Arrays:
        tile = self._tiles.look(part.core.shift(self._region.top, self._region.left))
        return {
            "labels": np.where(_inside(self._order, self._region, part.core), tile.labels, 0),
            "unsure": tile.unsure,
            "pixels": tile.pixels,
            "highest": tile.highest,
        }

    def take(self, part: Block, tile: Arrays) -> None:
        self._counts += np.bincount(tile["labels"].ravel(), minlength=256)
        self._unsure += float(tile["unsure"])
        self._pixels += int(tile["pixels"])
        self._highest = max(self._highest, float(tile["highest"]))

    def prediction(self) -> SlidePrediction:
        doubt = doubt_of(self._unsure, self._pixels, self._highest)
        pixels = {k: int(self._counts[k]) for k in range(1, len(self._ids))}
        return SlidePrediction(self._shape, doubt, Annotations(), pixels)

    def dtype(self) -> np.dtype[Any]:
        return np.min_scalar_type(int(self._ids.max()))

    def values(self, number: int, part: Block, tile: Arrays) -> npt.NDArray[Any]:
        return self._ids.astype(self.dtype())[tile["labels"]]

    def present(self) -> npt.NDArray[Any]:
        return self._ids[1:][self._counts[1 : len(self._ids)] > 0][None]

    def beside(self, whole: Any) -> None:
        pass


class _ObjectsOfSlide:
    """Tells objects apart, and joins them across tiles."""

    def __init__(self, estimator: Estimator, order: SlideOrder, region: Box) -> None:
        assert order.rules is not None
        self._finder, self._rules = ObjectFinder(estimator), order.rules
        self._order, self._region = order, region
        self.parts = self._finder.blocks(region, BLOCK)
        self._joining, self._sums = Joining(self.parts), ObjectSums(estimator.card)
        self._starts: list[int] = []

    def look(self, part: Block) -> Arrays:
        inside = _inside(self._order, self._region, part.outer)
        here = self._finder.look(part, self._region, self._rules, inside)
        return {
            "labels": here.labels,
            "sums": here.sums,
            "highest": here.highest,
            "first": here.first,
            "likeliest": here.likeliest,
        }

    def take(self, part: Block, tile: Arrays) -> None:
        self._starts.append(self._joining.count)
        self._joining.add(part, tile["labels"])
        named = {name: tile[name] for name in ("labels", "sums", "highest", "first")}
        self._sums.add(BlockObjects(**named, likeliest=float(tile["likeliest"])))

    @cached_property
    def _objects(self) -> JoinedObjects:
        return self._sums.summed(self._joining.ids(), self._rules.smallest)

    def prediction(self) -> SlidePrediction:
        known = self._objects
        ids = {k: each for k, each in enumerate(self._order.ids, 1) if each}
        notes = Annotations()
        if self._order.as_objects and len(known.scores) <= _MOST_NOTES:
            notes = object_notes(known.scores, known.classes, self._order.model, ids)
        return SlidePrediction(self._finder.shape, known.doubt, notes, {}, len(known.scores))

    @cached_property
    def _written(self) -> npt.NDArray[Any]:
        """The id that each object is written with, by its number; 0 for the background."""
        known = self._objects
        ids: npt.NDArray[Any] = np.arange(len(known.scores) + 1)
        if not self._order.as_objects:
            ids = np.array((0, *self._order.ids))[np.append(0, known.classes)]
        least = np.uint16 if self._order.as_objects else np.uint8
        return ids.astype(np.promote_types(np.min_scalar_type(int(ids.max())), least))

    def dtype(self) -> np.dtype[Any]:
        return self._written.dtype

    def values(self, number: int, part: Block, tile: Arrays) -> npt.NDArray[Any]:
        within = part.core.shift(-part.outer.top, -part.outer.left).slices
        labels = tile["labels"][within]
        raw = np.where(labels > 0, labels + self._starts[number], 0)
        return self._written[self._objects.table[raw]]

    def present(self) -> npt.NDArray[Any]:
        every = np.unique(self._written)
        return every[every > 0][:_MOST_NOTES][None]

    def beside(self, whole: Any) -> None:
        """Write score and class of all objects, by their ids."""
        if not self._order.as_objects:
            return
        import zarr

        known = self._objects
        group = zarr.open_group(whole.store_path.store, path="objects", mode="a")
        ids = np.array((0, *self._order.ids))[np.append(0, known.classes)]
        group.create_array("score", data=np.append(np.float32(0), known.scores))
        group.create_array("class", data=ids.astype(np.uint32))
