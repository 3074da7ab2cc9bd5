"""A model is one safetensors file: weights in half precision, and the card in its header.

Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from napari_clickseg.models.card import CardError, ModelCard
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn

CARD_KEY = "napari_clickseg_card"
_COUNTER = "num_batches_tracked"  # of no use after training
_LONGEST_HEADER = 16 * 1024**2  # bytes
_PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")


class ModelFileError(ValueError):
    """A model file that cannot be used; the message says why and what to do."""


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_model(path: Path, weights: Mapping[str, Tensor], card: ModelCard) -> None:
    """Write weights (floats as fp16) and card to one file, atomically.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``.
    weights : mapping of str to Tensor
        The network's state.
    card : ModelCard
        Describes the network.
    """
    from safetensors.torch import save_file

    tensors = {
        name: _halved(tensor.detach()).cpu().contiguous()
        for name, tensor in weights.items()
        if not name.endswith(_COUNTER)
    }
    header = {CARD_KEY: card.model_dump_json()}
    write_whole(path, lambda partial: save_file(tensors, partial, metadata=header))


def _halved(tensor: Tensor) -> Tensor:
    """Return floats as fp16, unless they are too large for it."""
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if bool((half.isfinite() == tensor.isfinite()).all()) else tensor.float()


def read_card(path: Path) -> ModelCard:
    """Read the card of a model file; needs neither torch nor the weights.

    Raises
    ------
    ModelFileError
        If the file is missing, no safetensors file, cut short, or holds no usable card.
    """
    if path.suffix.lower() in _PICKLES:
        raise ModelFileError(_pickle(path))
    if path.exists() and not path.is_file():
        raise ModelFileError(
            f"{path} cannot be read (it is not a file); choose a .safetensors file."
        )
    try:
        header = _read_header(path)
        text = header.get("__metadata__", {}).get(CARD_KEY)
    except ModelFileError:
        raise
    except FileNotFoundError:
        raise ModelFileError(f"There is no model file {path}; check the path.") from None
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read ({error.strerror or error}); choose a .safetensors file."
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(_broken(path)) from error
    if text is None:
        raise ModelFileError(
            f"{path.name} has no model card, so it is not a model of napari-clickseg; choose "
            "another file."
        )
    try:
        return ModelCard.from_json(text)
    except CardError as error:
        raise ModelFileError(f"{path.name}: {error}") from error


def _read_header(path: Path) -> dict[str, Any]:
    """Read the JSON at the beginning of a safetensors file, and check the file's length."""
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        total = path.stat().st_size
        if len(start) < 8 or not 2 <= length <= min(total - 8, _LONGEST_HEADER):
            zipped_or_pickled = start.startswith((b"PK", b"\x80"))
            raise ModelFileError(_pickle(path) if zipped_or_pickled else _broken(path))
        header: dict[str, Any] = json.loads(file.read(length))
    ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
    if 8 + length + max(ends, default=0) != total:
        raise ModelFileError(_broken(path))
    return header


def load_network(path: Path, *, expected_sha256: str | None = None) -> tuple[nn.Module, ModelCard]:
    """Rebuild the network of a model file, in fp32 on the CPU and in eval mode.

    Parameters
    ----------
    path : Path
        A .safetensors file.
    expected_sha256 : str, optional
        What the file's SHA-256 has to be, where it is known.

    Raises
    ------
    ModelFileError
        If the file is broken, has another SHA-256, or its weights don't fit its card.
    """
    card = read_card(path)
    if expected_sha256 is not None and sha256(path) != expected_sha256.lower():
        raise ModelFileError(
            f"{path.name} is not the file it should be (its SHA-256 differs); get it again."
        )
    from napari_clickseg.models.network import ARCHITECTURE_OF_ONNX, NetworkError, build_network

    weights = _read_weights(path)
    if card.architecture == ARCHITECTURE_OF_ONNX:
        return _onnx(path, weights, card), card
    try:
        if expected_sha256 is None:
            _check_fit(path, weights, card)
        network = build_network(card)
    except NetworkError as error:
        raise ModelFileError(f"{path.name}: {error}") from error
    if _shapes(network.state_dict()) != _shapes(weights):
        raise ModelFileError(_unfit(path))
    network.load_state_dict(weights, strict=False)
    return network.eval(), card


def _onnx(path: Path, weights: Mapping[str, Tensor], card: ModelCard) -> nn.Module:
    """Return the network of a model that came as ONNX."""
    from napari_clickseg.models.network import NetworkError
    from napari_clickseg.models.onnx_network import BYTES, OnnxNetwork

    if list(weights) != [BYTES] or str(weights[BYTES].dtype) != "torch.uint8":
        raise ModelFileError(_unfit(path))
    try:
        return OnnxNetwork(weights[BYTES].numpy().tobytes(), card).eval()
    except NetworkError as error:
        raise ModelFileError(f"{path.name}: {error}.") from error


def _check_fit(path: Path, weights: Mapping[str, Tensor], card: ModelCard) -> None:
    """See that a file holds the weights of the network that its card names, before it is built.

    A card of a few lines can name a network of gigabytes; without values it takes no memory.
    """
    import torch

    from napari_clickseg.models.network import NetworkError, build_network

    try:
        with torch.device("meta"):
            empty = build_network(card)
    except NetworkError:
        return  # a few networks can't be built so, and others not at all
    if _shapes(empty.state_dict()) != _shapes(weights):
        raise ModelFileError(_unfit(path))


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {n: tuple(t.shape) for n, t in weights.items() if not n.endswith(_COUNTER)}


def _unfit(path: Path) -> str:
    return f"{path.name}: the weights don't fit the card; get the file again."


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        loaded = load_file(path)
    except (SafetensorError, LookupError, ValueError, RuntimeError) as error:
        raise ModelFileError(_broken(path)) from error
    weights = {n: t.float() if t.is_floating_point() else t for n, t in loaded.items()}
    if not all(bool(t.isfinite().all()) for t in weights.values()):
        raise ModelFileError(
            f"{path.name}: some weights are not finite numbers; get the file again, or train the "
            "model again."
        )
    return weights


def _pickle(path: Path) -> str:
    return (
        f"{path.name} is a pickle, which could run any program when opened; "
        "ask for the model as a .safetensors file."
    )


def _broken(path: Path) -> str:
    return f"{path.name} is broken or cut short, or no .safetensors file; get it again."
