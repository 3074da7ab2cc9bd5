"""Networks that came as ONNX, run by onnxruntime behind the interface of a network of torch.

A model's file holds such a network as a tensor of bytes, and its card says what it expects. It is
data that onnxruntime interprets: no code of others comes in, and no other file is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_clickseg.core.guidance import input_channels
from napari_clickseg.models.guided import Normalised
from napari_clickseg.models.network import NetworkError
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_clickseg.models.card import ModelCard

BYTES = "onnx"  # the tensor that holds the network
INPUTS = "inputs"  # what a network that is written here calls them
OUTPUTS_KEY, PROBABILITIES = "napari_clickseg_outputs", "probabilities"
_LEAST = 1e-6  # a probability is taken to lie between this and one minus this
# How weights begin in a file that lie in another one: the key "location" of a message of protobuf.
_ELSEWHERE = b"\n\x08location"
_SPREAD = 1e-6  # that a window is divided by, at the least


class OnnxNetwork(nn.Module):
    """A network of ONNX that takes and gives what the card says: (B, K, N, N), logits.

    Parameters
    ----------
    card : ModelCard
        Its options say what the network gives (`outputs`: "logits" or "probabilities"), whether a
        single class comes as `two` channels, the background's first, and whether windows are
        `standardised`: brought to a mean of 0 and a deviation of 1. Or else `steps` that a window
        goes through, each a list: "linear", channel (-1: all), gain, offset; "standardise",
        together (1: all channels, 0: each); "percentiles", together, low, high, which become 0 and
        1; "clip", low, high.

    Raises
    ------
    NetworkError
        If onnxruntime is missing, or the network isn't what the card says.
    """

    def __init__(self, data: bytes, card: ModelCard) -> None:
        super().__init__()
        self.session = answering(data)
        self._input = self.session.get_inputs()[0].name
        self._output = self.session.get_outputs()[0].name
        self._card = card
        options = card.options
        self._probabilities = options.get("outputs") == PROBABILITIES
        self._two = bool(options.get("two", False))
        self._standardised = bool(options.get("standardised", False))
        self._steps = [tuple(step) for step in options.get("steps", ())]
        known = card.input_range
        self.normalised = None if known is None else Normalised(known.mean, known.std)
        self._check()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, outputs, N, N); onnxruntime works on the processor."""
        values = self._ranged(inputs.detach().to("cpu", torch.float32))
        (output,) = self.session.run([self._output], {self._input: values.contiguous().numpy()})
        out = torch.from_numpy(output).float()
        return self._logits(out).to(inputs.device)

    def raw(self, image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the network's answer as it is, to an image (1, C, Y, X) as it is kept here."""
        values = self._ranged(torch.from_numpy(image))
        try:
            (output,) = self.session.run([self._output], {self._input: values.numpy()})
        except Exception as error:  # onnxruntime's are of its own
            raise NetworkError(
                f"the network takes no image of {' × '.join(map(str, image.shape))} values "
                f"({one_line(error)[:200]})"
            ) from error
        answer: npt.NDArray[np.float32] = output
        return answer

    def _ranged(self, values: Tensor) -> Tensor:
        n = self._card.image_channels
        image = values[:, :n]
        if self._standardised:
            image = _standardised(image, (2, 3))
        for step in self._steps:
            image = _stepped(image, step)
        if self.normalised is not None:
            image = self.normalised(image)
        return torch.cat([image, values[:, n:]], 1)

    def _logits(self, out: Tensor) -> Tensor:
        card = self._card
        if not self._probabilities:
            return out[:, 1:2] - out[:, :1] if self._two else out
        out = out.clamp(_LEAST, 1 - _LEAST)
        if self._two:
            return out[:, 1:2].log() - out[:, :1].log()
        if card.class_outputs == 1 or card.overlapping:
            return torch.logit(out)
        count = card.class_outputs
        return torch.cat([out[:, :count].log(), torch.logit(out[:, count:])], 1)

    def _check(self) -> None:
        """See that it answers a window as the card says."""
        card = self._card
        channels, n = input_channels(card.encoding, card.image_channels), card.window.size
        try:
            with torch.inference_mode():
                out = self(torch.zeros(1, channels, n, n))
        except Exception as error:  # onnxruntime's are of its own
            raise NetworkError(
                f"the network takes no windows of {channels} channels and {n} × {n} pixels "
                f"({one_line(error)[:200]})"
            ) from error
        if tuple(out.shape) != (1, card.outputs, n, n) or not bool(out.isfinite().all()):
            raise NetworkError(
                f"the network answers with {' × '.join(map(str, out.shape))} values instead of "
                f"1 × {card.outputs} × {n} × {n} that are finite"
            )


def _standardised(image: Tensor, over: tuple[int, ...]) -> Tensor:
    spread = image.std(over, correction=0, keepdim=True).clamp_min(_SPREAD)
    return (image - image.mean(over, keepdim=True)) / spread


def _stepped(image: Tensor, step: tuple[Any, ...]) -> Tensor:
    """Take a window (B, C, N, N) through one of the steps before a network."""
    out = image.clone()
    match step:
        case ("linear", -1, gain, offset):
            return out.mul_(float(gain)).add_(float(offset))
        case ("linear", channel, gain, offset):
            out[:, channel] = out[:, channel] * gain + offset
            return out
        case ("standardise", together):
            return _standardised(image, (1, 2, 3) if together else (2, 3))
        case ("percentiles", together, low, high):
            flat = image.flatten(1 if together else 2).numpy()
            ends = torch.from_numpy(np.percentile(flat, (low, high), axis=-1).astype(np.float32))
            bottom, top = (end.reshape(*end.shape, *[1] * (4 - end.ndim)) for end in ends)
            return out.sub_(bottom).div_(top - bottom + _SPREAD)
        case ("clip", low, high):
            return image.clamp(low, high)
    raise NetworkError(f"the step {step[:1]} before the network is not known here")


def answering(data: bytes) -> Any:
    """Return onnxruntime's session of a network, on the processor.

    Raises
    ------
    NetworkError
        If onnxruntime is missing, or can't read it.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise NetworkError(
            "ONNX needs onnxruntime; install it with pip install 'napari-clickseg[onnx]'"
        ) from error
    if _ELSEWHERE in data:  # before onnxruntime would open them
        raise NetworkError("the network keeps weights in other files; save it as one")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised as well
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of onnxruntime's own kinds
        raise NetworkError(
            f"the network is no ONNX that onnxruntime reads ({one_line(error)[:200]})"
        ) from error
