"""Trains the class-agnostic default click model.

Images are kept in memory as 8 bit, windows are cut on the fly, clicks are simulated from the
network's own errors, and an exponential moving average of the weights is what is kept.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from napari_clickseg.core.guidance import input_channels
from napari_clickseg.models.card import DataSource, ModelCard, WindowSpec
from napari_clickseg.models.checkpoint import save_model
from napari_clickseg.models.network import create
from napari_clickseg.training.losses import PixelLoss, click_loss
from napari_clickseg.training.samples import Pool, augment_intensity, window_batch
from napari_clickseg.training.simulate import ClickMaps, next_clicks, perturbed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["DefaultModelSpec", "Stage", "Trainer", "train_default_model"]

logger = logging.getLogger(__name__)


class Stage(BaseModel):
    """A stretch of the training with one size of window."""

    model_config = ConfigDict(frozen=True)

    size: int = Field(ge=32, multiple_of=32)
    batch: int = Field(ge=2)  # batch normalisation needs two
    share: float = Field(gt=0, le=1)  # of the samples


class DefaultModelSpec(BaseModel):
    """All that a run needs, as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str = "unet"
    encoder: str = "tu-resnet10t"
    options: dict[str, Any] = Field(
        default_factory=lambda: {"decoder_channels": [128, 64, 48, 32, 16]}
    )
    samples: int = Field(40_000, ge=1)  # to be learned from, in all
    stages: tuple[Stage, ...] = (
        Stage(size=128, batch=8, share=0.8),
        Stage(size=192, batch=8, share=0.2),
    )
    pixel_loss: PixelLoss = "normalised_focal"
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    warm_up: float = Field(0.02, ge=0, lt=1)  # share of the samples
    ema: float = Field(0.998, ge=0, lt=1)
    steps: int = Field(3, ge=0)  # simulated clicks before the one that is learned from
    generated: int = Field(400, ge=0)
    superpixel_images: int = Field(250, ge=0)
    shares: tuple[float, float] = (0.06, 0.06)
    disk_radius: float = Field(4.0, gt=0)  # at windows of 256 pixels
    seed: int = 0
    checkpoint_minutes: float = Field(2.0, gt=0)
    device: str = "cpu"


def _shares_of_steps(most: int) -> npt.NDArray[np.float64]:
    """Return how often an object is learned from after 0 … `most` predictions: early ones more."""
    weights = np.arange(most + 1, 0, -1, dtype=np.float64)
    return np.asarray(weights / weights.sum())


@dataclass(frozen=True, slots=True)
class _Batch:
    image: Tensor
    target: Tensor


