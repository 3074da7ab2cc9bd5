from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_clickseg.core.guidance import input_channels
from napari_clickseg.models.network import create
from napari_clickseg.models.transfer import InputLayout, first_filters, transfer

OPTIONS = {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}
LAYOUTS = [
    InputLayout("channels", 3),
    InputLayout("channels", 1),
    InputLayout("likeness", 3),
    InputLayout("colour", 1),
    InputLayout("image", 3),
    InputLayout("image", 5),
]


def network(layout: InputLayout, classes: int = 1, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    made = create(
        "unet", "mobilenet_v2", channels=layout.channels, classes=classes, options=OPTIONS
    )
    return made.eval()


@settings(deadline=None, max_examples=40)
@given(source=st.sampled_from(LAYOUTS), target=st.sampled_from(LAYOUTS))
def test_filters_fit_any_other_input(source: InputLayout, target: InputLayout) -> None:
    weights = torch.randn(4, source.channels, 3, 3)
    fitted = first_filters(weights, source, target)
    assert fitted.shape == (4, target.channels, 3, 3)
    if source == target:
        assert torch.allclose(fitted, weights)


def test_a_grey_image_is_seen_as_before_when_it_was_shown_to_three_colours() -> None:
    weights = torch.randn(4, 3, 3, 3)
    grey = torch.randn(1, 1, 8, 8)
    fitted = first_filters(weights, InputLayout("image", 3), InputLayout("image", 1))
    before = torch.nn.functional.conv2d(grey.expand(1, 3, 8, 8), weights)
    assert torch.allclose(torch.nn.functional.conv2d(grey, fitted), before, atol=1e-5)


def test_clicks_begin_with_no_effect_on_a_network_that_knew_none() -> None:
    weights = torch.randn(4, 3, 3, 3)
    fitted = first_filters(weights, InputLayout("image", 3), InputLayout("channels", 3))
    assert torch.equal(fitted[:, :3], weights)
    assert (fitted[:, 3:] == 0).all()


def test_clicks_keep_their_filters_from_one_encoding_to_the_other() -> None:
    weights = torch.randn(4, input_channels("channels", 3), 3, 3)
    colour = first_filters(weights, InputLayout("channels", 3), InputLayout("colour", 1))
    red, green, blue = colour.unbind(1)
    assert torch.equal(green, weights[:, 3]), "positive"
    assert torch.equal(red, weights[:, 4]), "negative"
    assert torch.allclose(blue, weights[:, :3].sum(1), atol=1e-6)
    back = first_filters(colour, InputLayout("colour", 1), InputLayout("channels", 1))
    assert torch.equal(back[:, 1], green)
    assert torch.equal(back[:, 2], red)
    assert (back[:, 3] == 0).all(), "the colour encoding has no previous mask"


def test_a_network_for_colour_photographs_sees_coloured_clicks_as_they_are() -> None:
    weights = torch.randn(4, 3, 3, 3)
    fitted = first_filters(weights, InputLayout("image", 3), InputLayout("colour", 1))
    assert torch.equal(fitted, weights)


def test_all_that_fits_is_taken_and_the_network_answers_as_before() -> None:
    layout = InputLayout("channels", 3)
    source, same = network(layout), network(layout, seed=1)
    done = transfer(same, source.state_dict(), layout, layout)
    assert (done.fresh, done.encoder) == (0, True)
    x = torch.randn(1, 6, 32, 32)
    assert torch.equal(same(x), source(x))


@pytest.mark.parametrize("parts", ["all", "encoder"])
def test_other_classes_leave_the_head_fresh(parts: str) -> None:
    source, target = (
        network(InputLayout("channels", 3)),
        network(InputLayout("image", 3), 4, seed=1),
    )
    head = target.state_dict()["segmentation_head.0.weight"].clone()
    decoder = next(n for n in target.state_dict() if n.startswith("decoder.") and "weight" in n)
    before = target.state_dict()[decoder].clone()
    done = transfer(
        target,
        source.state_dict(),
        InputLayout("channels", 3),
        InputLayout("image", 3),
        parts,  # type: ignore[arg-type]
    )
    after = target.state_dict()
    assert done.encoder
    assert torch.equal(after["segmentation_head.0.weight"], head)
    assert torch.equal(after[decoder], before) == (parts == "encoder")


def test_another_encoder_takes_nothing_of_it() -> None:
    source = network(InputLayout("image", 3)).state_dict()
    target = create("unet", "resnet18", channels=3, classes=1)
    done = transfer(target, source, InputLayout("image", 3), InputLayout("image", 3), "encoder")
    assert not done.encoder
