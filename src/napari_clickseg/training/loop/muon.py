"""Muon for convolutional networks: steps along the orthogonalised gradient.

Kernels are trained by Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/): a
kernel (O, I, h, w) is taken as the matrix (O, I·h·w) that it is in memory. All else, biases and
normalisation, is trained by AdamW. Both take rates of the same size, since Muon's steps are scaled
to the length that AdamW's usually have.

torch has a Muon that computes in bfloat16, which takes it seconds a step on processors that do not
multiply bfloat16 in hardware. This one computes in single precision, and iterates on the product of
the matrix with itself, the smaller one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, overload

import torch

from napari_clickseg.training.loop.uncompiled import AdamW, Uncompiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor
    from torch.optim.optimizer import ParamsT

_MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration, as published
_ITERATIONS = 5
_LENGTH = 0.2  # root mean square of AdamW's usual steps, over the rate


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return a matrix with the same singular vectors, and singular values of about one.

    Newton and Schulz's iteration, with the coefficients of Jordan et al. 2024: singular values end
    between about 0.7 and 1.2, those below a thousandth of the matrix's norm lower.

    Parameters
    ----------
    matrix : Tensor (M, N)
        Of single precision.
    """
    a, b, c = _COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=1e-7)
    # Each iteration is X -> P X with P = a I + b G + c G², G = X Xᵀ: so G -> P G P, which is small.
    gram = wide @ wide.T
    product: Tensor | None = None
    for k in range(_ITERATIONS):
        step = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        step.diagonal().add_(a)
        product = step if product is None else step @ product
        if k + 1 < _ITERATIONS:
            gram = step @ gram @ step
    assert product is not None
    orthogonal: Tensor = product @ wide
    return orthogonal if matrix.shape[0] <= matrix.shape[1] else orthogonal.T


class _Orthogonal(Uncompiled):
    """Muon of matrices, with Nesterov's momentum.

    Parameters
    ----------
    matrices : list of Tensor (M, N)
    """

    def __init__(self, matrices: list[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix.grad)
                buffer = state["momentum_buffer"]
                buffer.lerp_(matrix.grad, 1 - _MOMENTUM)
                update = orthogonalised(matrix.grad.lerp(buffer, _MOMENTUM))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                length = _LENGTH * math.sqrt(max(matrix.shape))
                matrix.add_(update, alpha=-group["lr"] * length)


class ConvolutionalMuon(Uncompiled):
    """Muon for kernels, AdamW for the rest.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        Parameters, or groups of them; they must stay where they are in memory. A group with
        ``"orthogonal": False`` is trained by AdamW alone: trained encoders, whose depthwise
        kernels are no matrices.
    lr : float
        Learning rate, as for AdamW.
    """

    def __init__(self, params: ParamsT, lr: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self._kernels: list[tuple[Tensor, Tensor]] = []
        self._parts: list[tuple[dict[str, Any], torch.optim.Optimizer]] = []
        for group in self.param_groups:
            # A kernel with one output is a vector: nothing in it to make orthogonal.
            whole = group.get("orthogonal", True)
            kernels = [p for p in group["params"] if whole and p.ndim == 4 and p.shape[0] > 1]
            rest = [p for p in group["params"] if not any(p is kernel for kernel in kernels)]
            matrices: list[Tensor] = [torch.nn.Parameter(_matrix(k.detach(), k)) for k in kernels]
            self._kernels += zip(kernels, matrices, strict=True)
            if matrices:
                self._parts.append((group, _Orthogonal(matrices, lr, weight_decay)))
            if rest:
                adamw = AdamW(rest, lr=lr, weight_decay=weight_decay)
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
