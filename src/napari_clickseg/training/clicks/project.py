"""Objects of a project that are being annotated while a click model learns.

As in `live`, which trains the default model; but the images are a project's, they are varied as
the spec says, and where the model is to answer without any click, some annotations begin so.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_clickseg.core.instances.distances import object_parts
from napari_clickseg.core.intensity import to_channels
from napari_clickseg.data.sets.dataset import IGNORED, Dataset
from napari_clickseg.training.classes.augment import PRESETS, shaded
from napari_clickseg.training.clicks.live import Annotation, LiveAnnotations, mean_length
from napari_clickseg.training.clicks.photometric import augment_intensity
from napari_clickseg.training.clicks.record import SMALLEST, TrainingImage
from napari_clickseg.training.clicks.samples import Subject, View
from napari_clickseg.training.clicks.simulate import perturbed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy.typing as npt

    from napari_clickseg.data.project import Record
    from napari_clickseg.data.sets.dataset import ClassMap, Sample

_LEAST = 9  # network pixels of an object that is worth a look
_SCOUT, _WHOLE, _BEGUN = 0.4, 0.15, 0.15  # as in `live`


def as_records(
    dataset: Dataset[Sample], classes: ClassMap, channels: int, *, by_class: bool, whole: bool
) -> Dataset[TrainingImage]:
    """Return the images of a project as live annotations take them.

    Parameters
    ----------
    dataset : Dataset
        The images; what is returned is kept in as much memory instead of them.
    classes : ClassMap
        The classes that are learned, or all.
    channels : int
        Of the network.
    by_class : bool
        Ids are classes: connected parts of one class are the objects.
    whole : bool
        The classes are one, and all of it is wanted.
    """

    def read(file: Record) -> TrainingImage:
        sample = dataset.read(file)
        values = sample.pixels.astype(np.float32) / sample.scale
        image = to_channels(np.ascontiguousarray(values.transpose(1, 2, 0)), channels)
        pixels = np.ascontiguousarray((image * 255).round().astype(np.uint8).transpose(2, 0, 1))
        labels = _labels(sample.labels, classes, by_class=by_class, whole=whole)
        counts = np.bincount(labels.ravel())
        large = tuple(int(k) for k in np.flatnonzero(counts >= SMALLEST) if k)
        # Who is clicked on is not the rest, whatever that is; who is found unasked may be there.
        unknown = classes.indices(sample.labels, partial=whole and sample.partial) == IGNORED
        ignored = unknown if unknown.any() else None
        return TrainingImage(pixels, labels, large, whole, ignored, file.name)

    return Dataset(dataset.records, dataset.mib, read=read)


def _labels(
    labels: npt.NDArray[Any], classes: ClassMap, *, by_class: bool, whole: bool
) -> npt.NDArray[np.integer]:
    """Return ids from 1 on without gaps, in the smallest type that holds them."""
    indices = classes.indices(labels)
    known = (indices > 0) & (indices != IGNORED)
    if whole:
        return np.asarray(known, np.uint8)
    kept = np.where(known, labels, 0)
    if by_class:
        return _smallest(object_parts(kept))  # a click is on one cell, not on all of its class
    _, compact = np.unique(kept, return_inverse=True)  # ids may be large numbers
    return _smallest(compact.reshape(labels.shape) + int(kept.min() > 0))


def _smallest(ids: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    return ids.astype(np.min_scalar_type(int(ids.max(initial=0))))


def quiet_shares(without: float, length: float) -> tuple[float, float]:
    """Return how many annotations begin without a click, and how many of these end so.

    The first prediction of such an annotation is made without a click, the others with some.

    Parameters
    ----------
    without : float
        Share of all predictions that are to be made without a click.
    length : float
        Predictions of an annotation, on average.
    """
    if without * length <= 1:
        return without * length, 0.0
    return 1.0, (length - 1 / without) / max(length - 1, 1e-9)


class ProjectPool:
    """The images of a project, each as often as the others.

    Parameters
    ----------
    everything : sequence of TrainingImage
        Each is looked at once, and not kept here. Those without any object are there for
        annotations that begin without a click.

    Raises
    ------
    ValueError
        If there is no object.
    """

    def __init__(self, everything: Sequence[TrainingImage] | Dataset[TrainingImage]) -> None:
        self.everything = everything
        self.holding = [i for i in range(len(everything)) if everything[i].identifiers]
        if not self.holding:
            raise ValueError("There is no object to learn from.")

    def draw(self, rng: np.random.Generator, n: int) -> list[TrainingImage]:
        """Draw n images that hold an object."""
        return [self.everything[i] for i in rng.choice(self.holding, n).tolist()]


class ProjectAnnotations(LiveAnnotations):
    """Annotations of a project's objects that are going on while a network learns.

    Parameters
    ----------
    size : int
        The network's window in pixels.
    preset : str
        How much the windows are varied, one of `augment.PRESETS`.
    without : float
        Share of the predictions that are made without any click, if `steps` is more than one.
    zoom : float
        Network pixels for an image pixel in those.
    **options
        As in `LiveAnnotations`.
    """

    def __init__(
        self,
        pool: ProjectPool,
        size: int,
        *,
        preset: str = "strong",
        without: float = 0.0,
        zoom: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(pool, size, **options)
        self.project, self.preset, self.zoom = pool, preset, zoom
        self.quiet, self.brief = quiet_shares(without, mean_length(self.steps))

    def _begin(self, n: int) -> list[Annotation]:
        begun: list[Annotation] = []
        clicked: list[Annotation] = []
        while len(begun) < n:
            is_quiet = self.quiet > 0 and self.rng.random() < self.quiet
            annotation = self._without_click() if is_quiet else self._on_an_object()
            if annotation is None:
                continue
            over = is_quiet and self.rng.random() < self.brief
            annotation.steps = 1 if over else self._length()
            begun.append(annotation)
            if is_quiet or annotation.begun:
                continue
            if self.rng.random() < _BEGUN:
                annotation.previous = perturbed(annotation.target[None], self.generator)[0]
            clicked.append(annotation)
        self._click(clicked)
        return begun

    def _on_an_object(self) -> Annotation | None:
        record = self.pool.draw(self.rng, 1)[0]
        subject = self._turned(Subject.draw(record, self.rng))
        by_gesture = self._by_gesture(subject)
        if by_gesture is not None:
            return by_gesture
        scouting = self.rng.random() < _SCOUT
        view = subject.scouting(self.rng) if scouting else subject.any_view(self.rng, _WHOLE)
        return self._look(subject, view)

    def _without_click(self) -> Annotation | None:
        """Begin with a look anywhere in any image, also where there is nothing."""
        some = self.project.everything
        record = some[int(self.rng.integers(len(some)))]
        if record.identifiers:
            subject = Subject.draw(record, self.rng)
        else:
            nothing = np.zeros(record.labels.shape, bool)
            middle = np.array(record.labels.shape) / 2
            subject = Subject(record, nothing, middle, float(max(nothing.shape)), np.eye(2))
        span = self.size / self.zoom * math.exp(self.rng.uniform(-0.25, 0.25))
        centre = self.rng.uniform(0, 1, 2) * np.array(record.labels.shape)
        if record.identifiers and self.rng.random() < 0.5:
            places = np.argwhere(subject.mask)
            centre = places[int(self.rng.integers(len(places)))].astype(np.float64)
        return self._seen(self._turned(subject), View(centre, span))

    def _turned(self, subject: Subject) -> Subject:
        if self.preset != "none":
            return subject
        return dataclasses.replace(subject, turn=np.eye(2))

    def _look(self, subject: Subject, view: View) -> Annotation | None:
        annotation = self._seen(subject, view)
        empty = not subject.mask.any()
        return annotation if empty or float(annotation.target.sum()) >= _LEAST else None

    def _seen(self, subject: Subject, view: View) -> Annotation:
        view = subject.placed(view, self.size, self.rng)
        image, target = (part.to(self.device) for part in subject.cut(view, self.size))
        if self.preset == "strong":
            image = augment_intensity(image, self.generator)
        elif self.preset != "none":
            image = shaded(image[0].cpu(), PRESETS[self.preset], self.rng)[None].to(self.device)
        nothing, ignored = torch.zeros_like(target[0]), None
        if subject.record.ignored is not None:
            unknown = dataclasses.replace(subject, mask=subject.record.ignored)
            ignored = unknown.cut(view, self.size)[1][0].to(self.device)
            target = target * (1 - ignored)
        return Annotation(subject, view, image[0], target[0], nothing, [], 0, 0, ignored)
