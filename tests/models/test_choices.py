from __future__ import annotations

import torch

from napari_clickseg.models.choices import TIMM, architectures, encoders
from napari_clickseg.models.network import create
from napari_clickseg.models.pretrained import packaged_encoders


def test_all_architectures_of_the_library_are_listed_and_can_be_built() -> None:
    names = architectures()
    assert {"unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet", "deeplabv3"} <= set(names)
    assert {"deeplabv3plus", "pan", "upernet", "segformer"} <= set(names)
    create("linknet", "mobilenet_v2", channels=6, classes=3)(torch.zeros(2, 6, 64, 64))


def test_encoders_with_weights_at_hand_come_first_then_the_library_s_then_timm_s() -> None:
    own, at_hand = encoders(timm=False), packaged_encoders()
    both = encoders()
    assert {"resnet18", "mobilenet_v2", "mit_b0"} <= set(own)
    assert both[: len(at_hand) + len(own)] == at_hand + own
    assert len(at_hand) == 3
    assert len(both) == len(set(both)) > len(own) + 500
    assert all(name.startswith(TIMM) for name in both[len(at_hand) + len(own) :])
    assert "tu-resnet10t" in both
