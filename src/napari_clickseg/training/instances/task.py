"""Models that tell objects apart: they find all of them at once, each its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch

from napari_clickseg.data.sets.dataset import IGNORED
from napari_clickseg.engine.finding import card_rules
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.training.classes.augment import cut
from napari_clickseg.training.classes.task import SemanticWork
from napari_clickseg.training.instances.object_samples import CLASSLESS, STEPS, object_dataset
from napari_clickseg.training.instances.scoring import (
    measured_objects,
    predicted_objects,
    smallest_candidates,
)
from napari_clickseg.training.previews import write_preview

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from napari_clickseg.data.sets.dataset import ClassMap, Dataset, Sample
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.training.classes.augment import Geometry
    from napari_clickseg.training.instances.object_samples import ObjectSample
    from napari_clickseg.training.loop.work import Batch, Validation
    from napari_clickseg.training.spec import TrainingSpec

_DISTANCES = 2.0  # weight of the distances' loss beside the classes'
_SHOWN_EDGE = 0.25 * STEPS  # distance from the edge from which an object is shown in a window


class InstanceWork(SemanticWork):
    """Windows with objects: their classes, as in `SemanticWork`, and their distances.

    Parameters
    ----------
    spec : TrainingSpec
        Completed.
    """

    def __init__(
        self,
        spec: TrainingSpec,
        card: ModelCard,
        training: Dataset[Sample],
        validation: Dataset[Sample],
        classes: ClassMap,
    ) -> None:
        by_class = spec.scheme == "classes"
        self.learned_from = object_dataset(training, classes, by_class=by_class)
        self.validated_on = object_dataset(validation, classes, by_class=by_class)
        learned, held = (
            cast("Dataset[Sample]", some) for some in (self.learned_from, self.validated_on)
        )
        super().__init__(spec, card, learned, held, classes)
        self.smallest = smallest_candidates(self.learned_from)
        self.rules = card_rules(card)

    def first_windows(self, count: int = 16) -> list[tuple[Tensor, Tensor]]:
        """Return the first windows of a training; objects are shown without their edges."""
        windows = super().first_windows(count)
        return [
            (image, planes[0].where((planes[1] >= _SHOWN_EDGE) | (planes[0] == IGNORED), 0))
            for image, planes in windows
        ]

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss: of the classes, and of the distances where there are objects."""
        index, distances = batch.target[:, 0], batch.target[:, 1:]
        count = self.card.class_outputs
        # Where an object has no class nothing is learned of classes, but its shape is.
        classes = self._class_loss(
            logits[:, :count], index.masked_fill(index == CLASSLESS, IGNORED)
        )
        inside = ((index > 0) & (index != IGNORED))[:, None].expand_as(distances)
        off = (torch.sigmoid(logits[:, count:]) - distances / STEPS).abs()
        mean = (off * inside).sum() / inside.sum().clamp(min=1)
        return classes + _DISTANCES * mean

    def validate(self, network: nn.Module) -> Validation:
        """Find the objects of the validation images, as it will be done at run time."""
        results = measured_objects(self._segmenter(network), self.validated_on, self.smallest)
        kept = results.chosen["objects"]
        self.rules = replace(self.rules, seed_height=kept.seed_height, smallest=kept.smallest)
        return replace(results, loss=self._validation_loss(network))

    def measure(self, network: nn.Module) -> Validation:
        """Find the objects by the rules of the card."""
        return measured_objects(self._segmenter(network), self.validated_on)

    def preview(self, network: nn.Module, folder: Path, epoch: int) -> list[dict[str, str]]:
        """Write the objects found in three validation images."""
        segmenter, files = self._segmenter(network), []
        for i in self._shown():
            sample = self.validated_on[i]
            labels = predicted_objects(segmenter, sample, self.rules)
            files.append(write_preview(folder, sample.record, labels, epoch, self.spec.project))
        return files

    def _indices(self, sample: Sample) -> npt.NDArray[np.uint8]:
        planes = cast("ObjectSample", sample).planes
        indices: npt.NDArray[np.uint8] = planes[0].copy()
        indices[indices == CLASSLESS] = IGNORED
        return indices

    def _cut(
        self, sample: Sample, centre: tuple[float, float], geometry: Geometry
    ) -> tuple[Tensor, Tensor]:
        planes = cast("ObjectSample", sample).planes
        size, channels = self.spec.size, self.card.image_channels
        return cut(sample.pixels, planes, centre, size, geometry, channels)

    def _segmenter(self, network: nn.Module) -> Segmenter:
        device = str(next(network.parameters()).device)
        return Segmenter(network, self.card, device=device, half=self.spec.amp)
