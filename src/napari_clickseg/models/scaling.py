"""Kernels made as small as those of a fresh network, without a change of what is answered.

Kernels grow while they learn. Before a normalisation their size says nothing, but a step of a
given length then turns them less, so that a network that was trained for long hardly learns
anything else: the default model's deep kernels had grown to ten times their first size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

__all__ = ["rescale"]

_LEAST = 1e3  # times what the normalisation adds to variances: these must stay large beside it


def rescale(network: nn.Module, fresh: Mapping[str, Tensor]) -> int:
    """Give kernels before a batch normalisation the size that they have in a fresh network.

    The normalisation is scaled with them, so that the network answers as before but for its
    rounding. Kernels that are smaller stay.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    fresh : mapping of str to Tensor
        Parameters of such a network that was not trained yet.

    Returns
    -------
    int
        How many kernels were changed.

    References
    ----------
    Van Laarhoven, "L2 regularization versus batch and weight normalization", 2017: the rate at
    which normalised weights learn goes with one over their size.
    """
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    changed = 0
    for kernel, normalisation in _pairs(network):
        like = fresh.get(names[id(kernel.weight)])
        mean, variance = normalisation.running_mean, normalisation.running_var
        if like is None or mean is None or variance is None:
            continue
        factor = (_size(like) / max(_size(kernel.weight), 1e-12)) ** 2
        factor = max(factor, _LEAST * normalisation.eps / max(float(variance.median()), 1e-12))
        if factor < 1:
            kernel.weight.data.mul_(factor**0.5)
            mean.mul_(factor**0.5)
            before = variance + normalisation.eps
            variance.mul_(factor)
            if normalisation.weight is not None:  # maps of small variance would fade otherwise
                faded = (factor * before / (variance + normalisation.eps)).sqrt()
                normalisation.weight.data.div_(faded)
            changed += 1
    return changed


def _size(weights: Tensor) -> float:
    return float(weights.detach().float().square().mean().sqrt())


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Go through kernels without bias and the normalisation that comes next, of as many maps."""
    before: nn.Conv2d | None = None
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            before = module if module.bias is None else None
        elif isinstance(module, nn.BatchNorm2d) and before is not None:
            if before.out_channels == module.num_features:
                yield before, module
            before = None
