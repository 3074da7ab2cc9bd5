"""Take a segmentation network that comes as ONNX: it answers like a model of one's own then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from napari_clickseg.models.card import CardError, ModelCard
from napari_clickseg.models.checkpoint import CARD_KEY, ModelFileError, save_model
from napari_clickseg.models.network import ARCHITECTURE_OF_ONNX, NetworkError
from napari_clickseg.models.onnx_network import BYTES, OUTPUTS_KEY, PROBABILITIES, answering
from napari_clickseg.models.sharing.adding import Added, keep_model
from napari_clickseg.models.sharing.foreign_network import ForeignNetwork, card_of
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

_LARGEST = 2 * 1024**3 - 1  # bytes: protobuf has no longer messages
_MOST_CHANNELS = 32
_LAST = {"Sigmoid": PROBABILITIES, "Softmax": PROBABILITIES}
_NETWORK = {"architecture": ARCHITECTURE_OF_ONNX, "encoder": "onnxruntime"}


def import_onnx(
    path: Path, said: ForeignNetwork, *, name: str = "", overwrite: bool = False
) -> Added:
    """Add a network that comes as ONNX to the user's models.

    One that was written here brings its card along; of any other `said` has what is not in it.

    Parameters
    ----------
    said : ForeignNetwork
        How it is to be fed and read.
    name : str
        What it is to be called; by default as its file.
    overwrite : bool
        Replace the user's own model of that name.

    Raises
    ------
    ModelFileError
        If it is no ONNX, takes or gives something else than planes, or doesn't fit what was said.
    """
    data = read_onnx(path)
    try:
        card = foreign_card(data, path, said)
    except NetworkError as error:
        raise ModelFileError(f"{path.name}: {error}.") from error
    return keep_onnx(data, card, path.stem, path, name=name, overwrite=overwrite)


def keep_onnx(
    data: bytes, card: ModelCard, called: str, origin: Path, *, name: str, overwrite: bool
) -> Added:
    """Keep a network of ONNX among the user's models, if it answers as its card says.

    Parameters
    ----------
    card : ModelCard
        How it is fed and read.
    called : str
        What it is called by itself.
    origin : Path
        Where it came from.
    name, overwrite
        As for `import_onnx`.

    Raises
    ------
    ModelFileError
        If it does not.
    """
    weights = {BYTES: torch.frombuffer(bytearray(data), dtype=torch.uint8)}

    def write(partial: Path) -> tuple[str, str]:
        save_model(partial, weights, card)
        return called, str(origin.absolute())

    return keep_model(write, name=name, overwrite=overwrite)


def read_onnx(path: Path) -> bytes:
    """Read a file that may be ONNX.

    Raises
    ------
    ModelFileError
        If it can't be read, or is too long for that.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelFileError(f"{path.name} is longer than ONNX can be (2 GiB).")
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror or error}).") from error


def foreign_card(data: bytes, path: Path, said: ForeignNetwork) -> ModelCard:
    """Return the card of a network: its own where it was written here, else what was said of it.

    Parameters
    ----------
    path : Path
        What messages call it.
    said : ForeignNetwork
        What it does not say itself.

    Raises
    ------
    ModelFileError, NetworkError
        If it can't be used.
    """
    session = answering(data)
    known = session.get_modelmeta().custom_metadata_map
    if CARD_KEY in known and known.get(OUTPUTS_KEY) == PROBABILITIES:
        try:
            card = ModelCard.from_json(known[CARD_KEY])
        except CardError as error:
            raise ModelFileError(f"{path.name}: {error}") from error
        # What the encoder expects, and guidance beside it, is within the network now.
        own = {"options": {"outputs": PROBABILITIES}, "input_range": None, "fusion": "input"}
        return card.model_copy(update={**_NETWORK, **own, "guidance_widths": ()})
    return _foreign(session, data, path, said)


