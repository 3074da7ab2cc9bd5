from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_clickseg.training.clicks.losses import (
    PixelLoss,
    click_cross_entropy,
    click_loss,
    normalised_focal,
    soft_dice,
)


def image(*rows: list[float], grad: bool = False) -> Tensor:
    return torch.tensor([[list(rows)]], dtype=torch.float64, requires_grad=grad)


def softplus(value: float) -> float:
    return math.log1p(math.exp(-abs(value))) + max(value, 0.0)


def focal_by_hand(logits: list[float], target: list[float]) -> float:
    signed = [z if t > 0.5 else -z for z, t in zip(logits, target, strict=True)]
    beta = [(1 / (1 + math.exp(s))) ** 2 for s in signed]
    scale = min(50.0, len(beta) / (sum(beta) + 1e-6))
    terms = [0.5 * b * scale * softplus(-s) for b, s in zip(beta, signed, strict=True)]
    return 2 * sum(terms) / len(terms)


@pytest.mark.parametrize(
    ("logits", "target"),
    [
        ([0.0, 0.0], [1.0, 0.0]),
        ([2.0, -1.0, 0.5], [1.0, 0.0, 0.0]),
        ([-4.0, 3.0, 3.0, -9.0], [1.0, 1.0, 0.0, 0.0]),
    ],
)
def test_normalised_focal_is_its_formula(logits: list[float], target: list[float]) -> None:
    loss = normalised_focal(image(logits), image(target))
    assert loss.tolist() == pytest.approx([focal_by_hand(logits, target)], rel=1e-6)


def test_normalised_focal_and_its_gradient_where_nothing_is_known() -> None:
    """All logits 0: the loss is log 2, the slope (log 2 + 1/2)/n towards the truth."""
    logits = image([0.0, 0.0, 0.0, 0.0], grad=True)
    loss = normalised_focal(logits, image([1.0, 1.0, 0.0, 0.0]))
    loss.sum().backward()
    slope = (math.log(2) + 0.5) / 4
    assert loss.item() == pytest.approx(math.log(2), rel=1e-5)
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == pytest.approx([-slope, -slope, slope, slope], rel=1e-5)


@pytest.mark.parametrize("logit", [0.0, 0.7, 1.5])
def test_normalised_focal_does_not_fade_as_all_gets_better(logit: float) -> None:
    """Where all pixels are equally good it is the cross-entropy, as the weights add up to n."""
    logits, target = image([logit, -logit] * 8), image([1.0, 0.0] * 8)
    assert normalised_focal(logits, target).item() == pytest.approx(softplus(-logit), rel=1e-4)


def test_a_wrong_pixel_outweighs_the_right_ones() -> None:
    logits = image([-1.0, 3.0, 3.0, 3.0], grad=True)
    normalised_focal(logits, torch.ones_like(logits)).sum().backward()
    assert logits.grad is not None
    wrong, *right = logits.grad.flatten().abs().tolist()
    assert wrong > 50 * max(right)


def test_even_a_hopelessly_wrong_pixel_is_pulled_to_the_truth() -> None:
    logits = image([-40.0, 40.0], grad=True)
    loss = normalised_focal(logits, image([1.0, 0.0]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(40, rel=1e-4)
    assert logits.grad is not None
    pull = logits.grad.flatten().tolist()
    assert pull[0] < -0.4
    assert pull[1] > 0.4


def test_a_perfect_prediction_costs_nothing() -> None:
    target = image([1.0, 0.0, 1.0])
    perfect = 100 * (target - 0.5)
    nothing = torch.zeros_like(target)
    assert click_loss(perfect, target, nothing, nothing).item() == pytest.approx(0, abs=1e-6)


def test_soft_dice_is_its_formula() -> None:
    """P = 0.5 on four pixels, two of them true: 1 - (2·1 + 1) / (2 + 2 + 1)."""
    logits = image([0.0, 0.0, 0.0, 0.0], grad=True)
    loss = soft_dice(logits, image([1.0, 1.0, 0.0, 0.0]))
    assert loss.item() == pytest.approx(0.4)
    loss.sum().backward()
    assert logits.grad is not None
    # d/dp of (2·O + 1)/(S + 1): (2·t·5 - 3)/25; dp/dz = 1/4.
    assert logits.grad.flatten().tolist() == pytest.approx([-0.07, -0.07, 0.03, 0.03])


def test_soft_dice_of_nothing_rightly_found_is_zero() -> None:
    assert soft_dice(image([-50.0, -50.0]), image([0.0, 0.0])).item() == pytest.approx(0)


def test_click_cross_entropy_looks_at_the_clicks_alone() -> None:
    logits = image([1.0, -2.0, 5.0, -5.0], grad=True)
    positive, negative = image([1.0, 0.0, 0.0, 0.0]), image([0.0, 1.0, 0.0, 0.0])
    loss = click_cross_entropy(logits, positive, negative)
    assert loss.item() == pytest.approx((softplus(-1.0) + softplus(-2.0)) / 2)
    loss.sum().backward()
    assert logits.grad is not None
    slopes = logits.grad.flatten().tolist()
    assert slopes[0] < 0 < slopes[1]
    assert slopes[2:] == [0, 0]
    nothing = torch.zeros_like(positive)
    assert click_cross_entropy(logits, nothing, nothing).item() == 0


def test_where_a_disk_reaches_over_the_edge_the_truth_decides() -> None:
    target = image([1.0, 1.0, 0.0, 0.0])
    logits = image([3.0, 3.0, -3.0, -3.0])
    disk, nothing = image([0.0, 1.0, 1.0, 0.0]), torch.zeros_like(target)
    inside = image([0.0, 1.0, 0.0, 0.0])
    reaching = click_loss(logits, target, disk, nothing)
    assert reaching.item() == pytest.approx(click_loss(logits, target, inside, nothing).item())


@pytest.mark.parametrize("pixel", ["cross_entropy", "normalised_focal"])
def test_the_click_loss_is_the_weighted_sum_of_its_parts_for_each_image(pixel: PixelLoss) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 1, 8, 8)
    target = (torch.rand(3, 1, 8, 8) > 0.5).float()
    positive, negative = target * (torch.rand_like(target) > 0.8), (1 - target)
    together = click_loss(logits, target, positive, negative, pixel=pixel, dice=0.3, obedience=0.2)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    focal = normalised_focal(logits, target)
    parts = (
        (focal if pixel == "normalised_focal" else entropy.mean(dim=(1, 2, 3)))
        + 0.3 * soft_dice(logits, target)
        + 0.2 * click_cross_entropy(logits, positive, negative)
    )
    torch.testing.assert_close(together, parts)
    for i in range(3):
        one = slice(i, i + 1)
        alone = click_loss(
            logits[one],
            target[one],
            positive[one],
            negative[one],
            pixel=pixel,
            dice=0.3,
            obedience=0.2,
        )
        torch.testing.assert_close(alone, together[one])
