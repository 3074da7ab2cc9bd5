"""The heart of the headless API: a loaded model, which starts sessions on images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.intensity import Intensity
from napari_clickseg.core.source import ImageError, ImageSource
from napari_clickseg.engine.devices import (
    DeviceError,
    choose_device,
    prepare,
    processor_twin,
    quick_dtype,
)
from napari_clickseg.engine.estimate import Looked, Sight, with_background
from napari_clickseg.engine.prediction import Prediction
from napari_clickseg.engine.session import Session, Superseded, starting_patch
from napari_clickseg.models._torch import keep_triton_out
from napari_clickseg.models.checkpoint import load_network
from napari_clickseg.models.registry import find_model

if TYPE_CHECKING:
    import os

    import torch
    from torch import nn

    from napari_clickseg.models.card import ModelCard
    from napari_clickseg.models.guided import GuidedNetwork

__all__ = ["DeviceError", "Prediction", "Segmenter", "Session", "Superseded", "load_segmenter"]

FloatArray = npt.NDArray[np.float32]


class Segmenter:
    """A loaded model on its device.

    Parameters
    ----------
    network : torch.nn.Module
        Takes (B, K, N, N), returns (B, outputs, N, N) logits.
    card : ModelCard
        Says how the network is fed and read.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"mps"`` or one of torch's names.
    half : bool
        Half precision where the device is quick at it: CUDA, and processors with bfloat16.

    Raises
    ------
    DeviceError
        If the device is not there.
    """

    def __init__(
        self, network: nn.Module, card: ModelCard, *, device: str = "auto", half: bool = True
    ) -> None:
        self.card = card
        self.device: torch.device = choose_device(device)
        self._network: nn.Module | None
        self._network, self.device = prepare(network, card, self.device)
        self._quick = quick_dtype(self.device) if half else None
        self._twin = processor_twin(self._network, card, self.device, self._quick)

    @property
    def half(self) -> bool:
        """Whether the network runs in half precision."""
        return self._quick is not None

    @property
    def network(self) -> nn.Module:
        """The network itself, in full precision; takes (B, K, N, N), returns logits.

        Raises
        ------
        RuntimeError
            If the model was closed.
        """
        if self._network is None:
            raise RuntimeError("The model was closed; load it again.")
        return self._network

    def start(
        self,
        image: Any,
        mask: npt.NDArray[Any] | None = None,
        *,
        rgb: bool | None = None,
        contrast_limits: tuple[float, float] | None = None,
    ) -> Session:
        """Begin a session on an image.

        Parameters
        ----------
        image : array (Y, X) or (Y, X, C), or a list of them
            Of any real dtype; numpy, dask or zarr. A list is a pyramid, finest level first.
        mask : array (Y, X), optional
            Start from this mask; what is not zero belongs to the object.
        rgb : bool, optional
            Whether the channels are red, green, blue (and alpha). By default so for 8-bit
            images with three channels.
        contrast_limits : (float, float), optional
            Intensities that become 0 and 1; measured by default.

        Raises
        ------
        ImageError
            If the image can't be used, or the mask has another shape.
        """
        source = ImageSource(image, rgb=rgb)
        if self.card.encoding == "colour" and source.channels != 1 and not source.is_grey():
            raise ImageError(
                "This model takes monochrome images (its clicks are coloured); choose one "
                "channel of the image, or another model."
            )
        patch = None if mask is None else starting_patch(mask, source.shape)
        limits = None
        if contrast_limits is not None:
            limits = Intensity.from_limits(contrast_limits, source.channels)
        return Session(self, source, limits, patch)

    def forward(self, inputs: FloatArray) -> FloatArray:
        """Run the network once; may be called from any thread.

        Parameters
        ----------
        inputs : float32 (K, N, N)
            As `core.guidance.encode` makes it.

        Returns
        -------
        float32 (outputs, N, N)
            Probabilities: of the object, or of background and each class.
        """
        return self.look(inputs, Sight(inputs[: self.card.image_channels])).probabilities

    def look(self, inputs: FloatArray, sight: Sight) -> Looked:
        """Run the network once on a window; may be called from any thread.

        What the encoder makes of the window is kept in `sight`, if the network has guidance beside
        its encoder: another look at it costs less.

        Parameters
        ----------
        inputs : float32 (K, N, N)
            As `core.guidance.encode` makes it.
        sight : Sight
            What the inputs show of the image.
        """
        network = self.network
        import torch

        with torch.inference_mode():
            logits, overlap = self._answered(self._twin or network, inputs, sight)
            if self.half and not torch.isfinite(logits).all():
                self._quick = self._twin = None  # this network needs the range of full precision
                sight.features = None
                logits, overlap = self._answered(network, inputs, sight)
            count = self.card.class_outputs
            logits, apart = logits[:, :count], logits[:, count:]
            each = count == 1 or self.card.overlapping
            probability = torch.sigmoid(logits) if each else torch.softmax(logits, dim=1)
            out: FloatArray = probability[0].cpu().contiguous().numpy()
            distances = torch.sigmoid(apart)[0].cpu().contiguous().numpy()
        out = with_background(out) if self.card.overlapping else out
        return Looked(out, overlap, None if self.card.objects is None else distances)

    def _answered(
        self, network: nn.Module, inputs: FloatArray, sight: Sight
    ) -> tuple[torch.Tensor, float | None]:
        """Return logits (1, outputs, N, N), and the overlap that the network expects."""
        import torch

        tensor = torch.from_numpy(inputs)[None].to(self.device)
        tensor = tensor.contiguous(memory_format=torch.channels_last)
        narrow = network is self._twin  # a twin is of one type, without autocast
        if narrow:
            tensor = tensor.to(next(network.parameters()).dtype)
        with torch.autocast(self.device.type, self._quick, enabled=self.half and not narrow):
            if self.card.fusion != "beside":
                return network(tensor).float(), None
            guided = cast("GuidedNetwork", network)
            if sight.features is None:
                sight.features = guided.features(tensor[:, : self.card.image_channels])
            answer = guided.answer(sight.features, tensor)
            return answer.logits.float(), float(torch.sigmoid(answer.overlap.float())[0])

    def close(self) -> None:
        """Give the network's memory back; the segmenter can't be used afterwards."""
        self._network = self._twin = None
        if self.device.type in ("cuda", "mps"):
            import torch

            getattr(torch, self.device.type).empty_cache()


def load_segmenter(
    model: str | os.PathLike[str] = "default", device: str = "auto", *, half: bool = True
) -> Segmenter:
    """Load a model.

    Parameters
    ----------
    model : str or path
        A name, as `list_models` gives them, or the path of a .safetensors file.
    device : str
        ``"auto"`` takes a GPU where there is one; or ``"cpu"``, ``"cuda"``, ``"mps"``.
    half : bool
        Half precision where the device is quick at it: CUDA, and processors with bfloat16.

    Raises
    ------
    ModelFileError
        If there is no such model or its file can't be used.
    DeviceError
        If the device is not there.
    """
    keep_triton_out()
    choose_device(device)  # before the model is loaded, which takes seconds
    entry = find_model(model)
    network, card = load_network(entry.path, expected_sha256=entry.sha256)
    return Segmenter(network, card, device=device, half=half)
