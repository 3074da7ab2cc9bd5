"""Trains the class-agnostic default click model.

Images are kept in memory as 8 bit, windows are cut on the fly, clicks are put on the network's
own errors, and an exponential moving average of the weights is what is kept. The learning rate
stays up until the last part of the run, so that a run can be made longer later on.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from default_model.pool import Kind, Pool
from napari_clickseg.models.card import DataSource, ModelCard, WindowSpec
from napari_clickseg.models.checkpoint import load_network, read_card, save_model
from napari_clickseg.models.guided import GuidedNetwork
from napari_clickseg.models.network import build_network, create
from napari_clickseg.models.pretrained import input_range
from napari_clickseg.models.transfer import InputLayout, transfer
from napari_clickseg.training.clicks.live import LiveAnnotations
from napari_clickseg.training.clicks.losses import PixelLoss, click_loss
from napari_clickseg.training.loop.optimising import (
    OPTIMIZERS,
    Average,
    Precision,
    freeze,
)
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_clickseg.models.card import InputRange
    from napari_clickseg.training.clicks.live import Lesson, Source

__all__ = ["DefaultModelSpec", "Stage", "Trainer", "train_default_model", "untrained"]

logger = logging.getLogger(__name__)
# Of a run that is resumed: how long it is, and where and in what windows it goes on.
_MAY_CHANGE = ("samples", "stages", "decay", "device", "checkpoint_minutes", "encoder_rate")


class Stage(BaseModel):
    """A stretch of the training with one size of window."""

    model_config = ConfigDict(frozen=True)

    size: int = Field(ge=32, multiple_of=32)
    batch: int = Field(ge=2)  # batch normalisation needs two
    share: float = Field(gt=0, le=1)  # of the samples
    frozen: bool = False  # the encoder stays as it is


class DefaultModelSpec(BaseModel):
    """All that a run needs, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str = "unet"
    encoder: str = "tu-resnet10t"
    options: dict[str, Any] = Field(
        default_factory=lambda: {"decoder_channels": [128, 64, 48, 32, 16]}
    )
    encoding: Literal["channels", "likeness", "prompts"] = "likeness"
    fusion: Literal["input", "beside"] = "input"
    guidance_widths: tuple[int, ...] = ()
    encoder_weights: Literal["imagenet"] | None = None  # where no model is started from
    encoder_rate: float = Field(1.0, ge=0)  # of the learning rate
    overlap: float = Field(0.1, ge=0)  # weight of the loss of the estimated IoU, of "beside"
    samples: int = Field(40_000, ge=1)  # to be learned from, in all
    stages: tuple[Stage, ...] = (
        Stage(size=128, batch=8, share=0.8),
        Stage(size=192, batch=8, share=0.2),
    )
    pixel_loss: PixelLoss = "normalised_focal"
    optimizer: Literal["adamw", "muon"] = "muon"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    # Normalise by the statistics of the model that is started from, in training as in use: those
    # of a batch of images of eight kinds are others. From scratch there are none yet.
    frozen_statistics: bool = False
    warm_up: float = Field(0.02, ge=0, lt=1)  # share of the samples
    ema: float = Field(0.998, ge=0, lt=1)
    decay: float = Field(0.3, gt=0, le=1)  # share of the samples, the last, with a falling rate
    steps: int = Field(5, ge=1)  # predictions of most objects, at the most; all are learned from
    live: int = Field(48, ge=2)  # objects that are being annotated at a time, at the least
    generated: int = Field(400, ge=0)
    superpixel_images: int = Field(250, ge=0)
    composed: int = Field(300, ge=0)
    shares: tuple[float, float, float] = (0.13, 0.06, 0.2)  # of these three kinds of images
    kinds: dict[str, Kind] = Field(default_factory=dict)  # of the real ones, see `pool.Kind`
    renewed: float = Field(0.3, ge=0, le=1)  # how often one of them is made anew before it is drawn
    disk_radius: float = Field(4.0, gt=0)  # at windows of 256 pixels
    seed: int = 0
    checkpoint_minutes: float = Field(2.0, gt=0)
    device: str = "cpu"

    @field_validator("shares", mode="before")
    @classmethod
    def _all_shares(cls, shares: Sequence[float]) -> Sequence[float]:
        """Add what runs did not say before there were composed images."""
        return [*shares, *[0.0] * (3 - len(shares))]

    @field_validator("shares")
    @classmethod
    def _possible_shares(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if min(shares) < 0 or sum(shares) >= 1:
            raise ValueError("shares must not be negative, and leave some for the real images")
        return shares


def untrained(spec: DefaultModelSpec, shown: InputRange | None = None) -> ModelCard:
    """Return the card of a model that has not learned yet.

    Parameters
    ----------
    spec : DefaultModelSpec
        Of its training.
    shown : InputRange, optional
        What the encoder is shown.
    """
    size = max(stage.size for stage in spec.stages)
    return ModelCard(
        name="default",
        description="Class-agnostic click model: outlines the object that is clicked on.",
        architecture=spec.architecture,
        encoder=spec.encoder,
        options=spec.options,
        encoding=spec.encoding,
        fusion=spec.fusion,
        guidance_widths=spec.guidance_widths,
        input_range=shown,
        image_channels=3,
        disk_radius=spec.disk_radius * size / 256,
        window=WindowSpec(size=size),
        limits="Thin vessels, cracks and roads: needs many clicks. Objects made of several "
        "parts: a click on each part. Objects longer than 4096 pixels: outline in parts.",
    )


class Trainer:
    """A run in a folder: `spec.json`, `events.jsonl`, `last.ckpt` and `model.safetensors`.

    Parameters
    ----------
    spec : DefaultModelSpec
    pool : Pool
        The images, or whatever draws some.
    folder : Path
        Of the run; a run that is there is resumed.
    data : tuple of DataSource
        What the card says about the images.
    start : Path, optional
        A model of the same architecture, whose weights are the start of a new run; inputs that
        it lacks are added.
    commit : str
        Of the code, for the card.

    Raises
    ------
    ValueError
        If the model to start from is of another architecture, or the run that is there was
        begun with other settings than its length and its windows.
    """

    def __init__(
        self,
        spec: DefaultModelSpec,
        pool: Source,
        folder: Path,
        data: tuple[DataSource, ...] = (),
        start: Path | None = None,
        commit: str = "",
    ) -> None:
        self.spec, self.pool, self.folder, self.data = spec, pool, folder, data
        self.commit = commit
        folder.mkdir(parents=True, exist_ok=True)
        _check_same(spec, folder)
        (folder / "spec.json").write_text(spec.model_dump_json(indent=2))
        torch.manual_seed(spec.seed)
        self.device = torch.device(spec.device)
        self.input_range = self._input_range(start)
        form = untrained(spec, self.input_range)
        network = build_network(form)
        self.before: dict[str, Any] = {}
        if start is not None:
            known, card = load_network(start)
            taken = transfer(
                network, known.state_dict(), InputLayout.of(card), InputLayout.of(form)
            )
            if taken.fresh:
                raise ValueError(f"{start} is of another architecture; start from another model.")
            self.before = card.training
        elif spec.encoder_weights is not None:
            trained = create(
                spec.architecture, spec.encoder, channels=3, classes=1, options=spec.options,
                weights=spec.encoder_weights,
            )  # fmt: skip
            image = InputLayout("image", 3)
            transfer(network, trained.state_dict(), image, InputLayout.of(form), "encoder")
        before_file = folder / "started_from.json"
        if before_file.exists():  # of a run that is resumed
            self.before = json.loads(before_file.read_text())
        elif self.before:
            before_file.write_text(json.dumps(self.before, indent=2))
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.average = Average(copy.deepcopy(self.network), spec.ema)
        self.network.train()
        if spec.frozen_statistics:
            _freeze_statistics(self.network)
        self.optimizer = self._optimizer()
        self.precision = Precision(self.device, wanted=True)
        self._resume()
        seed = spec.seed * 1_000_003 + self.iteration
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.live: LiveAnnotations | None = None
        self.overlaps: list[tuple[int, float]] = []  # of predictions, with their step
        self.misjudged: list[float] = []  # by how much the estimated overlaps were off

    def run(self) -> ModelCard:
        """Train until enough samples were seen; return the card of the model left on disk."""
        budget = self.spec.samples
        saved = self.seconds
        losses: list[float] = []
        while self.samples < budget:
            began = time.perf_counter()
            self._set_rate(self.samples / budget)
            losses.append(self._step(self._lesson()))
            self.iteration += 1
            self.seconds += time.perf_counter() - began
            if self.iteration % 50 == 0:
                self._event(loss=float(np.mean(losses)), **self._mean_overlaps())
                losses.clear()
            if self.seconds - saved > self.spec.checkpoint_minutes * 60:
                saved = self.seconds
                self.save()
        return self.save()

    def save(self) -> ModelCard:
        """Write the model so far, and the state to resume from."""
        card = self.card()
        save_model(self.folder / "model.safetensors", self.average.network.state_dict(), card)
        state = {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": torch.tensor(
                [self.seconds, self.samples, self.iteration], dtype=torch.float64
            ),
        }
        write_whole(self.folder / "last.ckpt", lambda partial: torch.save(state, partial))
        return card

    def card(self) -> ModelCard:
        """Return the card of the model as it is now."""
        training = {
            "spec": self.spec.model_dump(mode="json"),
            "seconds": round(self.seconds),
            "samples": self.samples,
            "encoder_weights": self.spec.encoder_weights or "none (from scratch)",
            **({"commit": self.commit} if self.commit else {}),
            **({"started_from": self.before} if self.before else {}),
        }
        form = untrained(self.spec, self.input_range)
        return form.model_copy(update={"data": self.data, "training": training})

    def _input_range(self, start: Path | None) -> InputRange | None:
        """Return what the encoder is shown: as in the run that is resumed, or in the start."""
        kept = self.folder / "model.safetensors"
        before = kept if kept.exists() else start
        if before is not None:
            return read_card(before).input_range
        return input_range(self.spec.encoder) if self.spec.encoder_weights else None

    def _optimizer(self) -> torch.optim.Optimizer:
        encoder: list[Tensor] = []
        rest: list[Tensor] = []
        for name, parameter in self.network.named_parameters():
            (encoder if name.startswith("encoder.") else rest).append(parameter)
        trained = self.input_range is not None
        groups: list[dict[str, Any]] = [
            {"params": rest, "factor": 1.0},
            {"params": encoder, "factor": self.spec.encoder_rate, "orthogonal": not trained},
        ]
        return OPTIMIZERS[self.spec.optimizer](
            groups, lr=self.spec.learning_rate, weight_decay=self.spec.weight_decay
        )

    def _resume(self) -> None:
        self.seconds, self.samples, self.iteration = 0.0, 0, 0
        path = self.folder / "last.ckpt"
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        seconds, samples, iteration = state["progress"].tolist()
        self.seconds, self.samples, self.iteration = seconds, int(samples), int(iteration)

    def _lesson(self) -> Lesson:
        stage, spec = self._stage(self.samples / self.spec.samples), self.spec
        if self.live is None or self.live.size != stage.size:
            self.live = LiveAnnotations(
                self.pool,
                stage.size,
                radius=spec.disk_radius * stage.size / 256,
                steps=spec.steps,
                count=max(spec.live, stage.batch),
                rng=self.rng,
                generator=self.generator,
                device=self.device,
                encoding=spec.encoding,
            )
            freeze(self.network, frozen=stage.frozen)
        return self.live.lesson(stage.batch)

    def _stage(self, progress: float) -> Stage:
        total = 0.0
        for stage in self.spec.stages:
            total += stage.share
            if progress < total:
                return stage
        return self.spec.stages[-1]

    def _set_rate(self, progress: float) -> None:
        warm, decay = self.spec.warm_up, self.spec.decay
        factor = min(1.0, max(progress / warm, 0.01)) if warm else 1.0
        late = (progress - 1 + decay) / decay
        if late > 0:
            factor = min(factor, 0.5 * (1 + math.cos(math.pi * min(1.0, late))))
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.learning_rate * max(factor, 1e-3) * group["factor"]

    def _step(self, lesson: Lesson) -> float:
        maps, target = lesson.maps, lesson.target
        inputs = lesson.inputs.contiguous(memory_format=torch.channels_last)
        with self.precision.autocast():
            answer = self._answered(lesson, inputs)
        logits = answer.logits.float()
        losses = click_loss(
            logits, target, maps.positive, maps.negative, pixel=self.spec.pixel_loss
        )
        if self.spec.overlap and answer.overlap is not None:
            real = overlaps(logits.detach() > 0, target > 0.5, lesson.areas)
            estimated = answer.overlap.float()
            wrong = F.binary_cross_entropy_with_logits(estimated, real, reduction="none")
            losses = losses + self.spec.overlap * wrong
            self.misjudged.append(float((torch.sigmoid(estimated.detach()) - real).abs().mean()))
        weighted = (losses * (0.75 + 0.25 * lesson.steps.clamp(max=2))).mean()
        self.optimizer.zero_grad(set_to_none=True)
        scaler = self.precision.scaler
        scaler.scale(weighted).backward()  # type: ignore[no-untyped-call]
        scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 3.0)
        if torch.isfinite(norm):  # one step with NaN would end the run
            scaler.step(self.optimizer)
            self.average.steps = self.iteration
            self.average.update(self.network)
        scaler.update()
        self._note(logits.detach() > 0, target > 0.5, lesson.steps)
        assert self.live is not None
        self.live.advance(lesson, torch.sigmoid(logits.detach()))
        self.samples += target.shape[0]
        return float(losses.detach().mean())

    def _answered(self, lesson: Lesson, inputs: Tensor) -> _Answered:
        """Answer a batch; the encoder sees each window once, while nothing moves it."""
        network, live = self.network, self.live
        assert live is not None
        if not isinstance(network, GuidedNetwork):
            return _Answered(network(inputs), None)
        annotations = [live.in_progress[i] for i in lesson.chosen]
        new = [k for k, annotation in enumerate(annotations) if annotation.features is None]
        fresh = network.features(inputs[new, : network.image_channels]) if new else []
        seen = dict(zip(new, zip(*fresh, strict=True), strict=True))  # these are learned from
        for k, parts in seen.items():
            annotations[k].features = [part.detach() for part in parts]
        windows = [seen.get(k) or one.features or () for k, one in enumerate(annotations)]
        features = [
            torch.stack(at_stride).contiguous(memory_format=torch.channels_last)
            for at_stride in zip(*windows, strict=True)
        ]
        return _Answered(*network.answer(features, inputs))

    def _note(self, mask: Tensor, truth: Tensor, steps: Tensor) -> None:
        both = (mask & truth).sum(dim=(1, 2, 3)) / (mask | truth).sum(dim=(1, 2, 3))
        self.overlaps += zip(steps.tolist(), both.tolist(), strict=True)

    def _mean_overlaps(self) -> dict[str, float]:
        """Return the mean IoU at the first prediction, and from the fourth on, since last time."""
        first = [iou for step, iou in self.overlaps if step == 0]
        late = [iou for step, iou in self.overlaps if step >= 3]
        named = {"iou_first": first, "iou_late": late, "overlap_error": self.misjudged}
        self.overlaps, self.misjudged = [], []
        return {name: float(np.mean(values)) for name, values in named.items() if values}

    def _event(self, **values: float) -> None:
        event = {
            "iteration": self.iteration,
            "samples": self.samples,
            "seconds": round(self.seconds, 1),
            "lr": self.optimizer.param_groups[0]["lr"],
            **{name: round(value, 5) for name, value in values.items()},
        }
        logger.info("%s", event)
        with (self.folder / "events.jsonl").open("a") as file:
            file.write(json.dumps(event) + "\n")


