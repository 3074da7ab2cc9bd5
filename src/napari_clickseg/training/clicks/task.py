"""Click models of a project: clicks are put on the network's own errors while it learns."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from napari_clickseg.core.instances.distances import object_parts
from napari_clickseg.core.oracle import next_click
from napari_clickseg.data.sets.dataset import IGNORED
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.models.losses import Term, build_loss
from napari_clickseg.training.clicks.figures import Clicked, counted, figures, row
from napari_clickseg.training.clicks.losses import click_cross_entropy, click_loss
from napari_clickseg.training.clicks.project import (
    ProjectAnnotations,
    ProjectPool,
    as_records,
)
from napari_clickseg.training.clicks.table import TableAnnotations, corrections
from napari_clickseg.training.loop.work import Batch, TrainingError, Validation, mean_loss
from napari_clickseg.training.previews import write_preview
from napari_clickseg.training.selection import choose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor, nn

    from napari_clickseg.data.sets.dataset import ClassMap, Dataset, Sample
    from napari_clickseg.engine.segmenter import Session
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.models.metrics import Counts
    from napari_clickseg.training.clicks.live import Lesson
    from napari_clickseg.training.clicks.table import CorrectedPrediction
    from napari_clickseg.training.spec import TrainingSpec

Bool = npt.NDArray[np.bool_]
_STEPS = 5  # predictions of most objects, at the most
_CLICKS = 5  # on an object of a validation image
_OBJECTS = 3  # of a validation image
_VALIDATED = 24  # objects in all, about
_EMPTY = 2  # validation images without any object that a model is shown that needs no click
_SHOWN = 3  # validation images
_SQUARE = 1.5  # radius of the colour encoding's clicks: squares of 3 × 3 pixels
_CERTAIN = 30.0  # logit of what is not learned from
_LEAST = 64  # pixels of an object that is validated on
_SHARES = {"simulated": 0.0, "fixed": 1.0, "both": 0.5}  # of the annotations, from a table


class ClickWork:
    """Objects with clicks.

    Parameters
    ----------
    spec : TrainingSpec
        Completed.

    Raises
    ------
    TrainingError
        If there is no object to learn from.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        card: ModelCard,
        training: Dataset[Sample],
        validation: Dataset[Sample],
        classes: ClassMap,
        device: torch.device,
    ) -> None:
        self.spec, self.card, self.classes, self.device = spec, card, classes, device
        self.validation = validation
        self.batch = spec.batch * spec.accumulate
        self.steps = max(1, -(-spec.windows // self.batch))
        self.waited = 0.0
        self.pool = self._pool(training)
        self.live: ProjectAnnotations | None = None
        if spec.class_weights is not None:
            raise TrainingError("class_weights: a click model has one class; leave them out.")
        terms = [Term(t.name, t.weight, t.options) for t in spec.losses]
        self.sum = build_loss(terms, "binary") if terms else None
        self._checked: list[Batch] | None = None
        self._looked: tuple[list[int], list[int]] | None = None
        self.corrections = self._corrections(training)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Go through an epoch, with annotations that begin with it."""
        self.live = self._annotations(self.pool, epoch)
        self.waited = 0.0
        for _ in range(self.steps):
            since = time.perf_counter()
            batch = self._batch(self.live.lesson(self.batch))
            self.waited += time.perf_counter() - since
            yield batch

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss, late predictions counting more."""
        positive, negative = batch.extra["positive"], batch.extra["negative"]
        if "ignored" in batch.extra:  # nothing is to be learned there
            logits = logits.masked_fill(batch.extra["ignored"] > 0, -_CERTAIN)
        if self.sum is not None:
            inside, outside = positive * batch.target, negative * (1 - batch.target)
            obedience = click_cross_entropy(logits, inside, outside).mean()
            return self.sum(logits, batch.target) + 0.1 * obedience
        losses = click_loss(logits, batch.target, positive, negative, pixel="normalised_focal")
        return (losses * (0.75 + 0.25 * batch.extra["steps"].clamp(max=2))).mean()

    def learned(self, logits: Tensor, batch: Batch) -> None:
        """Go on with the annotations, by what the network answered."""
        since = time.perf_counter()
        if self.live is not None and batch.origin is not None:
            self.live.advance(batch.origin, torch.sigmoid(logits))
        self.waited += time.perf_counter() - since

    def validate(self, network: nn.Module) -> Validation:
        """Click on objects of the validation images, in sessions such as napari's."""
        segmenter = Segmenter(network, self.card, device=str(self.device), half=self.spec.amp)
        some, empty = self._chosen()
        clicks = 0 if self._never_clicked else _CLICKS
        results = [self._looked_at(segmenter, i, clicks) for i in some]
        results += [self._looked_at(segmenter, i, 0) for i in empty]
        automatic = self.card.automatic
        return Validation(
            self._validation_loss(network),
            figures(results, automatic=automatic),
            tuple(row(one, automatic=automatic) for one in results),
        )

    def _looked_at(self, segmenter: Segmenter, index: int, clicks: int) -> Clicked:
        sample = self.validation[index]
        session = _session(segmenter, sample)
        partial = self.card.automatic and sample.partial
        unknown = self.classes.indices(sample.labels, partial=partial) == IGNORED
        truths = [truth for _, truth in self._objects(sample)]
        courses = tuple(_course(session, truth, unknown, clicks) for truth in truths)
        return Clicked(sample.record.name, courses)

    def preview(self, network: nn.Module, folder: Path, epoch: int) -> list[dict[str, str]]:
        """Write what is found in three validation images after a click on each object."""
        segmenter = Segmenter(network, self.card, device=str(self.device), half=self.spec.amp)
        files = []
        some, empty = self._chosen()
        for i in sorted((some + empty)[:_SHOWN]):
            sample = self.validation[i]
            session = _session(segmenter, sample)
            labels = np.zeros(sample.labels.shape, np.int64)
            for _, truth in self._objects(sample):
                session.start_from(None)
                if not self.card.automatic:
                    _click(session, np.zeros_like(truth), truth, np.zeros_like(truth))
                labels[session.predict().mask] = sample.labels[truth].max(initial=1)
            files.append(write_preview(folder, sample.record, labels, epoch, self.spec.project))
        return files

    def measure(self, network: nn.Module) -> Validation:
        """Measure it; as `validate`, which chooses nothing."""
        return self.validate(network)

    def first_windows(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """Return windows and masks as they will be learned from."""
        live = self._annotations(self.pool, 1)
        live.count = max(live.count, count)
        lesson = live.lesson(count)
        pairs = zip(lesson.image.cpu(), lesson.target.cpu(), strict=True)
        return [(image, target[0].long()) for image, target in pairs]

    def _pool(self, dataset: Dataset[Sample]) -> ProjectPool:
        records = as_records(
            dataset,
            self.classes,
            self.card.image_channels,
            by_class=self.spec.scheme == "classes",
            whole=self.card.automatic,
        )
        try:
            return ProjectPool(records)
        except ValueError:
            raise TrainingError(
                "The images to train on hold no object of 40 pixels or more; annotate some."
            ) from None

    def _annotations(self, pool: ProjectPool, epoch: int) -> ProjectAnnotations:
        colour = self.card.encoding == "colour"
        seed = (self.spec.seed * 1_000_003 + epoch) % 2**62
        without = 1 - self.spec.click_probability if self.card.automatic else 0.0
        options: dict[str, Any] = {
            "preset": self.spec.augmentation,
            "without": without,
            "zoom": self.card.window.zoom or 1.0,
            "radius": _SQUARE if colour else self.card.disk_radius,
            "steps": self._predictions,
            "count": max(24, 2 * self.batch),
            "rng": np.random.default_rng([self.spec.seed, epoch]),
            "generator": torch.Generator(self.device).manual_seed(seed),
            "device": self.device,
            "encoding": self.card.encoding,
        }
        if not self.corrections:
            return ProjectAnnotations(pool, self.spec.size, **options)
        return TableAnnotations(
            pool,
            self.spec.size,
            corrections=self.corrections,
            share=_SHARES[self.spec.clicks],
            clicked=self.spec.click_probability,
            **options,
        )

    @property
    def _never_clicked(self) -> bool:
        """Whether it learns to answer without any click, and nothing else."""
        return self.card.automatic and self.spec.click_probability == 0

    @property
    def _predictions(self) -> int:
        return 1 if self._never_clicked else _STEPS

    def _corrections(self, training: Dataset[Sample]) -> dict[str, CorrectedPrediction]:
        """Return the clicks of a table, by the image's name."""
        if self.spec.clicks == "simulated" or self._never_clicked:
            return {}
        clicks = corrections(self.spec.clicks_from, [one.image for one in training.records])
        pairs = zip(training.records, clicks, strict=True)
        return {record.name: one for record, one in pairs if one is not None}

    def _batch(self, lesson: Lesson) -> Batch:
        inputs, maps = lesson.inputs, lesson.maps
        if self.card.encoding == "colour":
            inputs = torch.cat([maps.negative, maps.positive, lesson.image], 1)
        extra = {"positive": maps.positive, "negative": maps.negative, "steps": lesson.steps}
        if lesson.ignored is not None:
            extra["ignored"] = lesson.ignored
        return Batch(inputs, lesson.target, extra, lesson)

    def _chosen(self) -> tuple[list[int], list[int]]:
        """Return the validation images that are clicked on, and empty ones that are looked at.

        A model that needs a click finds nothing before it, in an empty image as in any other.
        """
        if self._looked is None:
            count, empties = _VALIDATED // _OBJECTS, _EMPTY if self.card.automatic else 0
            some, empty = choose(len(self.validation), self._holds, count, empties=empties)
            self._looked = some, sorted(empty[:empties])
        return self._looked

    def _holds(self, index: int) -> bool:
        return any(truth.any() for _, truth in self._objects(self.validation[index]))

    def _objects(self, sample: Sample) -> list[tuple[int, Bool]]:
        """Return the objects of an image that are clicked on, with their ids."""
        indices = self.classes.indices(sample.labels)
        known = (indices > 0) & (indices != IGNORED)
        if self.card.automatic:
            return [(self.classes.output_ids[0], known)]
        ids = np.where(known, sample.labels, 0)
        if self.spec.scheme == "classes":
            ids = object_parts(ids)
        present, counts = np.unique(ids, return_counts=True)
        large = [int(i) for i, n in zip(present, counts, strict=True) if i and n >= _LEAST]
        step = max(1, len(large) // _OBJECTS)
        return [(i, ids == i) for i in large[::step][:_OBJECTS]]

    @torch.no_grad()
    def _validation_loss(self, network: nn.Module) -> float:
        """Return the loss on first clicks in validation images that are always the same."""
        if self._checked is None:
            self._checked = self._first_clicks()
        return mean_loss(network, self._checked, self.loss, self.device)

    def _first_clicks(self) -> list[Batch]:
        try:
            live = self._annotations(self._pool(self.validation), 0)
        except TrainingError:  # nothing is there to be clicked on
            return []
        live.preset = "none"
        return [self._batch(live.lesson(self.batch)) for _ in range(2)]


def _session(segmenter: Segmenter, sample: Sample) -> Session:
    pixels = np.ascontiguousarray(sample.pixels.transpose(1, 2, 0))
    return segmenter.start(pixels, rgb=False, contrast_limits=(0.0, sample.scale))


def _click(session: Session, mask: Bool, truth: Bool, unknown: Bool) -> bool:
    """Click where the mask is most wrong; False where nothing is."""
    click = next_click(mask, truth, session.clicks, ignore=unknown)
    if click is None:
        return False
    session.click(click.y, click.x, click.positive)
    return True


def _course(session: Session, truth: Bool, unknown: Bool, clicks: int) -> tuple[Counts, ...]:
    """Return what is right and wrong before the first click and after each."""
    session.start_from(None)
    mask = session.predict().mask
    course = [counted(mask, truth, unknown)]
    for _ in range(clicks):
        if not _click(session, mask, truth, unknown):
            course += [course[-1]] * (clicks + 1 - len(course))
            break
        mask = session.predict().mask
        course.append(counted(mask, truth, unknown))
    return tuple(course)
