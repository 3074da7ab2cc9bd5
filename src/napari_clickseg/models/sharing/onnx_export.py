"""Write a model as ONNX, for programs that know neither torch nor this one.

The file answers with probabilities, and says in its metadata what its channels are; the card is in
it, so that it comes in again as the same model. It is compared with torch before it appears.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from napari_clickseg.core.guidance import LIKENESS_SCALES, input_channels
from napari_clickseg.models.checkpoint import CARD_KEY, ModelFileError, load_network
from napari_clickseg.models.network import ARCHITECTURE_OF_ONNX
from napari_clickseg.models.onnx_network import INPUTS, OUTPUTS_KEY, PROBABILITIES, answering
from napari_clickseg.models.registry import find_model
from napari_clickseg.util.files import write_whole
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import nn

    from napari_clickseg.models.card import ModelCard

FARTHEST = 1e-3  # of a probability: what onnxruntime's answers may be off torch's
OPSET = 17
_OVERLAP = "overlap"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Parameters
    ----------
    farthest : float
        By how much a probability differs from torch's, at the most.
    any_size : bool
        Whether inputs may have any height and width (multiples of 32); else they have the window's.
    """

    path: Path
    farthest: float
    any_size: bool


def export_onnx(model: str, path: Path, *, overwrite: bool = False) -> Exported:
    """Write a model as ONNX; it takes any number of windows at once.

    Parameters
    ----------
    model : str
        Name, or .safetensors file.
    path : Path
        Ends in ``.onnx``.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    ModelFileError
        If there is no such model, the extra `onnx` is not installed, the file is there, the network
        can't be written as ONNX, or answers otherwise then.
    """
    if path.suffix.lower() != ".onnx":
        raise ModelFileError(f"{path} should end in .onnx; choose such a name.")
    if path.exists() and not overwrite:
        raise ModelFileError(f"{path} is there already; choose another name, or --overwrite.")
    entry = find_model(model)
    network, card = load_network(entry.path, expected_sha256=entry.sha256)
    if card.architecture == ARCHITECTURE_OF_ONNX:
        raise ModelFileError(f"'{entry.name}' came as ONNX already; hand that file on.")
    _check_installed()
    asked = _Asked(network, card)
    exported: list[Exported] = []

    def write(partial: Path) -> None:
        exported.append(_written(asked, card, partial))

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
    except OSError as error:
        reason = error.strerror or error
        if error.errno in _FULL:
            reason = "there is no room left"
        raise ModelFileError(f"{path} can't be written ({reason}); nothing was left.") from error
    return Exported(path, exported[0].farthest, exported[0].any_size)


class _Asked:
    """A network that is asked for probabilities, with examples of what it is shown."""

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        self.module = probabilities_of(network, card)
        self.names = ["probabilities"] + [_OVERLAP] * (card.fusion == "beside")
        self.channels = input_channels(card.encoding, card.image_channels)
        self.size = card.window.size

    def example(self, count: int, height: int, width: int) -> torch.Tensor:
        """Return inputs, always the same."""
        import torch

        generator = torch.Generator().manual_seed(count + height + width)
        return torch.rand(count, self.channels, height, width, generator=generator)

    def difference(self, path: Path, shapes: list[tuple[int, int, int]]) -> float:
        """Return by how much the answers of a file differ from torch's, at the most."""
        import numpy as np
        import torch

        session = answering(path.read_bytes())
        farthest = 0.0
        for shape in shapes:
            inputs = self.example(*shape)
            with torch.inference_mode():
                wanted = self.module(inputs)
            outputs: list[npt.NDArray[np.float32]] = session.run(None, {INPUTS: inputs.numpy()})
            for one, other in zip(wanted, outputs, strict=True):
                if tuple(one.shape) != other.shape:
                    return float("inf")
                off = np.abs(one.numpy() - other).max()
                farthest = max(farthest, float(off) if np.isfinite(off) else float("inf"))
        return farthest


