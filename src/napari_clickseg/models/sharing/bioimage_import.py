"""Take a network out of a package of bioimage.io: its ONNX, with what is done to an image before.

Nothing of a package is unpacked or run: its description is read as YAML, its network as ONNX. The
package's own test is repeated before it is kept.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.models.checkpoint import ModelFileError
from napari_clickseg.models.network import NetworkError
from napari_clickseg.models.onnx_network import OnnxNetwork
from napari_clickseg.models.sharing.bioimage_package import bytes_of, read_bioimage
from napari_clickseg.models.sharing.fetching import LARGEST
from napari_clickseg.models.sharing.onnx_import import foreign_card, keep_onnx, last_operation

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.models.sharing.adding import Added
    from napari_clickseg.models.sharing.bioimage_package import BioimagePackage
    from napari_clickseg.models.sharing.foreign_network import ForeignNetwork

_FAR = 0.01  # that an answer may be off from the package's own, of values between 0 and 1
_LONGEST_TENSOR = 1 << 28


def import_bioimage(path: Path, *, name: str = "", overwrite: bool = False) -> Added:
    """Add the network of a package of bioimage.io to the user's models.

    Parameters
    ----------
    name : str
        What it is to be called; by default as the package.
    overwrite : bool
        Replace the user's own model of that name.

    Raises
    ------
    ModelFileError
        As `read_bioimage`; if its network can't be used here, isn't the one that is meant, or
        doesn't answer as the package's own test says.
    """
    package = read_bioimage(path)
    data = bytes_of(package, package.network, LARGEST)
    if package.sum and hashlib.sha256(data).hexdigest() != package.sum.lower():
        raise ModelFileError(
            f"{path.name}: {package.network} is not the file it should be (its SHA-256 differs); "
            "get the package again."
        )
    said = _classed(package, data)
    try:
        card = foreign_card(data, path, said)
        _check_test(package, OnnxNetwork(data, card), card)
    except NetworkError as error:
        raise ModelFileError(f"{path.name}: {error}.") from error
    return keep_onnx(data, card, package.name, path, name=name, overwrite=overwrite)


def _classed(package: BioimagePackage, data: bytes) -> ForeignNetwork:
    """Say which channels of the answer are classes: by their names, and by how they are made."""
    said, names = package.said, package.said.classes
    if len(names) < 2:
        return replace(said, classes=names if names and not _generic(names[0]) else ())
    plain = [name.lower() for name in names]
    first = plain[0] in ("background", "bg")
    if not first and {"background", "bg"} & set(plain):
        raise ModelFileError(
            f"{package.path.name}: its background is not the first channel ({', '.join(names)})."
        )
    exclusive = first or package.softmax or last_operation(data) == "Softmax"
    kept = names[1:] if exclusive else names
    if any(_generic(name) for name in kept):
        kept = ()
    return replace(said, classes=kept, overlapping=not exclusive)


def _generic(name: str) -> bool:
    return name.lower().rstrip("0123456789_- ") in ("channel", "c", "ch", "output", "")


def _check_test(package: BioimagePackage, network: OnnxNetwork, card: ModelCard) -> None:
    """Have the network answer the package's own test."""
    if not all(name.endswith(".npy") for name in package.tests):
        return
    given, expected = (_tensor(package, name) for name in package.tests)
    if given.ndim != 4 or given.shape[1] != card.image_channels:
        return
    answer: npt.NDArray[Any] = network.raw(given.astype(np.float32) / np.float32(package.base))
    if package.sigmoid:
        answer = 1 / (1 + np.exp(-answer))
    if package.softmax:
        powers = np.exp(answer - answer.max(1, keepdims=True))
        answer = powers / powers.sum(1, keepdims=True)
    spread = max(1.0, float(np.abs(expected).max(initial=0)))
    if answer.shape != expected.shape:
        far = np.inf
    elif package.threshold is not None:  # a mask: some pixels may lie on the threshold
        far = float(np.mean((answer > package.threshold) != (expected > 0)))
    else:
        far = float(np.abs(answer - expected).max())
    if not far <= _FAR * spread:
        raise ModelFileError(
            f"{package.path.name}: the network does not answer its own test as the package says "
            f"(it is off by {far:.2g}), so it can't be used here."
        )


def _tensor(package: BioimagePackage, name: str) -> npt.NDArray[Any]:
    try:
        tensor: npt.NDArray[Any] = np.load(
            io.BytesIO(bytes_of(package, name, _LONGEST_TENSOR)), allow_pickle=False
        )
    except (ValueError, EOFError) as error:
        raise ModelFileError(f"{package.path.name}: {name} is broken; get it again.") from error
    return tensor
