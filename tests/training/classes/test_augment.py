from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.data.sets.dataset import IGNORED
from napari_clickseg.training.classes.augment import PRESETS, Geometry, cut, shaded, sheet

IMAGE = np.zeros((1, 80, 120), np.uint8)
MASK = np.zeros((80, 120), np.uint8)
MASK[20:60, 40:70] = 1
MASK[30:40, 80:90] = 2
IMAGE[0] = MASK * 100


def test_a_plain_window_is_the_image_itself() -> None:
    image, target = cut(IMAGE, MASK, (40, 60), 64, Geometry(64, 64), 3)
    rows, columns = slice(8, 72), slice(28, 92)
    assert image.shape == (3, 64, 64)
    np.testing.assert_allclose(image[1].numpy(), IMAGE[0, rows, columns] / 255, atol=1e-6)
    np.testing.assert_array_equal(target.numpy(), MASK[rows, columns])


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    y=st.floats(-20, 100),
    x=st.floats(-20, 140),
    span=st.floats(20, 200),
)
def test_image_and_mask_are_varied_together(seed: int, y: float, x: float, span: float) -> None:
    """The image is drawn from the mask, so after any change it still shows the same classes."""
    rng = np.random.default_rng(seed)
    geometry = Geometry.draw(span, PRESETS["strong"], rng)
    image, target = cut(IMAGE, MASK, (y, x), 64, geometry, 1)
    shown = (image[0] * 2.55).round().long()
    known = target != IGNORED
    assert set(target.unique().tolist()) <= {0, 1, 2, IGNORED}
    if known.sum() > 400:  # their edges are blurred in the image, not in the mask
        assert (shown == target)[known].float().mean() > 0.75
    assert (image[0][~known].numpy() < 0.9).all()


def test_windows_lie_in_the_image_where_they_fit() -> None:
    for centre in ((-50.0, -50.0), (500.0, 500.0), (40.0, 0.0)):
        _, target = cut(IMAGE, MASK, centre, 64, Geometry(64, 64), 1)
        assert (target != IGNORED).all()


def test_what_lies_outside_the_image_is_black_and_counts_neither_way() -> None:
    image, target = cut(IMAGE + 200, MASK, (40, 60), 64, Geometry(160, 160), 1)
    outside = target == IGNORED
    assert outside.float().mean() == pytest.approx(1 - 80 * 120 / 160**2, abs=0.03)
    assert (image[0][outside] < 0.5).float().mean() > 0.95


def test_everything_is_decided_by_the_generator_whatever_else_draws() -> None:
    def one(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(seed)
        torch.rand(3)
        geometry = Geometry.draw(64, PRESETS["strong"], rng)
        image, target = cut(IMAGE, MASK, (40, 60), 64, geometry, 3)
        return shaded(image, PRESETS["strong"], rng), target

    first, again, other = one(1), one(1), one(2)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("name", list(PRESETS))
def test_shading_takes_any_number_of_channels(name: str, channels: int) -> None:
    image = torch.rand(channels, 32, 32)
    for seed in range(12):
        out = shaded(image, PRESETS[name], np.random.default_rng(seed))
        assert out.shape == image.shape
        assert 0 <= float(out.min()) <= float(out.max()) <= 1
    if name == "none":
        assert torch.equal(out, image)


def test_presets_rise() -> None:
    changes = []
    image = torch.rand(3, 32, 32)
    for preset in PRESETS.values():
        some = [shaded(image, preset, np.random.default_rng(s)) for s in range(20)]
        changes.append(float(torch.stack(some).sub(image).abs().mean()))
    assert changes == sorted(changes)
    assert changes[0] == 0


def test_a_sheet_shows_all_windows_with_their_masks() -> None:
    image = torch.full((3, 32, 32), 0.5)
    target = torch.zeros(32, 32, dtype=torch.long)
    target[8:24, 8:24] = 1
    drawn = sheet([(image, target)] * 6, columns=4)
    assert drawn.shape == (2 * 34, 4 * 34, 3)
    assert tuple(drawn[2, 2]) == (127, 127, 127)
    assert len(set(drawn[16, 16].tolist())) == 3, "coloured"
    assert (drawn[40, 100] == 255).all(), "no window there"
