"""Task models: they find their classes without any click."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from napari_clickseg.core.intensity import Intensity
from napari_clickseg.core.masks import Refinement
from napari_clickseg.core.prompts import Prompt
from napari_clickseg.core.source import ImageSource
from napari_clickseg.data.sets.dataset import IGNORED
from napari_clickseg.engine.inference import Estimator
from napari_clickseg.engine.prediction import predict
from napari_clickseg.engine.segmenter import Segmenter
from napari_clickseg.models import metrics
from napari_clickseg.models.losses import Mode, Term, build_loss
from napari_clickseg.training.classes.augment import PRESETS, Geometry, cut, shaded
from napari_clickseg.training.loop.loader import Prefetch
from napari_clickseg.training.loop.work import TOGETHER, Batch, TrainingError, Validation, mean_loss
from napari_clickseg.training.previews import write_preview
from napari_clickseg.training.selection import choose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from napari_clickseg.data.sets.dataset import ClassMap, Dataset, Sample
    from napari_clickseg.engine.estimate import Estimate
    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.training.spec import TrainingSpec

_PLACES = 4096  # pixels of a class that windows may be centred on
_BALANCED = 0.6  # share of the windows that are centred on a pixel of some class
_VALIDATED = 48  # windows for the validation loss
_SHOWN = 3  # validation images


class SemanticWork:
    """Windows with classes.

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
        self.spec, self.card, self.classes = spec, card, classes
        self.training, self.validation = training, validation
        self.batch = spec.batch * spec.accumulate
        self.steps = max(1, -(-spec.windows // self.batch))
        self.waited = 0.0
        self.places, pixels = self._surveyed()
        self.holding = _holding(self.places)
        self.mode = _mode(card)
        terms = [Term(t.name, t.weight, t.options) for t in spec.losses]
        weights = _weights(spec.class_weights, pixels, self.mode)
        self.sum = build_loss(terms, self.mode, weights)
        self._previewed: list[int] | None = None

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Go through an epoch."""
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
        index, place = self._aim(rng)
        sample = self.training[index]
        preset = PRESETS[self.spec.augmentation]
        size = self.spec.size
        geometry = Geometry.draw(size / (self.card.window.zoom or 1.0), preset, rng)
        centre = self._around(place, rng) if place is not None else _anywhere(sample, rng)
        image, target = self._cut(sample, centre, geometry)
        return shaded(image, preset, rng), target

    def first_windows(self, count: int = 16) -> list[tuple[Tensor, Tensor]]:
        """Return the first windows of a training with their classes, as they will be learned."""
        return [self.window(1, i) for i in range(count)]

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss."""
        return self._class_loss(logits, batch.target)

    def _class_loss(self, logits: Tensor, target: Tensor) -> Tensor:
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
        results = measured(segmenter, self.validation, self.classes)
        return replace(results, loss=self._validation_loss(network))

    def measure(self, network: nn.Module) -> Validation:
        """Measure it; as `validate`, which chooses nothing."""
        return self.validate(network)

    def preview(self, network: nn.Module, folder: Path, epoch: int) -> list[dict[str, str]]:
        """Write the classes found in three validation images."""
        segmenter = Segmenter(network, self.card, device=_device(network), half=self.spec.amp)
        files = []
        for i in self._shown():
            sample = self.validation[i]
            shape = (sample.labels.shape[0], sample.labels.shape[1])
            masks = class_masks(_estimate(sample, segmenter), shape, self.card)
            labels = np.zeros(shape, np.int64)
            for mask, identifier in zip(masks, self.classes.output_ids, strict=True):
                labels[mask] = identifier
            files.append(write_preview(folder, sample.record, labels, epoch, self.spec.project))
        return files

    def _indices(self, sample: Sample) -> npt.NDArray[np.uint8]:
        """Return the classes of an image's pixels, as in `ClassMap.indices`."""
        return self.classes.indices(sample.labels, partial=sample.partial)

    def _cut(
        self, sample: Sample, centre: tuple[float, float], geometry: Geometry
    ) -> tuple[Tensor, Tensor]:
        """Cut out a window and what is to be learned of it."""
        channels, size = self.card.image_channels, self.spec.size
        indices = partial(self.classes.indices, partial=sample.partial)
        return cut(sample.pixels, sample.labels, centre, size, geometry, channels, indices)

    def _surveyed(self) -> tuple[list[list[npt.NDArray[np.int32]]], npt.NDArray[np.int64]]:
        """Return some pixels of each class of each image, and how many pixels there are in all."""
        rng = np.random.default_rng(0)
        places = []
        pixels = np.zeros(256, np.int64)
        count = len(self.classes.ids)
        for i in range(len(self.training)):
            indices = self._indices(self.training[i])
            pixels += np.bincount(indices.ravel(), minlength=256)
            some = []
            for k in range(1, count + 1):
                at = np.flatnonzero(indices == k)
                if len(at) > _PLACES:
                    at = rng.choice(at, _PLACES, replace=False)
                some.append(np.stack(np.unravel_index(at, indices.shape), 1).astype(np.int32))
            places.append(some)
        return places, pixels[: count + 1]

    def _batch(self, windows: Sequence[tuple[Tensor, Tensor]]) -> Batch:
        images, targets = zip(*windows, strict=True)
        return Batch(torch.stack(images), torch.stack(targets))

    def _shown(self) -> list[int]:
        """Return the validation images that are shown: those that hold something first."""
        if self._previewed is None:
            some, empty = choose(len(self.validation), self._holds, _SHOWN)
            self._previewed = sorted((some + empty)[:_SHOWN])
        return self._previewed

    def _holds(self, index: int) -> bool:
        indices = self._indices(self.validation[index])
        return bool(((indices > 0) & (indices != IGNORED)).any())

    def _aim(self, rng: np.random.Generator) -> tuple[int, npt.NDArray[np.int32] | None]:
        """Choose an image, and a pixel of a class to look at; or none: anywhere.

        The class is chosen first and then one of the images that hold it, so that as many windows
        show something however many images are empty.
        """
        if not self.holding or rng.random() >= _BALANCED:
            return int(rng.integers(len(self.training))), None
        k, images = self.holding[int(rng.integers(len(self.holding)))]
        index = images[int(rng.integers(len(images)))]
        places = self.places[index][k]
        return index, places[int(rng.integers(len(places)))]

    def _around(
        self, place: npt.NDArray[np.int32], rng: np.random.Generator
    ) -> tuple[float, float]:
        y, x = place
        away = self.spec.size / (self.card.window.zoom or 1.0) / 4
        return float(y + rng.uniform(-away, away)), float(x + rng.uniform(-away, away))

    def _centre(
        self, sample: Sample, places: list[npt.NDArray[np.int32]], rng: np.random.Generator
    ) -> tuple[float, float]:
        """Choose where to look in an image: at some class that is there, or anywhere."""
        there = [some for some in places if len(some)]
        if there and rng.random() < _BALANCED:
            some = there[int(rng.integers(len(there)))]
            return self._around(some[int(rng.integers(len(some)))], rng)
        return _anywhere(sample, rng)

    @torch.no_grad()
    def _validation_loss(self, network: nn.Module) -> float:
        """Return the loss on windows of the validation images that are always the same."""
        windows = [self._plain_window(i) for i in range(min(_VALIDATED, 4 * len(self.validation)))]
        together = min(self.batch, TOGETHER)
        return mean_loss(network, [self._batch(windows)], self.loss, _device(network), together)

    def _plain_window(self, number: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.spec.seed, 0, number])
        sample = self.validation[number % len(self.validation)]
        indices = self._indices(sample)
        geometry = Geometry.draw(
            self.spec.size / (self.card.window.zoom or 1.0), PRESETS["none"], rng
        )
        places = [
            np.argwhere(indices == k + 1).astype(np.int32) for k in range(len(self.card.classes))
        ]
        centre = self._centre(sample, places, rng)
        return self._cut(sample, centre, geometry)


def measured(segmenter: Segmenter, dataset: Dataset[Sample], classes: ClassMap) -> Validation:
    """Predict images whole and measure what is found.

    Parameters
    ----------
    segmenter : Segmenter
        Of a model of these classes.
    dataset : Dataset
        Images with their masks.
    classes : ClassMap
        What ids mean.

    Returns
    -------
    Validation
        Without a loss.
    """
    names = segmenter.card.classes
    by_image, together, rows = [], [], []
    total = np.zeros((len(names) + 1, len(names) + 1), np.int64)
    for i in range(len(dataset)):
        sample = dataset[i]
        indices = classes.indices(sample.labels, partial=sample.partial)
        masks = class_masks(_estimate(sample, segmenter), indices.shape, segmenter.card)
        truth = np.stack([indices == k for k in range(1, len(names) + 1)])
        ignored = indices == IGNORED
        counts = metrics.count(masks, truth, ignored)
        by_image.append(counts)
        together.append(metrics.count(_together(masks), _together(truth), ignored))
        kept = ~ignored
        predicted = np.where(masks.any(0), masks.argmax(0) + 1, 0)
        total += metrics.confusion(predicted[kept], indices[kept], len(names) + 1)
        rows.append(_row(sample.record.name, counts, names))
    return Validation(
        float("nan"),
        metrics.figures(by_image, names) | _of_all(together, names),
        tuple(rows),
        tuple(tuple(int(n) for n in line) for line in total),
    )


def _of_all(by_image: Sequence[metrics.Counts], names: Sequence[str]) -> dict[str, float]:
    """Return the figures of all classes taken as one: how well things are found at all."""
    if len(names) == 1:
        return {}
    whole = metrics.figures(by_image, ["foreground"])
    return {name: whole[name] for name in ("dice_foreground", "iou_foreground")}


def estimator(sample: Sample, segmenter: Segmenter) -> Estimator:
    """Return what answers prompts on an image that is in memory already."""
    pixels = np.ascontiguousarray(sample.pixels.transpose(1, 2, 0))
    source = ImageSource(pixels, rgb=False)
    limits = Intensity.from_limits((0.0, sample.scale), source.channels)
    return Estimator(segmenter.card, source, limits, segmenter.look)


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


def _together(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Take all classes (K, Y, X) as one (1, Y, X)."""
    return np.asarray(masks.any(axis=0))[None]


def _estimate(sample: Sample, segmenter: Segmenter) -> Estimate:
    return estimator(sample, segmenter).whole()


def _device(network: nn.Module) -> str:
    return str(next(network.parameters()).device)


def _mode(card: ModelCard) -> Mode:
    if card.class_outputs == 1:
        return "binary"
    return "multilabel" if card.overlapping else "multiclass"


def _row(name: str, counts: metrics.Counts, names: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"image": name}
    for k, (iou, dice) in enumerate(zip(counts.iou(), counts.dice(), strict=True)):
        row |= {f"iou_{names[k]}": float(iou), f"dice_{names[k]}": float(dice)}
    return row | {"iou": float(counts.iou().mean()), "dice": float(counts.dice().mean())}


def _holding(places: Sequence[Sequence[npt.NDArray[np.int32]]]) -> list[tuple[int, list[int]]]:
    """Return the classes that occur, each with the images that hold it."""
    count = len(places[0]) if places else 0
    holding = [(k, [i for i, some in enumerate(places) if len(some[k])]) for k in range(count)]
    return [(k, images) for k, images in holding if images]


def _anywhere(sample: Sample, rng: np.random.Generator) -> tuple[float, float]:
    height, width = sample.labels.shape
    return float(rng.uniform(0, height)), float(rng.uniform(0, width))


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
