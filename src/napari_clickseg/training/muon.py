"""Muon for convolutional networks: steps along the orthogonalised gradient.

Kernels are trained by Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/), which
torch has for matrices alone: a kernel (O, I, h, w) is handed over as the matrix (O, I·h·w) that it
is in memory. All else, biases and normalisation, is trained by AdamW. Both take rates of the same
size, since Muon's steps are scaled to the length that AdamW's usually have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch.optim.optimizer import ParamsT

__all__ = ["ConvolutionalMuon"]

_MOMENTUM = 0.95


class ConvolutionalMuon(torch.optim.Optimizer):
    """Muon for kernels, AdamW for the rest.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        Parameters, or groups of them; they must stay where they are in memory.
    lr : float
        Learning rate, as for AdamW.
    weight_decay : float

    Raises
    ------
    ValueError
        If this version of torch has no Muon.
    """

    def __init__(self, params: ParamsT, lr: float, weight_decay: float) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise ValueError("Muon needs torch 2.9 or newer; update torch, or choose adamw.")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self._kernels: list[tuple[Tensor, Tensor]] = []
        self._parts: list[tuple[dict[str, Any], torch.optim.Optimizer]] = []
        for group in self.param_groups:
            # A kernel with one output is a vector: nothing in it to make orthogonal.
            kernels = [p for p in group["params"] if p.ndim == 4 and p.shape[0] > 1]
            rest = [p for p in group["params"] if not any(p is kernel for kernel in kernels)]
            matrices = [torch.nn.Parameter(_matrix(k.detach(), k)) for k in kernels]
            self._kernels += zip(kernels, matrices, strict=True)
            if matrices:
                muon = torch.optim.Muon(
                    matrices,
                    lr=lr,
                    weight_decay=weight_decay,
                    momentum=_MOMENTUM,
                    adjust_lr_fn="match_rms_adamw",
                )
                self._parts.append((group, muon))
            if rest:
                adamw = torch.optim.AdamW(rest, lr=lr, weight_decay=weight_decay)
                self._parts.append((group, adamw))

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Change the weights along their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for kernel, matrix in self._kernels:
            matrix.grad = None if kernel.grad is None else _matrix(kernel.grad, kernel)
        for group, part in self._parts:
            for inner in part.param_groups:
                inner["lr"], inner["weight_decay"] = group["lr"], group["weight_decay"]
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` goes on from."""
        return {"parts": [part.state_dict() for _, part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for (_, part), state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def _matrix(values: Tensor, kernel: Tensor) -> Tensor:
    """Return values (O, I, h, w) as the matrix that `kernel` is in memory."""
    if not kernel.is_contiguous():  # channels_last
        values = values.permute(0, 2, 3, 1)
    return values.reshape(kernel.shape[0], -1)
