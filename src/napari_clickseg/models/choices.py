"""What can be chosen for a network: architectures and encoders, by their own registries."""

from __future__ import annotations

import inspect
from functools import cache

from napari_clickseg.models.libraries import import_networks
from napari_clickseg.models.pretrained import packaged_encoders

TIMM = "tu-"  # how segmentation_models_pytorch marks timm's encoders


@cache
def architectures() -> tuple[str, ...]:
    """Return the names of all architectures of segmentation_models_pytorch."""
    return tuple(_makers())


@cache
def arguments(architecture: str) -> frozenset[str]:
    """Return the names of the arguments that an architecture takes."""
    return frozenset(inspect.signature(_makers()[architecture]).parameters)


def _makers() -> dict[str, type]:
    import_networks()
    import segmentation_models_pytorch as smp

    known: dict[str, type] | None = getattr(smp, "MODEL_ARCHITECTURES_MAPPING", None)
    if known is None:  # older versions keep a list of classes
        known = {one.__name__.lower(): one for one in smp._MODEL_ARCHITECTURES}
    return known


@cache
def encoders(*, timm: bool = True) -> tuple[str, ...]:
    """Return the names of all encoders, those first whose ImageNet weights are installed.

    Then come segmentation_models_pytorch's own, then timm's.

    Parameters
    ----------
    timm : bool
        Whether timm's are listed as well, more than a thousand. A few of them fit no
        architecture; building such a network says so.
    """
    import_networks()
    import segmentation_models_pytorch as smp

    own = tuple(sorted(smp.encoders.get_encoder_names()))
    if not timm:
        return own
    from timm import list_models

    at_hand = packaged_encoders()
    others = (TIMM + name for name in list_models())
    return at_hand + own + tuple(name for name in others if name not in at_hand)


@cache
def pretrained() -> frozenset[str]:
    """Return the names of timm's networks together with what they were trained on."""
    import_networks()
    from timm import list_pretrained

    return frozenset(list_pretrained())