class _Answered(NamedTuple):
    logits: Tensor
    overlap: Tensor | None


def overlaps(masks: Tensor, truth: Tensor, areas: Tensor) -> Tensor:
    """Return the IoU of answers with objects that may reach out of the window.

    Parameters
    ----------
    masks, truth : bool Tensor (B, 1, N, N)
        In the window.
    areas : Tensor (B,)
        Of all of each object.
    """
    both = (masks & truth).sum((1, 2, 3))
    return both / (masks.sum((1, 2, 3)) + areas - both).clamp(min=1)


def _check_same(spec: DefaultModelSpec, folder: Path) -> None:
    """Raise ValueError if the run that is in `folder` was begun with other settings."""
    path = folder / "spec.json"
    if not (folder / "last.ckpt").exists() or not path.exists():
        return
    began = DefaultModelSpec.model_validate_json(path.read_text())
    other = [
        name
        for name in DefaultModelSpec.model_fields
        if name not in _MAY_CHANGE and getattr(began, name) != getattr(spec, name)
    ]
    if other:
        raise ValueError(
            f"The run in {folder} was begun with another {', '.join(other)}; "
            "go on with its own spec.json, or choose another folder."
        )


def train_default_model(
    spec: DefaultModelSpec,
    folders: list[Path],
    out: Path,
    data: tuple[DataSource, ...] = (),
    start: Path | None = None,
    commit: str = "",
) -> ModelCard:
    """Train on project folders; the model lies in ``out/model.safetensors``.

    Parameters
    ----------
    spec : DefaultModelSpec
        All that the run needs to know.
    folders : list of Path
        Project folders, each with an `index.csv` of the columns image and mask.
    out : Path
        The run's folder; a run that is there is resumed.
    data : tuple of DataSource
        What the card says about the images.
    start : Path, optional
        A model of the same architecture to start from.
    commit : str
        Of the code, for the card.
    """
    pool = Pool(
        folders,
        seed=spec.seed,
        generated=spec.generated,
        superpixel_images=spec.superpixel_images,
        composed=spec.composed,
        shares=spec.shares,
        renewed=spec.renewed,
        kinds=spec.kinds,
    )
    return Trainer(spec, pool, out, data, start, commit).run()


def _freeze_statistics(network: nn.Module) -> None:
    """Normalise batches by the statistics that are there, and leave those as they are."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
