from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F

from napari_clickseg.models.losses import (
    DEFAULT_LOSSES,
    LossError,
    Mode,
    Term,
    build_loss,
    loss_names,
)

PAIRS = [(mode, name) for mode in get_args(Mode) for name in loss_names(mode)]


def truth(mode: Mode) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if mode == "multiclass":
        return torch.randint(0, 3, (2, 8, 8), generator=generator)
    count = 1 if mode == "binary" else 3
    return torch.randint(0, 2, (2, count, 8, 8), generator=generator).float()


def right(mode: Mode, certain: float) -> torch.Tensor:
    """Logits that say what the truth says."""
    target = truth(mode)
    if mode == "multiclass":
        return certain * (2 * F.one_hot(target, 3).permute(0, 3, 1, 2).float() - 1)
    return certain * (2 * target - 1)


def test_every_loss_of_the_library_is_offered_for_some_task() -> None:
    assert len(loss_names()) >= 8
    assert {name for _, name in PAIRS} == set(loss_names())
    for mode, names in DEFAULT_LOSSES.items():
        assert set(names) <= set(loss_names(mode))


@pytest.mark.parametrize(("mode", "name"), PAIRS)
def test_every_loss_prefers_what_is_right(mode: Mode, name: str) -> None:
    loss = build_loss([Term(name)], mode)
    logits = right(mode, -0.5).requires_grad_()
    wrong = loss(logits, truth(mode))
    wrong.backward()
    assert wrong.ndim == 0
    assert float(loss(right(mode, 5.0), truth(mode))) < float(wrong.detach())
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0


def test_losses_are_summed_with_their_weights() -> None:
    dice, bce = Term("DiceLoss", 2.0), Term("SoftBCEWithLogitsLoss", 0.5)
    logits, target = right("binary", 0.3), truth("binary")
    one, other = (float(build_loss([Term(t.name)], "binary")(logits, target)) for t in (dice, bce))
    both = float(build_loss([dice, bce], "binary")(logits, target))
    assert both == pytest.approx(2 * one + 0.5 * other, rel=1e-5)


@pytest.mark.parametrize(("mode", "name"), PAIRS)
def test_ignored_pixels_have_no_gradient(mode: Mode, name: str) -> None:
    ignored = torch.zeros(2, 8, 8, dtype=torch.bool)
    ignored[:, :3] = True
    loss = build_loss([Term(name)], mode)
    logits = right(mode, -0.5).requires_grad_()
    loss(logits, truth(mode), ignored).backward()
    assert logits.grad is not None
    assert float(logits.grad[:, :, :3].abs().max()) == 0
    assert float(logits.grad[:, :, 3:].abs().max()) > 0


WEIGHTED = pytest.mark.parametrize(
    ("mode", "name", "weights"),
    [
        ("binary", "SoftBCEWithLogitsLoss", [1.0, 8.0]),
        ("multiclass", "SoftCrossEntropyLoss", [1.0, 8.0, 1.0]),
        ("multiclass", "DiceLoss", [1.0, 8.0, 1.0]),
        ("multilabel", "SoftBCEWithLogitsLoss", [8.0, 1.0, 1.0]),
        ("multilabel", "TverskyLoss", [8.0, 1.0, 1.0]),
    ],
)


@WEIGHTED
def test_class_weights_go_where_the_logits_are(mode: Mode, name: str, weights: list[float]) -> None:
    """The device "meta" computes nothing, but refuses what lies elsewhere."""
    logits, target = (value.to("meta") for value in (right(mode, 3.0), truth(mode)))
    assert build_loss([Term(name)], mode, weights)(logits, target).device.type == "meta"


@WEIGHTED
def test_class_weights_make_a_class_count_more(mode: Mode, name: str, weights: list[float]) -> None:
    target = truth(mode)
    logits = right(mode, 3.0)
    if mode == "multiclass":  # the first class is missed
        logits[:, 1] = -5.0
    else:
        logits[:, 0] = -5.0
    plain = float(build_loss([Term(name)], mode)(logits, target))
    weighted = float(build_loss([Term(name)], mode, weights)(logits, target))
    assert weighted > plain


@pytest.mark.parametrize(
    ("terms", "mode", "weights", "says"),
    [
        ([Term("NoLoss")], "binary", None, "no loss 'NoLoss'; choose .*DiceLoss"),
        ([Term("MCCLoss")], "multiclass", None, "does not know multiclass"),
        ([Term("SoftCrossEntropyLoss")], "binary", None, "does not know binary"),
        ([Term("DiceLoss", 1.0, {"colour": 1})], "binary", None, "DiceLoss: .*colour"),
        ([Term("LovaszLoss")], "multiclass", [1.0, 2.0], "LovaszLoss take none"),
        ([Term("DiceLoss")], "binary", [1.0, 2.0], "SoftBCEWithLogitsLoss"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    terms: list[Term], mode: Mode, weights: Any, says: str
) -> None:
    with pytest.raises(LossError, match=says):
        build_loss(terms, mode, weights)


def test_a_smoothed_and_weighted_cross_entropy_is_the_library_s_where_weights_are_even() -> None:
    term = Term("SoftCrossEntropyLoss", 1.0, {"smooth_factor": 0.0})
    logits, target = right("multiclass", 0.7), truth("multiclass")
    plain = build_loss([term], "multiclass")(logits, target)
    even = build_loss([term], "multiclass", [1.0, 1.0, 1.0])(logits, target)
    assert float(even) == pytest.approx(float(plain), rel=1e-5)