def probabilities_of(network: nn.Module, card: ModelCard) -> nn.Module:
    """Return a network whose answers are probabilities, and of guided ones the expected overlap.

    It gives a tuple of (B, outputs, H, W), and of guided ones (B,) as well.
    """
    import torch
    from torch import Tensor, nn

    count = card.class_outputs
    each = count == 1 or card.overlapping

    class Probabilities(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
            if card.fusion == "beside":
                answer = cast("Any", self.network).assessed(inputs)
                return self._activated(answer.logits), torch.sigmoid(answer.overlap)
            return (self._activated(self.network(inputs)),)

        def _activated(self, logits: Tensor) -> Tensor:
            classes = logits[:, :count]
            probabilities = torch.sigmoid(classes) if each else torch.softmax(classes, 1)
            if card.objects is None:
                return probabilities
            return torch.cat([probabilities, torch.sigmoid(logits[:, count:])], 1)

    return Probabilities().eval()


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ModelFileError(
            f"ONNX needs {error.name}; install it with pip install 'napari-clickseg[onnx]'."
        ) from error


def _written(asked: _Asked, card: ModelCard, path: Path) -> Exported:
    """Write the network so that it takes any size; where that answers otherwise, its window's."""
    n = asked.size
    own, others = [(1, n, n), (2, n, n)], [(1, n + 32, n), (2, n, n + 64)]
    reasons: list[str] = []
    for any_size in (True, False):
        try:
            _export(asked, path, any_size=any_size)
            farthest = asked.difference(path, own + others if any_size else own)
        except Exception as error:  # torch's and onnxruntime's are of many kinds
            if isinstance(error, OSError):
                raise
            reasons.append(one_line(error, kind=True)[:200])
            continue
        if farthest <= FARTHEST:
            _tell(path, card, any_size=any_size)
            return Exported(path, farthest, any_size)
        reasons.append(f"its answers would differ by {farthest:.3g}")
    raise ModelFileError(f"'{card.name}' can't be written as ONNX ({reasons[-1]}).")


def _export(asked: _Asked, path: Path, *, any_size: bool) -> None:
    import torch

    free = {0: "windows"} | ({2: "height", 3: "width"} if any_size else {})
    axes = {INPUTS: free, "probabilities": free, _OVERLAP: {0: "windows"}}
    # torch says that this exporter will go (the newer one takes a minute instead of seconds), and
    # prints the network where it fails.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            asked.module,
            (asked.example(2, asked.size, asked.size),),
            path,
            input_names=[INPUTS],
            output_names=asked.names,
            dynamic_axes={name: axes[name] for name in (INPUTS, *asked.names)},
            opset_version=OPSET,
            dynamo=False,
        )


def _tell(path: Path, card: ModelCard, *, any_size: bool) -> None:
    """Write into the file what it is, for people and for programs."""
    import onnx

    model = onnx.load(path)
    model.producer_name = "napari-clickseg"
    model.doc_string = card.description
    height = "a multiple of 32" if any_size else str(card.window.size)
    facts = {
        CARD_KEY: card.model_dump_json(),
        OUTPUTS_KEY: PROBABILITIES,
        "name": card.name,
        "licence": card.licence,
        "inputs": json.dumps(channels_of(card)),
        "outputs": json.dumps(outputs_of(card)),
        "height and width": height,
    }
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def channels_of(card: ModelCard) -> list[str]:
    """Return what each input channel is."""
    if card.encoding == "colour":
        return ["negative clicks (squares of 3 × 3)", "positive clicks (likewise)", "image, 0 to 1"]
    names = [f"image channel {k + 1}, 0 to 1" for k in range(card.image_channels)]
    if card.encoding == "image":
        return names
    disks = f"disks of radius {card.disk_radius:g}"
    names += [f"positive clicks ({disks})", f"negative clicks ({disks})", "previous probability"]
    if card.encoding == "prompts":
        names.append("marked areas: 1 on the object, -1 off it")
    if card.encoding in ("likeness", "prompts"):
        names += [
            f"how much it looks like {what} clicks, averaged over {side} pixels"
            for what in ("positive", "negative")
            for side in LIKENESS_SCALES
        ]
    return names


def outputs_of(card: ModelCard) -> list[str]:
    """Return what each channel of the probabilities is."""
    background = ["background"] * (card.class_outputs > len(card.classes))
    distances = ["distance from the edge", "distance from the middle"] * (card.objects is not None)
    return [*background, *card.classes, *distances]
