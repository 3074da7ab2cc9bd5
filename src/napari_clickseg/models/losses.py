"""The losses of segmentation_models_pytorch by their names, alone or summed with weights."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.models.libraries import import_networks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

Mode = Literal["binary", "multiclass", "multilabel"]
_BCE, _CE, _MCC = "SoftBCEWithLogitsLoss", "SoftCrossEntropyLoss", "MCCLoss"
_CERTAIN = 30.0  # a logit beyond doubt, and without gradient

DEFAULT_LOSSES: dict[Mode, tuple[str, ...]] = {
    "binary": ("DiceLoss", _BCE),
    "multiclass": ("DiceLoss", _CE),
    "multilabel": ("DiceLoss", _BCE),
}


class LossError(ValueError):
    """A loss that is not known, or does not fit; the message says what to choose."""


@dataclass(frozen=True, slots=True)
class Term:
    """One of the losses that are summed: its name, its weight and its further arguments."""

    name: str
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


def loss_names(mode: Mode | None = None) -> tuple[str, ...]:
    """Return the names of all losses, or of those that know a mode."""
    import_networks()
    from segmentation_models_pytorch import losses

    names = (name for name in losses.__all__ if inspect.isclass(getattr(losses, name)))
    return tuple(sorted(name for name in names if mode is None or _knows(name, mode)))


def _knows(name: str, mode: Mode) -> bool:
    if name == _BCE:
        return mode != "multiclass"
    if name == _CE:
        return mode == "multiclass"
    return name != _MCC or mode == "binary"


class LossSum:
    """A weighted sum of losses.

    Parameters
    ----------
    losses : sequence of (float, callable)
        Weights, and functions of logits and target.
    mode : {"binary", "multiclass", "multilabel"}
    """

    def __init__(
        self, losses: Sequence[tuple[float, Callable[[Tensor, Tensor], Tensor]]], mode: Mode
    ) -> None:
        self.losses, self.mode = list(losses), mode

    def __call__(self, logits: Tensor, target: Tensor, ignored: Tensor | None = None) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        logits : float Tensor (B, C, H, W)
            What the network answers.
        target : Tensor
            int64 (B, H, W), indices of classes, for the mode "multiclass"; else float
            (B, C, H, W), 0 or 1.
        ignored : bool Tensor (B, H, W), optional
            Pixels that count for nothing: they are taken to be predicted rightly as background.
        """
        if ignored is not None:
            logits, target = self._without(logits, target, ignored)
        total = logits.new_zeros(())
        for weight, loss in self.losses:
            total = total + weight * loss(logits, target).mean()
        return total

    def _without(self, logits: Tensor, target: Tensor, ignored: Tensor) -> tuple[Tensor, Tensor]:
        logits = logits.masked_fill(ignored[:, None], -_CERTAIN)
        if self.mode != "multiclass":
            return logits, target.masked_fill(ignored[:, None], 0)
        background = logits[:, :1].masked_fill(ignored[:, None], _CERTAIN)
        import torch

        return torch.cat([background, logits[:, 1:]], 1), target.masked_fill(ignored, 0)


def build_loss(
    terms: Sequence[Term], mode: Mode, weights: Sequence[float] | None = None
) -> LossSum:
    """Make a sum of losses.

    Parameters
    ----------
    terms : sequence of Term
        None: those that suit the mode.
    mode : {"binary", "multiclass", "multilabel"}
        What the classes are to each other.
    weights : sequence of float, optional
        Of background and each class; of each class alone for the mode "multilabel".

    Raises
    ------
    LossError
        If a loss is not known or does not know the mode, has no such option, or if there are
        class weights and none of the losses takes any.
    """
    chosen = tuple(terms) or tuple(Term(name) for name in DEFAULT_LOSSES[mode])
    made = [_made(term, mode, weights) for term in chosen]
    if weights is not None and not any(weighted for _, weighted in made):
        raise LossError(
            f"Class weights: {' and '.join(term.name for term in chosen)} take none for a "
            f"{mode} task; add {_CE if mode == 'multiclass' else _BCE}, or leave the weights out."
        )
    return LossSum(
        [(term.weight, loss) for term, (loss, _) in zip(chosen, made, strict=True)], mode
    )


def _made(
    term: Term, mode: Mode, weights: Sequence[float] | None
) -> tuple[Callable[[Tensor, Tensor], Tensor], bool]:
    """Return a loss, and whether it takes the class weights."""
    import_networks()
    from segmentation_models_pytorch import losses

    if term.name not in loss_names():
        raise LossError(f"There is no loss '{term.name}'; choose {', '.join(loss_names(mode))}.")
    if not _knows(term.name, mode):
        raise LossError(
            f"{term.name} does not know {mode} tasks; choose {', '.join(loss_names(mode))}."
        )
    kind: type[nn.Module] = getattr(losses, term.name)
    known = inspect.signature(kind).parameters
    fixed = {"mode": mode} if "mode" in known else {}
    usual = {"smooth_factor": 0.0} if term.name == _CE else {}  # its own, None, fails
    weighting, weighted = _weighting(term.name, mode, weights, "class_weights" in known)
    own = weighting if term.name != _CE else {}
    try:
        loss = kind(**(usual | term.options | fixed | own))
    except (TypeError, ValueError, AssertionError) as error:
        raise LossError(f"{term.name}: {error}; see its arguments.") from error
    if term.name == _CE and weighted:
        return _weighted_cross_entropy(weights or (), term.options), True
    if term.name == _MCC:
        return (lambda logits, target: loss(logits.sigmoid(), target)), False
    if term.name == _BCE and weighted:  # its weights are where it is, not where the logits are
        return (lambda logits, target: loss.to(logits.device)(logits, target)), True
    return loss, weighted


def _weighting(
    name: str, mode: Mode, weights: Sequence[float] | None, takes: bool
) -> tuple[dict[str, Any], bool]:
    """Return the arguments by which a loss is told the class weights, and whether it takes them."""
    if weights is None:
        return {}, False
    import torch

    if name == _BCE:
        positive = [weights[1] / weights[0]] if mode == "binary" else list(weights)
        return {"pos_weight": torch.tensor(positive, dtype=torch.float32).view(-1, 1, 1)}, True
    if name == _CE:
        return {}, True
    return ({"class_weights": list(weights)}, True) if takes and mode != "binary" else ({}, False)


def _weighted_cross_entropy(
    weights: Sequence[float], options: dict[str, Any]
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return cross-entropy with class weights: torch's, since the library's has none."""
    import torch
    import torch.nn.functional as F

    kept = torch.tensor(weights, dtype=torch.float32)
    smooth = float(options.get("smooth_factor") or 0.0)

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            logits, target, weight=kept.to(logits.device), label_smoothing=smooth
        )

    return loss
