"""How weights change: rates, schedule, moving average, precision."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from napari_clickseg.engine.devices import quick_dtype
from napari_clickseg.training.loop.muon import ConvolutionalMuon
from napari_clickseg.training.loop.uncompiled import AdamW

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from torch import Tensor

    from napari_clickseg.training.spec import TrainingSpec

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": AdamW,
    "muon": ConvolutionalMuon,
}
_LEAST = 1e-3  # of the learning rate, at the ends
_PLATEAU_PATIENCE, _PLATEAU_FACTOR = 4, 0.3


def make_optimizer(
    network: nn.Module, spec: TrainingSpec, *, trained_encoder: bool
) -> torch.optim.Optimizer:
    """Return the optimizer, with the encoder's own rate where it starts trained."""
    encoder: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (encoder if name.startswith("encoder.") else rest).append(parameter)
    factor = spec.encoder_rate if trained_encoder else 1.0
    groups = [{"params": rest, "factor": 1.0}, {"params": encoder, "factor": factor}]
    return OPTIMIZERS[spec.optimizer](
        [group for group in groups if group["params"]],
        lr=spec.learning_rate,
        weight_decay=spec.weight_decay,
    )


def rate(spec: TrainingSpec, progress: float, lowered: int = 0) -> float:
    """Return the learning rate's factor, 0 … 1.

    Parameters
    ----------
    spec : TrainingSpec
        Its schedule and warm-up.
    progress : float
        Share of the training that is done.
    lowered : int
        How often validation got no better; for the schedule "plateau".
    """
    if progress < spec.warm_up:
        return max(_LEAST, progress / spec.warm_up)
    if spec.schedule == "plateau":
        return max(_LEAST, _PLATEAU_FACTOR**lowered)
    if spec.schedule == "constant":
        return 1.0
    late = (progress - spec.warm_up) / max(1e-9, 1 - spec.warm_up)
    return max(_LEAST, 0.5 * (1 + math.cos(math.pi * min(1.0, late))))


def lowered(epochs_without_gain: int) -> bool:
    """Whether the plateau schedule lowers the rate after so many epochs without gain."""
    return epochs_without_gain > 0 and epochs_without_gain % _PLATEAU_PATIENCE == 0


def freeze(network: nn.Module, *, frozen: bool = True) -> None:
    """Keep the encoder as it is, or let it learn again."""
    for name, parameter in network.named_parameters():
        if name.startswith("encoder."):
            parameter.requires_grad_(not frozen)


def add_dropout(network: nn.Module, share: float) -> None:
    """Leave out some of the last features in training; the weights' names stay as they are."""
    if share == 0:
        return

    def drop(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        first = nn.functional.dropout2d(inputs[0], share, training=module.training)
        return (first, *inputs[1:])

    head = network.get_submodule("segmentation_head")
    head.register_forward_pre_hook(drop)


class Average:
    """A moving average of weights, batch norm's figures included.

    Parameters
    ----------
    network : torch.nn.Module
        A copy, which this changes; in eval mode.
    memory : float
        0 … 1; grows to it in the first steps.
    """

    def __init__(self, network: nn.Module, memory: float) -> None:
        self.network, self.memory, self.steps = network.eval(), memory, 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights after a step."""
        memory = min(self.memory, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        new = network.state_dict()
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(new[name].to(value.dtype), 1 - memory)
            else:
                value.copy_(new[name])


class Precision:
    """Half precision in training where it is quick and wanted."""

    def __init__(self, device: torch.device, wanted: bool) -> None:
        self.device = device
        self.dtype = quick_dtype(device) if wanted else None
        if device.type == "cuda" and self.dtype is not None and torch.cuda.is_bf16_supported():
            self.dtype = torch.bfloat16  # has the range of full precision
        scaled = self.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)

    @contextlib.contextmanager
    def autocast(self) -> Generator[None]:
        """Enter the context in which the network runs."""
        with contextlib.ExitStack() as stack:
            if self.dtype is not None:
                stack.enter_context(torch.autocast(self.device.type, self.dtype))
                if self.device.type == "cpu":
                    stack.enter_context(_DepthwiseInFull(self.dtype))
            yield


class _DepthwiseInFull(TorchFunctionMode):
    """Have convolutions in groups run in full precision, though autocast is on.

    Their gradients take a processor up to a hundred times as long in bfloat16: half of all the time
    that an EfficientNet learns (`benchmarks/training_speed.py`).
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        groups = args[6] if len(args) > 6 else kwargs.get("groups", 1)
        if func is not torch.conv2d or groups == 1:
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            full: list[Any] = [a.float() if isinstance(a, torch.Tensor) else a for a in args]
            return torch.conv2d(*full, **kwargs).to(self.dtype)
