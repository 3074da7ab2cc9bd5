"""How near training comes to the speed of the bare network.

    python benchmarks/training_speed.py PROJECT --out FOLDER [--batches N] [--set key=value ...]

Trains for an epoch with everything that belongs to it (windows cut and varied, clicks placed on the
answers, gradients clipped, the average kept, events written), and takes the time between its
batches; then the same network takes as many steps on one batch that lies on the device already:
forward, the same loss, backward, AdamW. The quickest half of each counts, as other work on the
machine only ever slows. Prints a Markdown table; FOLDER keeps the run.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_clickseg.cli._train import read_settings
from napari_clickseg.engine.devices import choose_device
from napari_clickseg.training.finetune import make_start, make_work
from napari_clickseg.training.loop.loop import Loop
from napari_clickseg.training.loop.optimising import Precision, make_optimizer
from napari_clickseg.training.loop.work import Validation
from napari_clickseg.training.prepare import prepare
from napari_clickseg.training.run_folder import RunFolder
from napari_clickseg.training.spec import TrainingSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from napari_clickseg.training.loop.work import Batch, Work


BLOCK = 10  # steps


class Timed:
    """A task that keeps the time between its batches, and leaves validation out."""

    def __init__(self, work: Work, device: torch.device) -> None:
        self.work, self.device, self.steps = work, device, work.steps
        self.seconds: list[float] = []
        self.last: Batch | None = None

    @property
    def waited(self) -> float:
        """As of the task."""
        return self.work.waited

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Go through an epoch."""
        since = time.perf_counter()
        for batch in self.work.batches(epoch):
            self.last = batch
            yield batch
            _finish(self.device)
            self.seconds.append(time.perf_counter() - since)
            since = time.perf_counter()

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """As of the task."""
        return self.work.loss(logits, batch)

    def learned(self, logits: Tensor, batch: Batch) -> None:
        """As of the task."""
        self.work.learned(logits, batch)

    def validate(self, network: nn.Module) -> Validation:
        """Say nothing: validation is no training."""
        return Validation(0.0, {})

    def preview(self, network: nn.Module, folder: Path, epoch: int) -> list[dict[str, str]]:
        """Draw nothing."""
        return []


def bare(
    network: nn.Module, work: Work, batch: Batch, spec: TrainingSpec, count: int
) -> list[float]:
    """Return the seconds of steps on a batch that is on the device."""
    device = next(network.parameters()).device
    there, precision = batch.to(device), Precision(device, spec.amp)
    optimizer = make_optimizer(network, spec, trained_encoder=True)
    network.train()
    if spec.freeze_encoder:
        network.get_submodule("encoder").eval()
    seconds = []
    for _ in range(count):
        since = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with precision.autocast():
            logits = network(there.inputs)
        loss = work.loss(logits.float(), there)
        precision.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        precision.scaler.step(optimizer)
        precision.scaler.update()
        _finish(device)
        seconds.append(time.perf_counter() - since)
    return seconds


def typical(seconds: list[float]) -> float:
    """Return the seconds of a step: the median of blocks of ten in a row, each with its waits."""
    some = seconds[BLOCK:] if len(seconds) > 2 * BLOCK else seconds
    blocks = [some[i : i + BLOCK] for i in range(0, len(some), BLOCK)]
    return float(np.median([np.mean(block) for block in blocks if len(block) == len(blocks[0])]))


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    args = parser.parse_args()
    spec = TrainingSpec(project=str(args.project), **read_settings(args.settings))
    if spec.accumulate > 1:
        parser.error("accumulate must be 1: the bare network takes a batch at once")
    prepared = prepare(spec)
    start = make_start(prepared)
    device = choose_device(spec.device)
    batch = prepared.spec.batch
    completed = prepared.spec.model_copy(update={"epochs": 1, "windows": args.batches * batch})
    network = start.network.to(device).to(memory_format=torch.channels_last)
    timed = Timed(make_work(prepared, start.card, device), device)
    timed.work.steps = timed.steps = args.batches
    run = RunFolder(args.out)
    run.create(completed)
    Loop(completed, run, timed, network, start.card, trained_encoder=start.trained_encoder).run()
    assert timed.last is not None
    alone = bare(network, timed.work, timed.last, completed, args.batches)
    whole, least = typical(timed.seconds), typical(alone)
    print("| task | device | windows a second | bare network | share |")
    print("|---|---|--:|--:|--:|")
    print(
        f"| {completed.task}, {completed.size} px, batches of {batch} | {device.type} | "
        f"{batch / whole:.1f} | {batch / least:.1f} | {least / whole:.0%} |"
    )


if __name__ == "__main__":
    sys.exit(main())
