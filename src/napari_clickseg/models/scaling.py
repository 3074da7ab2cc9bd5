"""Kernels made as small as those of a fresh network, without a change of what is answered.

Kernels grow while they learn. Before a normalisation their size says nothing, but a step of a
given length then turns them less, so that a network that was trained for long hardly learns
anything else: the default model's deep kernels had grown to ten times their first size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_LEAST = 1e3  # times what the normalisation adds to variances: these must stay large beside it
_FADED = 0.5  # of a map whose own variance is as small as that, at the most
_ALIKE = 0.01  # by which answers may differ, against their spread: rounding


@torch.no_grad()
def rescale(network: nn.Module, fresh: Mapping[str, Tensor], example: Tensor) -> int:
    """Give kernels before a batch normalisation the size that they have in a fresh network.

    The normalisation is scaled with them, so that the network answers as before but for its
    rounding. Kernels that are smaller stay. Where the answer to the example would be another one,
    since kernels are used in some way that their outputs don't show, all is left as it was.

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place; left in the mode that it is in.
    fresh : mapping of str to Tensor
        Parameters of such a network that was not trained yet.
    example : Tensor (B, C, N, N)
        What the network takes; shows which normalisation gets the outputs of which kernels.

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
    was_training = network.training
    network.eval()
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    pairs, before = _pairs(network, example)
    changed = sum(
        _shrunk(kernel, norm, fresh.get(names[id(kernel.weight)])) for kernel, norm in pairs
    )
    after = network(example)
    apart = float((after - before).abs().max())
    if not apart <= _ALIKE * max(1.0, float(before.std())):
        network.load_state_dict(kept)
        changed = 0
    network.train(was_training)
    return changed


def _shrunk(kernel: nn.Conv2d, normalisation: nn.BatchNorm2d, like: Tensor | None) -> bool:
    """Make a kernel as small as another one, as far as its maps keep some variance."""
    mean, variance = normalisation.running_mean, normalisation.running_var
    if like is None or mean is None or variance is None:
        return False
    factor = (_size(like) / max(_size(kernel.weight), 1e-12)) ** 2
    factor = max(factor, _LEAST * normalisation.eps / max(float(variance.median()), 1e-12))
    if factor >= 1:
        return False
    kernel.weight.mul_(factor**0.5)
    mean.mul_(factor**0.5)
    before = variance + normalisation.eps
    variance.mul_(factor)
    if normalisation.weight is not None:  # maps of small variance would fade otherwise
        faded = (factor * before / (variance + normalisation.eps)).sqrt()
        normalisation.weight.div_(faded.clamp(min=_FADED))
    return True


def _size(weights: Tensor) -> float:
    return float(weights.detach().float().square().mean().sqrt())


def _pairs(
    network: nn.Module, example: Tensor
) -> tuple[list[tuple[nn.Conv2d, nn.BatchNorm2d]], Tensor]:
    """Return kernels with the normalisation that alone gets their output, and the answer."""
    made: dict[int, nn.Conv2d] = {}
    outputs: list[Tensor] = []  # kept, or another tensor might get the number of one that is gone
    takers: dict[nn.Conv2d, list[nn.Module]] = {}
    used: list[nn.Conv2d] = []

    def taken(module: nn.Module, inputs: tuple[object, ...]) -> None:
        for value in inputs:
            if id(value) in made and not list(module.children()):
                takers[made[id(value)]].append(module)

    def given(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if isinstance(module, nn.Conv2d) and isinstance(output, torch.Tensor):
            made[id(output)] = module
            outputs.append(output)
            used.append(module)
            takers.setdefault(module, [])

    handles = [
        handle
        for module in network.modules()
        for handle in (
            module.register_forward_pre_hook(taken),
            module.register_forward_hook(given),
        )
    ]
    try:
        answer: Tensor = network(example)
    finally:
        for handle in handles:
            handle.remove()
    pairs = []
    for kernel, modules in takers.items():
        norm = modules[0] if len(modules) == 1 else None
        plain = kernel.bias is None and used.count(kernel) == 1
        if plain and isinstance(norm, nn.BatchNorm2d):
            pairs.append((kernel, norm))
    shared = [norm for _, norm in pairs]
    return [pair for pair in pairs if shared.count(pair[1]) == 1], answer
