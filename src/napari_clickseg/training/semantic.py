"""Task models: they find their classes without any click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from napari_clickseg.core.clicks import Prompt
from napari_clickseg.core.intensity import Intensity
from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.source import ImageSource
from napari_clickseg.data.dataset import IGNORED
from napari_clickseg.inference import Estimator
from napari_clickseg.models import metrics
from napari_clickseg.models.losses import Mode, Term, build_loss
from napari_clickseg.prediction import predict
from napari_clickseg.segmenter import Segmenter
from napari_clickseg.training.augment import PRESETS, Geometry, cut, shaded
from napari_clickseg.training.loader import Prefetch
from napari_clickseg.training.previews import write_preview
from napari_clickseg.training.work import Batch, TrainingError, Validation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from napari_clickseg.data.dataset import ClassMap, Dataset, Sample
    from napari_clickseg.inference import Estimate
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.training.spec import TrainingSpec

__all__ = ["SemanticWork", "class_masks", "estimator", "whole_windows"]

_PLACES = 4096  # pixels of a class that windows may be centred on
_BALANCED = 0.6  # share of the windows that are centred on a pixel of some class
_VALIDATED = 48  # windows for the validation loss


class SemanticWork:
    """Windows with classes.

    Parameters
    ----------
    spec : TrainingSpec
        Completed.
    card : ModelCard
        Of the model to be.
    training, validation : Dataset
    classes : ClassMap
    """

    def __init__(
        self,
        spec: TrainingSpec,
        card: ModelCard,
        training: Dataset,
        validation: Dataset,
        classes: ClassMap,
    ) -> None:
        self.spec, self.card, self.classes = spec, card, classes
        self.training, self.validation = training, validation
        self.batch = spec.batch * spec.accumulate
        self.steps = max(1, -(-spec.windows // self.batch))
        self.waited = 0.0
        self.places, pixels = _surveyed(training, classes)
        self.mode = _mode(card)
        terms = [Term(t.name, t.weight, t.options) for t in spec.losses]
        weights = _weights(spec.class_weights, pixels, self.mode)
        self.sum = build_loss(terms, self.mode, weights)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Go through a round."""
        threads = 1 if len(self.training) == 1 else 0
        windows = Prefetch(
            lambda i: self.window(epoch, i),
            self.steps * self.batch,
            ahead=4 * self.batch,
            threads=threads,
        )
        some: list[tuple[Tensor, Tensor]] = []
        self.waited = 0.0
        for window in windows:
            some.append(window)
            if len(some) == self.batch:
                self.waited = windows.waited
                yield self._batch(some)
                some = []

    def window(self, epoch: int, number: int) -> tuple[Tensor, Tensor]:
        """Make a window: float32 (C, N, N) and indices (N, N); may run on any thread."""
        rng = np.random.default_rng([self.spec.seed, epoch, number])
        sample_number = int(rng.integers(len(self.training)))
        sample = self.training[sample_number]
        preset = PRESETS[self.spec.augmentation]
        size = self.spec.size
        geometry = Geometry.draw(size / (self.card.window.zoom or 1.0), preset, rng)
        centre = self._centre(sample, self.places[sample_number], rng)
        indices = self.classes.indices(sample.labels)
        channels = self.card.image_channels
        image, target = cut(sample.pixels, indices, centre, size, geometry, channels)
        return shaded(image, preset, rng), target

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss."""
        target = batch.target
        ignored = target == IGNORED
        if self.mode == "multiclass":
            return self.sum(logits, target.masked_fill(ignored, 0), ignored)
        count = logits.shape[1]
        each = F.one_hot(target.masked_fill(ignored, 0), count + 1)[..., 1:]
        return self.sum(logits, each.permute(0, 3, 1, 2).float(), ignored)

    def learned(self, logits: Tensor, batch: Batch) -> None:
        """Nothing: windows don't depend on the network."""

    def validate(self, network: nn.Module) -> Validation:
        """Predict the validation images whole, as it will be done at run time."""
        segmenter = Segmenter(network, self.card, device=_device(network), half=self.spec.amp)
        names = self.card.classes
        found, together, rows = [], [], []
        total = np.zeros((len(names) + 1, len(names) + 1), np.int64)
        for i in range(len(self.validation)):
            sample = self.validation[i]
            indices = self.classes.indices(sample.labels)
            masks = class_masks(_estimate(sample, segmenter), indices.shape, self.card)
            truth = np.stack([indices == k for k in range(1, len(names) + 1)])
            ignored = indices == IGNORED
            counts = metrics.count(masks, truth, ignored)
            found.append(counts)
            together.append(metrics.count(_together(masks), _together(truth), ignored))
            kept = ~ignored
            predicted = np.where(masks.any(0), masks.argmax(0) + 1, 0)
            total += metrics.confusion(predicted[kept], indices[kept], len(names) + 1)
            rows.append(_row(sample.record.name, counts, names))
        return Validation(
            self._validation_loss(network),
            metrics.figures(found, names) | self._of_all(together),
            tuple(rows),
            tuple(tuple(int(n) for n in line) for line in total),
        )

    def _of_all(self, found: Sequence[metrics.Counts]) -> dict[str, float]:
        """Return the figures of all classes taken as one: how well things are found at all."""
        if len(self.card.classes) == 1:
            return {}
        whole = metrics.figures(found, ["foreground"])
        return {name: whole[name] for name in ("dice_foreground", "iou_foreground")}

    def preview(self, network: nn.Module, folder: Path, epoch: int) -> list[dict[str, str]]:
        """Write the classes found in three validation images."""
        segmenter = Segmenter(network, self.card, device=_device(network), half=self.spec.amp)
        files = []
        for i in range(min(3, len(self.validation))):
            sample = self.validation[i]
            shape = (sample.labels.shape[0], sample.labels.shape[1])
            masks = class_masks(_estimate(sample, segmenter), shape, self.card)
            labels = np.zeros(shape, np.int64)
            for mask, identifier in zip(masks, self.classes.output_ids, strict=True):
                labels[mask] = identifier
            files.append(write_preview(folder, sample.record, labels, epoch, self.spec.project))
        return files

    def _batch(self, windows: Sequence[tuple[Tensor, Tensor]]) -> Batch:
        images, targets = zip(*windows, strict=True)
        return Batch(torch.stack(images), torch.stack(targets))

    def _centre(
        self, sample: Sample, places: list[npt.NDArray[np.int32]], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Choose where to look: at some class that is there, each as often, or anywhere."""
        there = [some for some in places if len(some)]
        if there and rng.random() < _BALANCED:
            some = there[int(rng.integers(len(there)))]
            y, x = some[int(rng.integers(len(some)))]
            away = self.spec.size / (self.card.window.zoom or 1.0) / 4
            return float(y + rng.uniform(-away, away)), float(x + rng.uniform(-away, away))
        height, width = sample.labels.shape
        return float(rng.uniform(0, height)), float(rng.uniform(0, width))

    @torch.no_grad()
    def _validation_loss(self, network: nn.Module) -> float:
        """Return the loss on windows of the validation images that are always the same."""
        losses = []
        windows = [self._plain_window(i) for i in range(min(_VALIDATED, 4 * len(self.validation)))]
        for start in range(0, len(windows), self.batch):
            batch = self._batch(windows[start : start + self.batch]).to(_device(network))
            losses.append((float(self.loss(network(batch.inputs).float(), batch)), len(batch)))
        return sum(loss * n for loss, n in losses) / sum(n for _, n in losses)

    def _plain_window(self, number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.spec.seed, 0, number])
        sample = self.validation[number % len(self.validation)]
        indices = self.classes.indices(sample.labels)
        geometry = Geometry.draw(
            self.spec.size / (self.card.window.zoom or 1.0), PRESETS["none"], rng
        )
        places = [
            np.argwhere(indices == k + 1).astype(np.int32) for k in range(len(self.card.classes))
        ]
        centre = self._centre(sample, places, rng)
        size, channels = self.spec.size, self.card.image_channels
        return cut(sample.pixels, indices, centre, size, geometry, channels)


def estimator(sample: Sample, segmenter: Segmenter) -> Estimator:
    """Return what answers prompts on an image that is in memory already."""
    pixels = np.ascontiguousarray(sample.pixels.transpose(1, 2, 0))
    source = ImageSource(pixels, rgb=False)
    limits = Intensity.from_limits((0.0, sample.scale), source.channels)
    return Estimator(segmenter.card, source, limits, segmenter.forward)


def class_masks(
    estimate: Estimate, shape: tuple[int, int], card: ModelCard
) -> npt.NDArray[np.bool_]:
    """Return a mask for each class, bool (K, Y, X), as a session would answer it."""
    if card.overlapping and len(card.classes) > 1:
        visible = estimate.window.visible(shape)
        out = np.zeros((len(card.classes), *shape), bool)
        for mask, plane in zip(out, estimate.probabilities[1:], strict=True):
            mask[visible.slices] = estimate.window.to_box(plane, visible) > 0.5
        return out
    labels = predict(Prompt(), estimate, shape, Refinement()).labels
    return np.stack([labels == k for k in range(1, len(card.classes) + 1)])


def whole_windows(work: SemanticWork, count: int = 16) -> list[tuple[Tensor, Tensor]]:
    """Return the first windows of a training, as they will be learned from."""
    return [work.window(1, i) for i in range(count)]


def _together(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Take all classes (K, Y, X) as one (1, Y, X)."""
    return np.asarray(masks.any(axis=0))[None]


def _estimate(sample: Sample, segmenter: Segmenter) -> Estimate:
    return estimator(sample, segmenter).whole()


def _device(network: nn.Module) -> str:
    return str(next(network.parameters()).device)


def _mode(card: ModelCard) -> Mode:
    if card.outputs == 1:
        return "binary"
    return "multilabel" if card.overlapping else "multiclass"


def _row(name: str, counts: metrics.Counts, names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"image": name}
    for k, (iou, dice) in enumerate(zip(counts.iou(), counts.dice(), strict=True)):
        row |= {f"iou_{names[k]}": float(iou), f"dice_{names[k]}": float(dice)}
    return row | {"iou": float(counts.iou().mean()), "dice": float(counts.dice().mean())}


def _surveyed(
    dataset: Dataset, classes: ClassMap
) -> tuple[list[list[npt.NDArray[np.int32]]], npt.NDArray[np.int64]]:
    """Return some pixels of each class of each image, and how many pixels there are in all."""
    rng = np.random.default_rng(0)
    places = []
    pixels = np.zeros(256, np.int64)
    for i in range(len(dataset)):
        indices = classes.indices(dataset[i].labels)
        pixels += np.bincount(indices.ravel(), minlength=256)
        some = []
        for k in range(1, len(classes.ids) + 1):
            at = np.flatnonzero(indices == k)
            if len(at) > _PLACES:
                at = rng.choice(at, _PLACES, replace=False)
            some.append(np.stack(np.unravel_index(at, indices.shape), 1).astype(np.int32))
        places.append(some)
    return places, pixels[: len(classes.ids) + 1]


def _weights(
    asked: tuple[float, ...] | str | None, pixels: npt.NDArray[np.int64], mode: Mode
) -> list[float] | None:
    if asked is None:
        return None
    wanted = len(pixels) - (mode == "multilabel")
    if isinstance(asked, str):
        shares = np.maximum(pixels, 1) / max(1, pixels.sum())
        weights = 1 / np.sqrt(shares)
        weights = weights / weights[0] if mode == "multilabel" else weights / weights.mean()
        return [float(w) for w in weights[len(pixels) - wanted :]]
    if len(asked) != wanted or min(asked) <= 0:
        raise TrainingError(
            f"class_weights: {wanted} numbers above 0 are needed"
            f"{'' if mode == 'multilabel' else ', the first for the background'}."
        )
    return list(asked)
