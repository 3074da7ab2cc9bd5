"""Losses for click models."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

PixelLoss = Literal["cross_entropy", "normalised_focal"]


def normalised_focal(
    logits: Tensor, target: Tensor, *, alpha: float = 0.5, gamma: float = 2.0
) -> Tensor:
    """Normalised focal loss: focal weights whose mean is one in each image.

    The weights are raised by a factor of 50 at the most, so that a perfect image gives no loss.
    Unlike the plain focal loss its gradient does not fade as the prediction gets better
    (Sofiiuk, Barinova, Konushin: *AdaptIS*, ICCV 2019; used by RITM).

    Parameters
    ----------
    logits, target : Tensor (B, 1, H, W)
        `target` in 0 … 1.
    alpha : float
        Weight of the foreground; the background gets ``1 - alpha``.
    gamma : float
        How much more a wrong pixel counts than a right one.

    Returns
    -------
    Tensor (B,)
    """
    signed = torch.where(target > 0.5, logits, -logits)
    beta = torch.sigmoid(-signed) ** gamma
    n = float(logits[0].numel())
    scale = (n / (beta.sum(dim=(1, 2, 3), keepdim=True) + 1e-6)).detach()
    weight = torch.where(target > 0.5, alpha, 1 - alpha)
    loss = weight * beta * scale.clamp(max=50.0) * F.softplus(-signed)
    return 2 * loss.mean(dim=(1, 2, 3))


def soft_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Dice loss on probabilities, for each image: ``1 - 2·|P∩T| / (|P| + |T|)``.

    Parameters
    ----------
    logits : Tensor (B, 1, H, W)
        What the network answers.
    target : Tensor (B, 1, H, W)
        0 … 1.

    Returns
    -------
    Tensor (B,)
    """
    p = torch.sigmoid(logits)
    overlap = (p * target).sum(dim=(1, 2, 3))
    total = p.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3))
    return 1 - (2 * overlap + 1) / (total + 1)


def click_cross_entropy(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Cross-entropy on the click disks alone, against models that resist clicks.

    Parameters
    ----------
    logits, positive, negative : Tensor (B, 1, H, W)
        The disks of positive and negative clicks, 0 or 1.

    Returns
    -------
    Tensor (B,)
    """
    loss = F.softplus(-logits) * positive + F.softplus(logits) * negative
    count = (positive + negative).sum(dim=(1, 2, 3)).clamp(min=1.0)
    return loss.sum(dim=(1, 2, 3)) / count


def click_loss(
    logits: Tensor,
    target: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    pixel: PixelLoss = "cross_entropy",
    dice: float = 1.0,
    obedience: float = 0.1,
) -> Tensor:
    """Return pixel loss + `dice` times Dice + `obedience` times cross-entropy on the clicks.

    Parameters
    ----------
    logits, target, positive, negative : Tensor (B, 1, H, W)
        As in the losses of this module.
    pixel : {"cross_entropy", "normalised_focal"}
        Loss of single pixels. Cross-entropy learns a little faster at first, but hardly to obey
        late clicks: what they correct is a small part of all pixels.
    dice, obedience : float
        Weights.

    Returns
    -------
    Tensor (B,)
    """
    # A disk may reach over the object's edge: there the truth decides.
    inside, outside = positive * target, negative * (1 - target)
    if pixel == "cross_entropy":
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        loss = loss.mean(dim=(1, 2, 3))
    else:
        loss = normalised_focal(logits, target)
    return (
        loss
        + dice * soft_dice(logits, target)
        + obedience * click_cross_entropy(logits, inside, outside)
    )