class Trainer:
    """A run in a folder: `spec.json`, `events.jsonl`, `last.ckpt` and `model.safetensors`.

    Parameters
    ----------
    spec : DefaultModelSpec
    pool : Pool
        The images.
    folder : Path
        Of the run; a run that is there is resumed.
    data : tuple of DataSource
        What the card says about the images.
    """

    def __init__(
        self,
        spec: DefaultModelSpec,
        pool: Pool,
        folder: Path,
        data: tuple[DataSource, ...] = (),
    ) -> None:
        self.spec, self.pool, self.folder, self.data = spec, pool, folder, data
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "spec.json").write_text(spec.model_dump_json(indent=2))
        torch.manual_seed(spec.seed)
        self.device = torch.device(spec.device)
        network = create(
            spec.architecture,
            spec.encoder,
            channels=input_channels("channels", 3),
            classes=1,
            options=spec.options,
        )
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay
        )
        self.seconds, self.samples, self.iteration = 0.0, 0, 0
        self._resume()
        seed = spec.seed * 1_000_003 + self.iteration
        self.rng = np.random.default_rng(seed)
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def run(self) -> ModelCard:
        """Train until enough samples were seen; return the card of the model left on disk."""
        budget = self.spec.samples
        saved = self.seconds
        losses: list[float] = []
        batches = self._batches()
        while self.samples < budget:
            began = time.perf_counter()
            self._set_rate(self.samples / budget)
            losses.append(self._step(next(batches)))
            self.iteration += 1
            self.seconds += time.perf_counter() - began
            if self.iteration % 50 == 0:
                self._event(loss=float(np.mean(losses)))
                losses.clear()
            if self.seconds - saved > self.spec.checkpoint_minutes * 60:
                saved = self.seconds
                self.save()
        return self.save()

    def save(self) -> ModelCard:
        """Write the model so far, and the state to resume from."""
        card = self.card()
        save_model(self.folder / "model.safetensors", self.average.state_dict(), card)
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": torch.tensor(
                [self.seconds, self.samples, self.iteration], dtype=torch.float64
            ),
        }
        partial = self.folder / "last.ckpt.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "last.ckpt")
        return card

    def card(self) -> ModelCard:
        """Return the card of the model as it is now."""
        spec = self.spec
        size = max(stage.size for stage in spec.stages)
        return ModelCard(
            name="default",
            description="Class-agnostic click model: outlines the object that is clicked on.",
            architecture=spec.architecture,
            encoder=spec.encoder,
            options=spec.options,
            encoding="channels",
            image_channels=3,
            disk_radius=spec.disk_radius * size / 256,
            window=WindowSpec(size=size),
            data=self.data,
            training={
                "spec": spec.model_dump(mode="json"),
                "seconds": round(self.seconds),
                "samples": self.samples,
                "encoder_weights": "none (from scratch)",
            },
            limits="Thin vessels, cracks and roads: needs many clicks. Objects made of several "
            "parts: a click on each part. Objects longer than 4096 pixels: outline in parts.",
        )

    def _resume(self) -> None:
        path = self.folder / "last.ckpt"
        if not path.exists():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        seconds, samples, iteration = state["progress"].tolist()
        self.seconds, self.samples, self.iteration = seconds, int(samples), int(iteration)

    def _batches(self) -> Iterator[_Batch]:
        while True:
            stage = self._stage(self.samples / self.spec.samples)
            records = self.pool.draw(self.rng, stage.batch)
            image, target = window_batch(records, stage.size, self.rng)
            # An object may have been shifted out: such a window teaches nothing.
            keep = target.sum(dim=(1, 2, 3)) >= 9
            if int(keep.sum()) < 2:
                continue
            image, target = image[keep].to(self.device), target[keep].to(self.device)
            yield _Batch(augment_intensity(image, self.generator), target)

    def _stage(self, progress: float) -> Stage:
        total = 0.0
        for stage in self.spec.stages:
            total += stage.share
            if progress < total:
                return stage
        return self.spec.stages[-1]

    def _set_rate(self, progress: float) -> None:
        warm = self.spec.warm_up
        if progress < warm:
            factor = max(progress / warm, 0.01)
        else:
            factor = 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warm) / (1 - warm))))
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.learning_rate * max(factor, 1e-3)

    def _forward(
        self, network: nn.Module, image: Tensor, maps: ClickMaps, previous: Tensor
    ) -> Tensor:
        inputs = torch.cat([image, maps.positive, maps.negative, previous], 1)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits: Tensor = network(inputs)
        return logits.float()

    def _simulate(self, batch: _Batch) -> tuple[ClickMaps, Tensor, Tensor]:
        """Click on each object until a random step of its own.

        Steps are mixed within a batch, so that batch normalisation sees in every batch what it
        will see at run time: first clicks and late ones.

        Returns
        -------
        maps : ClickMaps
        previous : Tensor (B, 1, N, N)
            The prediction before the last click.
        steps : Tensor (B,)
            How many predictions each object has had.
        """
        spec, target = self.spec, batch.target
        n, size = target.shape[0], target.shape[-1]
        maps = ClickMaps.empty(n, size, spec.disk_radius * size / 256, self.device)
        # Some begin with a mask that is there already, as a correction does.
        begun = self._coin(n, 0.15)
        start = torch.zeros_like(target)
        previous = torch.where(begun, perturbed(target, self.generator), start)
        self._click(maps, previous, target)
        drawn = self.rng.choice(spec.steps + 1, n, p=_shares_of_steps(spec.steps))
        steps = torch.from_numpy(drawn).to(self.device)
        self.network.eval()
        with torch.no_grad():
            for step in range(spec.steps):
                chosen = (steps > step).nonzero().flatten()
                if chosen.numel() == 0:
                    break
                part = maps.take(chosen)
                answer = torch.sigmoid(
                    self._forward(self.network, batch.image[chosen], part, previous[chosen])
                )
                self._click(part, answer, target[chosen])
                if self.rng.random() < 0.25:  # several clicks before the next look
                    self._click(part, answer, target[chosen])
                previous[chosen] = answer
                maps.put(chosen, part)
        self.network.train()
        return maps, self._degraded(previous), steps

    def _degraded(self, previous: Tensor) -> Tensor:
        """Make the previous prediction coarser, as one at another zoom was, or lose it."""
        if self.rng.random() < 0.3:
            size, factor = previous.shape[-1], int(self.rng.integers(2, 5))
            small = torch.nn.functional.avg_pool2d(previous, factor)
            coarse = torch.nn.functional.interpolate(
                small, (size, size), mode="bilinear", align_corners=False
            )
            previous = torch.where(self._coin(previous.shape[0], 0.5), coarse, previous)
        lost = self._coin(previous.shape[0], 0.1)
        return torch.where(lost, torch.zeros_like(previous), previous)

    def _click(self, maps: ClickMaps, previous: Tensor, target: Tensor) -> None:
        found = (previous > 0.5).float()
        clicked = torch.clamp(maps.positive + maps.negative, max=1.0)
        wrong = torch.cat([target * (1 - found), (1 - target) * found], 1) * (1 - clicked)
        # The very first click of an object is always positive.
        fresh = (maps.positive.sum(dim=(1, 2, 3)) == 0) & (found.sum(dim=(1, 2, 3)) == 0)
        wrong[fresh, 0:1] = target[fresh]
        rows, columns, positive, valid = next_clicks(wrong, self.generator)
        jitter = torch.randn(2, rows.shape[0], generator=self.generator, device=self.device)
        jitter = (jitter * maps.radius * 0.4).round().long()
        size = target.shape[-1]
        y, x = (rows + jitter[0]).clamp(0, size - 1), (columns + jitter[1]).clamp(0, size - 1)
        index = torch.arange(rows.shape[0], device=self.device)
        right = (target[index, 0, y, x] > 0.5) == positive
        maps.add(torch.where(right, y, rows), torch.where(right, x, columns), positive, valid)

    def _coin(self, n: int, p: float) -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=self.generator, device=self.device) < p

    def _step(self, batch: _Batch) -> float:
        maps, previous, steps = self._simulate(batch)
        logits = self._forward(self.network, batch.image, maps, previous)
        losses = click_loss(
            logits, batch.target, maps.positive, maps.negative, pixel=self.spec.pixel_loss
        )
        weighted = (losses * (0.75 + 0.25 * steps.clamp(max=2))).mean()
        self.optimizer.zero_grad(set_to_none=True)
        weighted.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 3.0)
        if torch.isfinite(norm):  # one step with NaN would end the run
            self.optimizer.step()
            self._update_average()
        self.samples += batch.target.shape[0]
        return float(losses.detach().mean())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.spec.ema, (1 + self.iteration) / (10 + self.iteration))
        new = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name].float(), 1 - decay)
            else:
                value.copy_(new[name])

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


def train_default_model(
    spec: DefaultModelSpec, folders: list[Path], out: Path, data: tuple[DataSource, ...] = ()
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
    """
    pool = Pool(
        folders,
        seed=spec.seed,
        generated=spec.generated,
        superpixel_images=spec.superpixel_images,
        shares=spec.shares,
    )
    return Trainer(spec, pool, out, data).run()
