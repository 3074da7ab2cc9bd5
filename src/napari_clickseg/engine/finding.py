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

from napari_clickseg.core.instances.joining import Block, blocks, join_blocks
from napari_clickseg.core.instances.separating import SeparationRules, separate, without_small
from napari_clickseg.core.mosaic import fading, starts
from napari_clickseg.core.window import Box, Window
from napari_clickseg.data.annotations import Annotations, ObjectNote
from napari_clickseg.engine.foreground_objects import (
    class_of_objects,
    foreground_and_heights,
    objects_spec,
    why_none,
)
from napari_clickseg.engine.inference import Estimator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from napari_clickseg.core.instances.joining import Joined
    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ModelCard

FloatArray = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
BLOCK = 2048  # side of the blocks of a large image, in pixels
_LEAST_MARGIN = 64
_SMOOTH = 1.3  # network pixels: a peak of a pixel or two is noise, and no object
_KEPT = 96  # windows whose answers are kept, as neighbouring blocks look at the same ones


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
        scored = {
            n: ObjectNote(score=round(float(score), 4), clicks=0, model=model)
            for n, score in enumerate(self.scores, 1)
        }
        of = {n: ids[int(k)] for n, k in enumerate(self.classes, 1) if int(k) in ids}
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
    learned = card.class_ids or tuple(range(1, len(card.classes) + 1))
    for k, wanted in enumerate(learned, 1):
        if k not in ids:
            ids[k] = wanted if wanted not in taken else max((*taken, *learned)) + 1
            taken.add(ids[k])
    return ids


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
        self._windows = list(self._grid(estimator.source.shape, spec.size))
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
        for window in self._windows:
            seen = window.box.intersection(box)
            if not seen:
                continue
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
        card = self.estimator.card
        spec = objects_spec(card)
        assert spec is not None
        margin = max(_LEAST_MARGIN, 2 * spec.span)
        measured = _ObjectSums(class_of_objects(card))
        probability = np.zeros(region.shape, np.float32) if with_probability else None
        stopped = False

        def look(part: Block) -> IntArray:
            nonlocal stopped
            stopped = stopped or stop()
            if stopped:
                return np.zeros(part.outer.shape, np.int32)
            maps = self._known_maps(part.outer.shift(region.top, region.left))
            labels = separate(maps.foreground, maps.distances, chosen)
            within = part.core.shift(-part.outer.top, -part.outer.left).slices
            measured.take(labels, maps, within)
            if probability is not None:
                probability[part.core.slices] = maps.foreground[within]
            return labels

        joined = join_blocks(region.shape, blocks(region.shape, block, margin), look)
        if stopped:
            return None
        labels = without_small(joined.labels, chosen.smallest)
        return measured.summed(joined, labels, probability)

    def _known_maps(self, box: Box) -> ObjectMaps:
        """Return `maps`, kept from an earlier time where there was room for them."""
        if box in self._maps:
            return self._maps[box]
        maps = self.maps(box)
        if maps.nbytes <= self._memory:
            self._memory -= maps.nbytes
            self._maps[box] = maps
        return maps

    def _grid(self, shape: tuple[int, int], size: int) -> Iterator[Window]:
        """Yield the windows that the image is looked at in."""
        span = self._span
        rows, columns = (
            [-((span - length) // 2)] if length <= span else starts(length, span)
            for length in shape
        )
        for top in rows:
            for left in columns:
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
        if len(self._answers) > _KEPT:
            self._answers.popitem(last=False)
        return self._answers[window]


class _ObjectSums:
    """What is measured of objects block by block, and summed up once they are joined."""

    def __init__(self, only: int = 1) -> None:
        self.only = only  # the number of the class, where there is one alone
        self.sums: list[Sums] = []  # of each block (n, 1 + classes + 1)
        self.highest: list[Sums] = []  # (n,)
        self.likeliest = 0.0

    def take(self, labels: IntArray, maps: ObjectMaps, within: tuple[slice, slice]) -> None:
        """Measure a block's objects as far as they lie in its core."""
        count = int(labels.max(initial=0)) + 1
        flat = labels[within].ravel()
        foreground = maps.foreground[within].ravel()
        middle = maps.distances.mean(axis=0)[within].ravel()
        self.likeliest = max(self.likeliest, float(foreground.max(initial=0)))
        several = len(maps.probabilities) > 1
        classes = [part[within].ravel() for part in maps.probabilities[1:]] if several else []
        ones = np.ones(len(flat), np.float32)
        sums = [np.bincount(flat, one, count) for one in (ones, foreground, *classes)]
        highest = np.zeros(count)
        np.maximum.at(highest, flat, middle)
        self.sums.append(np.stack(sums, 1, dtype=np.float64)[1:])
        self.highest.append(highest[1:])

    def summed(
        self, joined: Joined, labels: IntArray, probability: FloatArray | None
    ) -> FoundObjects:
        """Sum up what belongs to the objects that are kept in the end, (Y, X) from 1 on."""
        each = np.concatenate(self.sums)
        total = np.zeros((int(joined.ids.max(initial=0)) + 1, each.shape[1]))
        highest = np.zeros(len(total))
        np.add.at(total, joined.ids, each)
        np.maximum.at(highest, joined.ids, np.concatenate(self.highest))
        numbers, first = np.unique(labels, return_index=True)
        kept = joined.labels.ravel()[first[numbers > 0]]
        scores = total[kept, 1] / np.maximum(total[kept, 0], 1) * highest[kept]
        if each.shape[1] > 2:
            classes = total[kept, 2:].argmax(axis=1) + 1
        else:
            classes = np.full(len(kept), self.only, np.int64)
        doubt = 1 - float(scores.mean()) if len(kept) else self.likeliest
        return FoundObjects(
            labels,
            scores.astype(np.float32),
            classes.astype(np.int32),
            min(1.0, max(0.0, doubt)),
            probability,
        )
