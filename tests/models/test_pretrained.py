from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from skimage import data
from skimage.transform import resize

from napari_clickseg.models import pretrained
from napari_clickseg.models.network import NetworkError, create
from napari_clickseg.models.pretrained import (
    PretrainedError,
    input_range,
    load_packaged,
    packaged_encoders,
)

if TYPE_CHECKING:
    from pathlib import Path

LITE = tuple(f"tu-tf_efficientnet_lite{n}" for n in range(3))


def test_the_packaged_encoders_are_there_for_development() -> None:
    assert packaged_encoders() == LITE


@pytest.mark.parametrize(
    ("picture", "classes"),
    [("chelsea", (281, 282, 285)), ("coffee", (967, 968)), ("rocket", (657, 744, 812))],
)
def test_packaged_weights_see_what_a_picture_shows(picture: str, classes: tuple[int, ...]) -> None:
    """With the classifier of the same file: cats, coffee and rockets of ImageNet."""
    import timm

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    path = pretrained._weights_file(LITE[0])
    assert path is not None
    weights = pretrained._read(path)
    network.load_state_dict(pretrained._in_order(network, weights, path.name), strict=False)
    known = input_range(LITE[0])
    whole = getattr(data, picture)()
    side = min(whole.shape[:2])
    top, left = ((n - side) // 2 for n in whole.shape[:2])
    square = whole[top : top + side, left : left + side]
    image = resize(square, (224, 224), anti_aliasing=True)
    values = (image - np.array(known.mean)) / np.array(known.std)
    with torch.inference_mode():
        logits = network(torch.from_numpy(values).permute(2, 0, 1)[None].float())
    assert int(logits.argmax()) in classes


@pytest.mark.parametrize("encoder", LITE)
def test_a_network_begins_with_the_packages_weights(encoder: str) -> None:
    """And does not ask any other machine for them."""
    trained = create("unet", encoder, channels=3, classes=1, weights="imagenet")
    fresh = create("unet", encoder, channels=3, classes=1)
    assert load_packaged(fresh.get_submodule("encoder"), encoder)
    own, other = (n.get_submodule("encoder").state_dict() for n in (trained, fresh))
    assert all(torch.equal(own[name], other[name]) for name in own)
    norms = [value for name, value in own.items() if name.endswith("running_var")]
    assert norms
    assert not any(bool((value == 1).all()) for value in norms)


def test_weights_that_no_package_has_are_not_made_up() -> None:
    network = create("unet", "resnet18", channels=3, classes=1)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert not load_packaged(network.get_submodule("encoder"), "resnet18")
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_weights_of_another_encoder_are_refused() -> None:
    network = create("unet", LITE[1], channels=3, classes=1)
    with pytest.raises(PretrainedError, match="does not fit"):
        load_packaged(network.get_submodule("encoder"), LITE[0])


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02cposix\nsystem\n."])
def test_a_broken_file_says_what_to_do_and_runs_nothing(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    monkeypatch.setattr(pretrained, "_weights_file", lambda encoder: path)
    with pytest.raises(NetworkError, match="install its package again"):
        create("unet", LITE[0], channels=3, classes=1, weights="imagenet")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """What smp would look up is not to be had, and nobody waits for it."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("offline")
def test_an_encoder_s_range_is_its_own() -> None:
    lite = input_range(LITE[0])
    assert lite.mean == pytest.approx((127 / 255,) * 3)
    assert lite.std == pytest.approx((128 / 255,) * 3)
    assert input_range("tu-mixer_b16_224").mean == pytest.approx((0.5, 0.5, 0.5))
    for encoder in ("tu-resnet10t", "resnet18"):
        assert input_range(encoder).mean == pytest.approx((0.485, 0.456, 0.406))
        assert input_range(encoder).std == pytest.approx((0.229, 0.224, 0.225))


def test_a_range_fits_any_number_of_channels() -> None:
    known = input_range("tu-resnet10t")
    assert known.fitted(3) == known
    grey = known.fitted(1)
    assert grey.mean == pytest.approx((np.mean(known.mean),))
    assert len(known.fitted(5).std) == 5
