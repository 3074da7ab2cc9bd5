"""Take weights of a network that segmentation_models_pytorch knows, to predict or to start from.

A state dict says nothing of the network that it is of: architecture and encoder are told. It is
read without running anything: safetensors, or torch's files as far as they hold tensors alone.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_clickseg.models.checkpoint import ModelFileError, save_model
from napari_clickseg.models.network import NetworkError, build_network
from napari_clickseg.models.sharing.adding import Added, keep_model
from napari_clickseg.models.sharing.fetching import LARGEST
from napari_clickseg.models.sharing.foreign_network import ForeignNetwork, card_of
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

_COUNTER = "num_batches_tracked"
_HEAD = "segmentation_head.0."
_WITHIN = ("state_dict", "model_state_dict", "model", "network", "net", "weights")
_PREFIXES = ("module.", "model.", "network.", "net.", "_orig_mod.")
_NOT_NEEDED = ("classification_head.",)
_SHOWN = 3


def import_weights(
    path: Path, said: ForeignNetwork, *, name: str = "", overwrite: bool = False
) -> Added:
    """Add a network of segmentation_models_pytorch, given by its weights, to the user's models.

    Parameters
    ----------
    path : Path
        A state dict: .safetensors, or what `torch.save` wrote.
    said : ForeignNetwork
        Its architecture, its encoder, and how it is to be fed and read.
    name : str
        What it is to be called; by default as its file.
    overwrite : bool
        Replace the user's own model of that name.

    Raises
    ------
    ModelFileError
        If the file holds more than weights, or they aren't those of that network.
    """
    if not (said.architecture and said.encoder):
        raise ModelFileError(
            f"{path.name} holds weights alone; say of which network: --architecture unet --encoder "
            "resnet34, for example."
        )
    weights = _stripped(_read(path))
    if f"{_HEAD}weight" not in weights:
        shown = ", ".join(list(weights)[:_SHOWN]) or "nothing"
        raise ModelFileError(
            f"{path.name} is of no network of segmentation_models_pytorch (it has {shown} …)."
        )
    outputs = weights[f"{_HEAD}weight"].shape[0]
    if outputs == 2 and not said.overlapping:
        weights |= _one_of_two(weights)
    card = card_of(
        said,
        path,
        said.channels or _channels(weights),
        outputs,
        architecture=said.architecture.lower(),
        encoder=said.encoder,
        options=said.options,
    )
    try:
        network = build_network(card)
    except NetworkError as error:
        raise ModelFileError(f"{path.name}: {error}") from error
    fitted = _fitted(path, network.state_dict(), weights)

    def write(partial: Path) -> tuple[str, str]:
        save_model(partial, fitted, card)
        return path.stem, str(path.absolute())

    return keep_model(write, name=name, overwrite=overwrite)


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise ModelFileError(f"{path.name} is larger than {LARGEST >> 30} GiB.")
        if path.suffix.lower() == ".safetensors":
            return _read_safetensors(path)
        _refuse_programs(path)
        return _within(torch.load(path, map_location="cpu", weights_only=True))
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror or error}).") from error
    except pickle.UnpicklingError as error:
        raise ModelFileError(
            f"{path.name} holds more than weights, and reading that could run any program; ask for "
            "the state dict, or a .safetensors file."
        ) from error
    except (
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        zipfile.BadZipFile,
    ) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(
            f"{path.name} is broken or cut short, or no file of weights ({one_line(error)[:100]})."
        ) from error


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ModelFileError(f"{path.name} is broken or cut short; get it again.") from error


def _refuse_programs(path: Path) -> None:
    """Refuse TorchScript, and what torch wrote before it wrote zip files."""
    if not zipfile.is_zipfile(path):
        raise ModelFileError(
            f"{path.name} is a pickle of an old kind, cut short, or no file of weights; ask for a "
            ".safetensors file."
        )
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        raise ModelFileError(
            f"{path.name} is TorchScript, a program that would be run here; ask for it as ONNX, or "
            "for its weights as a .safetensors file."
        )


def _within(loaded: Any) -> dict[str, Any]:
    """Return the state dict of what a training kept, which may lie within more."""
    for key in _WITHIN:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            return _within(loaded[key])
    return dict(loaded) if isinstance(loaded, Mapping) else {}


def _stripped(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors by their names within the network."""
    tensors = {str(k): v for k, v in state.items() if isinstance(v, Tensor)}
    while prefix := next((p for p in _PREFIXES if _all_begin(tensors, p)), ""):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return {
        name: value
        for name, value in tensors.items()
        if not name.startswith(_NOT_NEEDED) and not name.endswith(_COUNTER)
    }


def _all_begin(names: Mapping[str, Any], prefix: str) -> bool:
    return bool(names) and all(name.startswith(prefix) for name in names)


def _one_of_two(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the head that answers as a softmax over background and object does: by one logit."""
    both = {name: weights[name] for name in (f"{_HEAD}weight", f"{_HEAD}bias") if name in weights}
    return {name: value[1:2] - value[:1] for name, value in both.items()}


def _channels(weights: Mapping[str, Tensor]) -> int:
    first = next((v for k, v in weights.items() if k.startswith("encoder.") and v.ndim == 4), None)
    return 3 if first is None else int(first.shape[1])


def _fitted(
    path: Path, network: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the network's weights, if all of them are there in its shapes, and no others."""
    own = {name: tensor for name, tensor in network.items() if not name.endswith(_COUNTER)}
    wrong = [n for n, t in own.items() if n not in weights or weights[n].shape != t.shape]
    strange = [name for name in weights if name not in own]
    if wrong or strange:
        shown = ", ".join((wrong or strange)[:_SHOWN])
        raise ModelFileError(
            f"{path.name} holds weights of another network ({len(wrong)} of {len(own)} don't fit, "
            f"{len(strange)} belong nowhere: {shown} …); say another --architecture, --encoder or "
            "--option."
        )
    return {name: weights[name] for name in own}
