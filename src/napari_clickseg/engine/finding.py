"""All objects of an image at once, each its own, by a model that tells objects apart.

An image of any size is looked at in windows that overlap, at the zoom of the model's card. What
the network answers is faded into one map, and objects are found in the map, in a large image block
by block.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.instances.joining import Joining, blocks
from napari_clickseg.core.instances.separating import SeparationRules, separate, without_small
from napari_clickseg.core.mosaic import fading, starts
from napari_clickseg.core.window import Box, Window
from napari_clickseg.data.annotations import Annotations, ObjectNote
from napari_clickseg.data.classes import ProjectClass
from napari_clickseg.engine.foreground_objects import (
    class_of_objects,
    foreground_and_heights,
    objects_spec,
    why_none,
)
from napari_clickseg.engine.inference import Estimator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from napari_clickseg.core.instances.joining import Block
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ModelCard

FloatArray = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
BLOCK = 2048  # side of the blocks of a large image, in pixels
_LEAST_MARGIN = 64
_SMOOTH = 1.3  # network pixels: a peak of a pixel or two is noise, and no object
_KEPT = 96  # windows whose answers are kept, as neighbouring blocks look at the same ones
_KEPT_BYTES = 512 << 20


@dataclass(frozen=True, eq=False, slots=True)
class ObjectMaps:
    """What a network answers in a box of an image, in the image's pixels.

    Parameters
    ----------
    probabilities : float32 (outputs, Y, X)
        Of the foreground; or of background and each class.
    distances : float32 (2, Y, X)
        From the edge and the middle of each object, see `core.instances.distances`.
    """

    probabilities: FloatArray
    distances: FloatArray

    @property
    def foreground(self) -> FloatArray:
        """Probability that a pixel belongs to an object, float32 (Y, X)."""
        first: FloatArray = self.probabilities[0]
        return first if len(self.probabilities) == 1 else np.subtract(1.0, first)

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return int(self.probabilities.nbytes + self.distances.nbytes)

    def separated(self, rules: SeparationRules) -> IntArray:
        """Tell the objects apart, int32 (Y, X); those too small are left out."""
        return without_small(separate(self.foreground, self.distances, rules), rules.smallest)


@dataclass(frozen=True, eq=False, slots=True)
class FoundObjects:
    """The objects of an image.

    Parameters
    ----------
    labels : int32 (Y, X)
        Ids from 1 on, in reading order; 0 is background.
    scores : float32 (n,)
        Of each object, how sure the model is of it, 0 … 1: the mean probability of its pixels,
        times how plain its middle is.
    classes : int32 (n,)
        Of each object, the number of its class, from 1 on.
    doubt : float
        How unsure the model is of the image, 0 … 1: one less the mean score; where nothing was
        found, the highest probability of any pixel.
    probability : float32 (Y, X), optional
        Of the foreground; where it was asked for.
    """

    labels: IntArray
    scores: FloatArray
    classes: IntArray
    doubt: float
    probability: FloatArray | None = None

    @property
    def least_certain(self) -> tuple[int, ...]:
        """The ids, the least certain object first."""
        return tuple(int(i) + 1 for i in np.argsort(self.scores, kind="stable"))

    def notes(self, model: str, ids: Mapping[int, int]) -> Annotations:
        """Return what is known of each object, as projects and other programs' files have it.

        Parameters
        ----------
        model : str
            What the model is called.
        ids : mapping of int to int
            The id of each class, by its number; objects of others get none.
        """
        return object_notes(self.scores, self.classes, model, ids)


def object_notes(
    scores: FloatArray, classes: IntArray, model: str, ids: Mapping[int, int]
) -> Annotations:
    """Return what is known of objects, as projects have it; see `FoundObjects.notes`."""
    scored = {
        n: ObjectNote(score=round(float(score), 4), clicks=0, model=model)
        for n, score in enumerate(scores, 1)
    }
    of = {n: ids[int(k)] for n, k in enumerate(classes, 1) if int(k) in ids}
    return Annotations(classes=of, objects=scored)


def class_ids(card: ModelCard, named: Mapping[str, int]) -> dict[int, int]:
    """Return the id that a project has for each class of a model, by the class's number.

    A class goes by its name. One that the project does not know gets an id that no other class
    has: the one that the model learned, where that is free. A model that knows one class only
    tells none apart, so it says nothing of objects in a project that does not know it.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    named : mapping of str to int
        The ids of the project's classes by their names.
    """
    ids = {k: named[name] for k, name in enumerate(card.classes, 1) if name in named}
    if len(card.classes) == 1:
        return ids
    taken = {*named.values()}
    learned = card.ids_of_classes
    for k, wanted in enumerate(learned, 1):
        if k not in ids:
            ids[k] = wanted if wanted not in taken else max((*taken, *learned)) + 1
            taken.add(ids[k])
    return ids


def named_classes(card: ModelCard) -> tuple[ProjectClass, ...]:
    """Return a model's classes with the ids that they have in masks."""
    each = zip(card.ids_of_classes, card.classes, strict=True)
    return tuple(ProjectClass(id=i, name=name) for i, name in each)