def _foreign(session: Any, data: bytes, path: Path, said: ForeignNetwork) -> ModelCard:
    channels, window = _shape(session, path, said)
    size = window or said.window or card_of(said, path, channels, 1).window.size
    answer = _asked(session, path, channels, size)
    outputs = answer.shape[1]
    if answer.shape != (1, outputs, size, size):
        raise ModelFileError(
            f"{path.name} answers {size} × {size} pixels with "
            f"{' × '.join(map(str, answer.shape))} values; it should give a map of the same size."
        )
    kind = said.outputs or _LAST.get(last_operation(data), "logits")
    if kind == PROBABILITIES and not (answer.min() >= 0 and answer.max() <= 1):
        raise ModelFileError(
            f"{path.name} answers with values from {answer.min():.3g} to {answer.max():.3g}, which "
            "are no probabilities; say --outputs logits."
        )
    two = outputs == 2 and not said.overlapping
    options = {"outputs": kind, **({"two": True} if two else {})}
    return card_of(replace(said, window=size), path, channels, outputs, options=options, **_NETWORK)


def _shape(session: Any, path: Path, said: ForeignNetwork) -> tuple[int, int]:
    """Return how many channels it takes, and the side of its windows; 0 where it takes any."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(one.name for one in inputs)
        raise ModelFileError(f"{path.name} takes {len(inputs)} inputs ({names}), not one image.")
    (given,) = inputs
    shape = [n if isinstance(n, int) and n > 0 else 0 for n in given.shape]
    if given.type != "tensor(float)":
        raise ModelFileError(
            f"{path.name} takes {given.type}; only networks of 32-bit floats are used here."
        )
    if len(shape) != 4:
        what = "volumes" if len(shape) == 5 else f"arrays of {len(shape)} dimensions"
        raise ModelFileError(f"{path.name} takes {what}; only planes are segmented here.")
    if shape[1] > _MOST_CHANNELS and 0 < shape[3] <= _MOST_CHANNELS:
        raise ModelFileError(
            f"{path.name} has channels last ({' × '.join(map(str, shape))}); save it with channels "
            "first."
        )
    channels = shape[1] or said.channels
    if not channels:
        raise ModelFileError(f"{path.name} takes any number of channels; say --channels N.")
    if said.channels and said.channels != channels:
        raise ModelFileError(f"{path.name} takes {channels} channels, not {said.channels}.")
    if shape[2] != shape[3]:
        raise ModelFileError(
            f"{path.name} takes {shape[2] or 'any'} × {shape[3] or 'any'} pixels; only square "
            "windows are used here."
        )
    if said.window and shape[2] and said.window != shape[2]:
        raise ModelFileError(f"{path.name} takes windows of {shape[2]} pixels, not {said.window}.")
    return channels, shape[2]


def _asked(session: Any, path: Path, channels: int, size: int) -> npt.NDArray[np.float32]:
    """Return its answer to a window."""
    import numpy as np

    given, gives = session.get_inputs()[0], session.get_outputs()[0]
    if gives.type not in ("tensor(float)", "tensor(float16)", "tensor(double)"):
        raise ModelFileError(
            f"{path.name} answers with {gives.type}, as of labels; logits or probabilities are "
            "needed."
        )
    window = np.random.default_rng(0).random((1, channels, size, size), np.float32)
    try:
        (answer,) = session.run([gives.name], {given.name: window})
    except Exception as error:  # of onnxruntime's own kinds
        raise ModelFileError(
            f"{path.name} takes no window of {channels} × {size} × {size} values "
            f"({one_line(error)[:200]}); say --window N."
        ) from error
    outputs: npt.NDArray[np.float32] = np.asarray(answer, np.float32)
    if outputs.ndim != 4:
        raise ModelFileError(
            f"{path.name} answers with {outputs.ndim} dimensions; a map for each class is "
            "needed, as of a network for semantic segmentation."
        )
    return outputs


def last_operation(data: bytes) -> str:
    """Return the operation of ONNX that gives a network's first output, such as "Sigmoid"."""
    try:
        import onnx
    except ImportError as error:
        raise NetworkError(
            "ONNX needs onnx; install it with pip install 'napari-clickseg[onnx]'"
        ) from error
    graph = onnx.load_model_from_string(data).graph
    for node in reversed(graph.node):
        if graph.output[0].name in node.output:
            return str(node.op_type)
    return ""
