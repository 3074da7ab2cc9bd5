"""What the loop asks of a task: things to learn from, a loss, and figures on validation images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from torch import Tensor, nn

TOGETHER = 8  # windows that are validated on at a time, at the most


class TrainingError(ValueError):
    """A training that can't begin or go on; the message says why."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Something to learn from.

    Parameters
    ----------
    inputs : Tensor (B, K, N, N)
        What the network takes.
    target : Tensor (B, …)
    extra : dict of str to Tensor (B, …)
        What else the loss needs.
    origin : object
        What the task needs to know it by.
    """

    inputs: Tensor
    target: Tensor
    extra: dict[str, Tensor] = field(default_factory=dict)
    origin: Any = None

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def part(self, start: int, stop: int) -> Batch:
        """Return some of it."""
        extra = {name: value[start:stop] for name, value in self.extra.items()}
        return Batch(self.inputs[start:stop], self.target[start:stop], extra)

    def to(self, device: Any) -> Batch:
        """Return it on a device."""
        import torch

        def moved(value: Tensor) -> Tensor:
            return value.to(device, non_blocking=True)

        inputs = moved(self.inputs).contiguous(memory_format=torch.channels_last)
        extra = {name: moved(value) for name, value in self.extra.items()}
        return Batch(inputs, moved(self.target), extra, self.origin)


@dataclass(frozen=True)
class Validation:
    """Figures on the validation images.

    Parameters
    ----------
    images : tuple of dict
        A row of figures for each image; "image" is its name.
    confusion : tuple of tuples of int, optional
        Pixels of each true class (rows) that were given each class (columns).
    chosen : dict of str to object
        Fields of the model's card that were chosen on these images.
    """

    loss: float
    metrics: dict[str, float]
    images: tuple[dict[str, Any], ...] = ()
    confusion: tuple[tuple[int, ...], ...] | None = None
    chosen: dict[str, Any] = field(default_factory=dict)


class Work(Protocol):
    """A task."""

    steps: int
    """Batches in an epoch; `spec.accumulate` times `spec.batch` is one."""

    waited: float
    """Seconds in which the network waited for something to learn from, in this epoch."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Go through an epoch; what comes depends on the epoch's number and the seed alone."""
        ...

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss of what the network answered."""
        ...

    def learned(self, logits: Tensor, batch: Batch) -> None:
        """Take note of what the network answered to a batch."""
        ...

    def validate(self, network: nn.Module) -> Validation:
        """Measure a network, which is in eval mode."""
        ...

    def measure(self, network: nn.Module) -> Validation:
        """Measure it as it will be used: nothing is chosen on these images."""
        ...

    def first_windows(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """Return windows (C, N, N) with their masks (N, N) as they will be learned from."""
        ...

    def preview(self, network: nn.Module, folder: Path, epoch: int) -> list[dict[str, str]]:
        """Write what a network makes of a few validation images."""
        ...


def mean_loss(
    network: nn.Module,
    batches: Iterable[Batch],
    loss: Callable[[Tensor, Batch], Tensor],
    device: Any,
    together: int = TOGETHER,
) -> float:
    """Return the mean loss of a network over batches, a few windows at a time; NaN of none.

    Parameters
    ----------
    network : torch.nn.Module
        On `device`.
    batches : iterable of Batch
        Anywhere.
    loss : callable
        As in `Work`.
    together : int
        Windows at a time, at the most.
    """
    losses: list[tuple[float, int]] = []
    for batch in batches:
        for start in range(0, len(batch), together):
            part = batch.part(start, start + together).to(device)
            losses.append((float(loss(network(part.inputs).float(), part)), len(part)))
    count = sum(n for _, n in losses)
    return sum(value * n for value, n in losses) / count if count else float("nan")