def card_rules(card: ModelCard) -> SeparationRules:
    """Return how a model's objects are told apart, as it was chosen on its validation images.

    Of networks that others trained, as `engine.foreground_objects` says.

    Raises
    ------
    ValueError
        If the model tells no objects apart.
    """
    spec = objects_spec(card)
    if spec is None:
        raise ValueError(why_none(card))
    return SeparationRules(spec.seed_height, spec.smallest)


class ObjectFinder:
    """Finds the objects of one image; may be used on any thread, on one at a time.

    Parameters
    ----------
    estimator : Estimator
        Of the image, and a model that tells objects apart.
    memory : int
        Bytes of the network's answers that are kept: what was looked at once is divided by other
        rules without the network then. By default none are.
    """

    def __init__(self, estimator: Estimator, *, memory: int = 0) -> None:
        self.estimator, self.rules = estimator, card_rules(estimator.card)
        self._memory = memory
        self._maps: dict[Box, ObjectMaps] = {}
        spec = estimator.card.window
        self._span = max(1, round(spec.size / (spec.zoom or 1.0)))
        self._fading = fading(self._span)
        self._rows, self._columns = (self._starts(length) for length in estimator.source.shape)
        self._answers: OrderedDict[Window, FloatArray] = OrderedDict()

    @classmethod
    def of(
        cls, segmenter: Segmenter, image: Any, *, rgb: bool | None = None, memory: int = 0
    ) -> ObjectFinder:
        """Make one for an image; see `Segmenter.start`.

        Raises
        ------
        ValueError
            If the model tells no objects apart, or the image can't be used.
        """
        card_rules(segmenter.card)
        session = segmenter.start(image, rgb=rgb)
        looking = Estimator(segmenter.card, session.source, session.intensity, segmenter.look)
        return cls(looking, memory=memory)

    @property
    def shape(self) -> tuple[int, int]:
        """The image's height and width."""
        return self.estimator.source.shape

    def maps(self, box: Box) -> ObjectMaps:
        """Return what the network answers in a box of the image.

        The same for a pixel whichever box it is in.
        """
        card = self.estimator.card
        count = card.class_outputs + (card.overlapping and len(card.classes) > 1)
        learned = 0 if card.objects is None else 2
        out = np.zeros((count + learned, *box.shape), np.float32)
        total = np.zeros(box.shape, np.float32)
        for window in self._windows(box):
            seen = window.box.intersection(box)
            weight = self._fading[seen.shift(-window.top, -window.left).slices]
            part = seen.shift(-box.top, -box.left).slices
            values = window.to_box(self._answer(window), seen)
            out[:, *part] += values.transpose(2, 0, 1) * weight
            total[part] += weight
        out /= total
        if not learned:
            return ObjectMaps(*foreground_and_heights(card, out))
        return ObjectMaps(out[:count], out[count:])

    def find(
        self,
        rules: SeparationRules | None = None,
        region: Box | None = None,
        *,
        block: int = BLOCK,
        with_probability: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> FoundObjects | None:
        """Find the objects.

        Parameters
        ----------
        rules : SeparationRules, optional
            By default the card's.
        region : Box, optional
            Where to look, in image pixels; everywhere by default.
        block : int
            Side of the blocks of a large image, in pixels.
        with_probability : bool
            Keep the probability of the foreground.
        stop : callable
            Asked before each block; True ends it, and the answer is None.
        """
        chosen = rules or self.rules
        whole = Box(0, 0, *self.shape)
        region = whole if region is None else region.intersection(whole)
        probability = np.zeros(region.shape, np.float32) if with_probability else None
        raw = np.zeros(region.shape, np.int32)
        parts = self.blocks(region, block)
        joining, measured = Joining(parts), ObjectSums(self.estimator.card)
        for part in parts:
            if stop():
                return None
            maps = self._known_maps(part.outer.shift(region.top, region.left))
            here = _separated(maps, part, region, chosen)
            within = part.core.shift(-part.outer.top, -part.outer.left).slices
            raw[part.core.slices] = joining.add(part, here.labels)[within]
            measured.add(here)
            if probability is not None:
                probability[part.core.slices] = maps.foreground[within]
        known = measured.summed(joining.ids(), chosen.smallest)
        return FoundObjects(known.table[raw], known.scores, known.classes, known.doubt, probability)

    def blocks(self, region: Box, side: int = BLOCK) -> list[Block]:
        """Cut a region into blocks, which lie in it, with the margin that the model's objects need.

        Parameters
        ----------
        region : Box
            In image pixels.
        side : int
            Of a block, at the most, in pixels.
        """
        spec = objects_spec(self.estimator.card)
        assert spec is not None
        return blocks(region.shape, side, max(_LEAST_MARGIN, 2 * spec.span))

    def look(
        self,
        part: Block,
        region: Box,
        rules: SeparationRules,
        inside: npt.NDArray[np.bool_] | None = None,
    ) -> BlockObjects:
        """Find the objects of a block of a region, not yet joined with those of others.

        Parameters
        ----------
        part : Block
            As `blocks` gives it.
        region : Box
            In image pixels.
        rules : SeparationRules
            What is an object.
        inside : bool, optional
            Which pixels of the block's outer box may belong to one; all by default.
        """
        maps = self._known_maps(part.outer.shift(region.top, region.left))
        return _separated(maps, part, region, rules, inside)

    def _known_maps(self, box: Box) -> ObjectMaps:
        """Return `maps`, kept from an earlier time where there was room for them."""
        if box in self._maps:
            return self._maps[box]
        maps = self.maps(box)
        if maps.nbytes <= self._memory:
            self._memory -= maps.nbytes
            self._maps[box] = maps
        return maps

    def _starts(self, length: int) -> list[int]:
        """Return where the windows begin that cover a side of the image."""
        span = self._span
        return [-((span - length) // 2)] if length <= span else starts(length, span)

    def _windows(self, box: Box) -> Iterator[Window]:
        """Yield the windows of the image that reach into a box, row by row."""
        size, span = self.estimator.card.window.size, self._span
        for top in (at for at in self._rows if box.top - span < at < box.bottom):
            for left in (at for at in self._columns if box.left - span < at < box.right):
                yield Window(top, left, span, size)

    def _answer(self, window: Window) -> FloatArray:
        """Return what the network answers to a window, float32 (size, size, outputs + 2)."""
        from scipy import ndimage

        if window in self._answers:
            self._answers.move_to_end(window)
            return self._answers[window]
        estimate = self.estimator.look(window, (), None)
        every = estimate.probabilities
        if estimate.distances is not None:
            distances = ndimage.gaussian_filter(estimate.distances, (0, _SMOOTH, _SMOOTH))
            every = np.concatenate([every, distances])
        self._answers[window] = np.ascontiguousarray(every.transpose(1, 2, 0))
        answer = self._answers[window]
        if len(self._answers) > min(_KEPT, _KEPT_BYTES // answer.nbytes):
            self._answers.popitem(last=False)
        return answer


@dataclass(frozen=True, eq=False, slots=True)
class BlockObjects:
    """The objects of a block, and what was measured of them as far as they lie in its core.

    Parameters
    ----------
    labels : int32 (Y, X)
        In its outer box; ids are the block's own, from 1 on.
    sums : float64 (n, 2) or (n, 2 + classes)
        Of each object: its pixels, and the sums of the foreground's and each class's probability.
    highest : float64 (n,)
        The plainest middle of each object.
    first : int64 (n,)
        Where each object begins: the number of its first pixel, counted row by row in the region.
    likeliest : float
        The highest probability of any pixel.
    """

    labels: IntArray
    sums: Sums
    highest: Sums
    first: npt.NDArray[np.int64]
    likeliest: float


def _separated(
    maps: ObjectMaps,
    part: Block,
    region: Box,
    rules: SeparationRules,
    inside: npt.NDArray[np.bool_] | None = None,
) -> BlockObjects:
    """Tell the objects of a block apart, and measure them."""
    seen = maps.foreground if inside is None else np.where(inside, maps.foreground, np.float32(0))
    labels = separate(seen, maps.distances, rules)
    within = part.core.shift(-part.outer.top, -part.outer.left).slices
    count = int(labels.max(initial=0)) + 1
    flat = labels[within].ravel()
    foreground = seen[within].ravel()
    middle = maps.distances.mean(axis=0)[within].ravel()
    several = len(maps.probabilities) > 1
    classes = [one[within].ravel() for one in maps.probabilities[1:]] if several else []
    ones = np.ones(len(flat), np.float32)
    sums = [np.bincount(flat, values, count) for values in (ones, foreground, *classes)]
    highest = np.zeros(count)
    np.maximum.at(highest, flat, middle)
    rows = np.arange(part.core.top, part.core.bottom, dtype=np.int64) * region.width
    places = np.add.outer(rows, np.arange(part.core.left, part.core.right)).ravel()
    first = np.full(count, np.iinfo(np.int64).max)
    first[flat[::-1]] = places[::-1]  # what is written last stays: the first place
    return BlockObjects(
        labels,
        np.stack(sums, 1, dtype=np.float64)[1:],
        highest[1:],
        first[1:],
        float(foreground.max(initial=0)),
    )


@dataclass(frozen=True, eq=False, slots=True)
class JoinedObjects:
    """What is known of the objects of an image, once those of its blocks are joined.

    Parameters
    ----------
    table : int32 (n,)
        The id that an object has in the end, by the id that `Joining` gave it in its block.
    scores, classes, doubt
        As in `FoundObjects`.
    """

    table: IntArray
    scores: FloatArray
    classes: IntArray
    doubt: float


class ObjectSums:
    """What was measured of objects block by block, summed up once they are joined."""

    def __init__(self, card: ModelCard) -> None:
        self._only = class_of_objects(card)  # the number of the class, where there is one alone
        self._sums: list[Sums] = []
        self._highest: list[Sums] = []
        self._first: list[npt.NDArray[np.int64]] = []
        self._likeliest = 0.0

    def add(self, block: BlockObjects) -> None:
        """Take what was measured in the next block."""
        self._sums.append(block.sums)
        self._highest.append(block.highest)
        self._first.append(block.first)
        self._likeliest = max(self._likeliest, block.likeliest)

    def summed(self, ids: IntArray, smallest: int) -> JoinedObjects:
        """Sum up; objects are numbered in reading order.

        Parameters
        ----------
        ids : int32 (n + 1,)
            As `Joining.ids` gives them.
        smallest : int
            Pixels of the smallest object; smaller ones are left out.
        """
        each, count = np.concatenate(self._sums), int(ids.max(initial=0)) + 1
        total, highest = np.zeros((count, each.shape[1])), np.zeros(count)
        first = np.full(count, np.iinfo(np.int64).max)
        np.add.at(total, ids[1:], each)
        np.maximum.at(highest, ids[1:], np.concatenate(self._highest))
        np.minimum.at(first, ids[1:], np.concatenate(self._first))
        kept = np.flatnonzero(total[:, 0] >= max(1, smallest))
        kept = kept[np.argsort(first[kept])]
        numbers = np.zeros(count, np.int32)
        numbers[kept] = np.arange(1, len(kept) + 1)
        scores = total[kept, 1] / total[kept, 0] * highest[kept]
        if each.shape[1] > 2:
            classes = total[kept, 2:].argmax(axis=1) + 1
        else:
            classes = np.full(len(kept), self._only)
        doubt = 1 - float(scores.mean()) if len(kept) else self._likeliest
        return JoinedObjects(
            numbers[ids],
            scores.astype(np.float32),
            classes.astype(np.int32),
            min(1.0, max(0.0, doubt)),
        )
