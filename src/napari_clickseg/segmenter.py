"""The heart of the headless API: a loaded model, and a session on one image.

napari, the command line and the benchmarks all drive the `Session` of this module.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_clickseg.core.clicks import Click, ClickError, ClickHistory, Prompt
from napari_clickseg.core.intensity import Intensity, measure
from napari_clickseg.core.masks import Patch, Refinement, refine
from napari_clickseg.core.source import ImageError, ImageSource
from napari_clickseg.core.window import Box
from napari_clickseg.inference import DeviceError, Estimate, Estimator, choose_device, prepare
from napari_clickseg.models.checkpoint import load_network
from napari_clickseg.models.registry import find_model

if TYPE_CHECKING:
    import os

    import torch
    from torch import nn

    from napari_clickseg.models.card import ModelCard

__all__ = ["DeviceError", "Prediction", "Segmenter", "Session", "Superseded", "load_segmenter"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
_SHOWN = 0.01  # probabilities below this are not kept
_REMEMBERED = 256


class Superseded(Exception):  # noqa: N818  (not an error)
    """A prediction was given up because nobody wants it any more."""


@dataclass(frozen=True)
class Prediction:
    """What the model makes of an image and clicks.

    Only the part around the object is kept; the arrays of the whole image are made when they
    are asked for.

    Parameters
    ----------
    shape : (int, int)
        The image's height and width.
    extent : Box
        Everything outside it is background.
    part : float32 (extent.height, extent.width)
        Probability of the foreground there.
    mask_part : bool (extent.height, extent.width)
        The mask there.
    class_part : uint8 (extent.height, extent.width)
        Class ids there, 0 for background.
    box : Box
        The part of the image that changed since the last prediction of the session.
    """

    shape: tuple[int, int]
    extent: Box
    part: FloatArray
    mask_part: BoolArray
    class_part: npt.NDArray[np.uint8]
    box: Box

    @cached_property
    def mask(self) -> BoolArray:
        """The mask, bool (Y, X)."""
        return self._whole(self.mask_part)

    @cached_property
    def probability(self) -> FloatArray:
        """The probability of the foreground, float32 (Y, X)."""
        return self._whole(self.part)

    @cached_property
    def labels(self) -> npt.NDArray[np.uint8]:
        """Class ids, uint8 (Y, X); 0 is background."""
        return self._whole(self.class_part)

    @property
    def patch(self) -> Patch:
        """The mask, cut to its bounding box."""
        return Patch.of(self.mask_part, offset=(self.extent.top, self.extent.left))

    def _whole(self, part: npt.NDArray[Any]) -> npt.NDArray[Any]:
        out = np.zeros(self.shape, part.dtype)
        out[self.extent.slices] = part
        return out


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
        Half precision on CUDA.

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
        self.half = half and self.device.type == "cuda"
        self._network: nn.Module | None
        self._network, self.device = prepare(network, card, self.device)

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
        if self.card.encoding == "colour" and source.channels != 1 and not _is_grey(source):
            raise ImageError(
                "This model takes monochrome images (its clicks are coloured); choose one "
                "channel of the image, or another model."
            )
        patch = None
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape != source.shape:
                raise ImageError(
                    f"The mask's shape {mask.shape} is not the image's {source.shape}; "
                    "give a mask of the same image."
                )
            patch = Patch.of(mask) or None
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
        if self._network is None:
            raise RuntimeError("The model was closed; load it again.")
        import torch

        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.float16, enabled=self.half),
        ):
            tensor = torch.from_numpy(inputs)[None].to(self.device)
            logits = self._network(tensor.contiguous(memory_format=torch.channels_last)).float()
            single = logits.shape[1] == 1
            probability = torch.sigmoid(logits) if single else torch.softmax(logits, dim=1)
            out: FloatArray = probability[0].cpu().contiguous().numpy()
        return out

    def close(self) -> None:
        """Give the network's memory back; the segmenter can't be used afterwards."""
        self._network = None
        if self.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()


class Session:
    """One image (plane): clicks go in, masks come out.

    What is predicted depends on the image, the starting mask and the clicks in their order, and
    on nothing else: not on how often or when `predict` was called.

    Parameters
    ----------
    segmenter : Segmenter
    source : ImageSource
    intensity : Intensity, optional
        Measured when first needed, by default.
    start : Patch, optional
        A mask to start from.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        source: ImageSource,
        intensity: Intensity | None = None,
        start: Patch | None = None,
    ) -> None:
        self.segmenter = segmenter
        self.source = source
        self.history = ClickHistory(Prompt(start=start))
        self.refinement = Refinement()
        self._given = intensity
        self._estimator: Estimator | None = None
        self._memory: OrderedDict[Prompt, Estimate | None] = OrderedDict()
        self._lock = threading.Lock()
        self._last_extent = Box(0, 0, 0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """The image's height and width in pixels."""
        return self.source.shape

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about how the image is read, a line each."""
        return self.source.notices

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks on the current object."""
        return self.history.clicks

    @property
    def intensity(self) -> Intensity:
        """The intensities that become 0 and 1; measured once, when first asked for."""
        return self._prepared().intensity

    def click(self, y: float, x: float, positive: bool = True) -> Prompt:
        """Add a click.

        Parameters
        ----------
        y, x : float
            In pixels of the image; the first pixel's centre is (0, 0).
        positive : bool
            Whether this pixel belongs to the object.

        Raises
        ------
        ClickError
            If the click is outside the image.
        """
        click = Click(float(y), float(x), bool(positive))
        self.check(click)
        self.history = self.history.add(click)
        return self.history.present

    def check(self, click: Click) -> None:
        """Raise `ClickError` if the click is outside the image."""
        if not click.inside(self.shape):
            height, width = self.shape
            raise ClickError(
                f"The click ({click.y:g}, {click.x:g}) is outside the image, whose pixels go "
                f"from (0, 0) to ({height - 1}, {width - 1}); click on the image."
            )

    def undo(self) -> None:
        """Take the last click, start or commit back; nothing happens at the beginning."""
        self.history = self.history.undo()

    def redo(self) -> None:
        """Do again what was undone; nothing happens where nothing was."""
        self.history = self.history.redo()

    def reset(self) -> None:
        """Begin again with neither clicks nor mask; `undo` brings them back."""
        self.history = self.history.clear()

    def start_from(self, mask: npt.NDArray[Any] | Patch | None) -> None:
        """Begin again from a mask (Y, X) or Patch; `undo` brings the clicks back."""
        patch = mask if isinstance(mask, Patch) or mask is None else Patch.of(mask)
        self.history = self.history.start_from(patch or None)

    def commit(self) -> Patch:
        """Accept the current mask: return it and begin the next object; can be undone."""
        patch = self.predict().patch
        self.history = self.history.clear()
        return patch

    def predict(self) -> Prediction:
        """Predict the mask for the clicks so far.

        The class-agnostic default model answers an empty mask until the first positive click.
        """
        found = self.evaluate(self.history.present, self.refinement)
        changed = found.extent.union(self._last_extent)
        self._last_extent = found.extent
        return Prediction(
            found.shape, found.extent, found.part, found.mask_part, found.class_part, changed
        )

    def evaluate(
        self,
        prompt: Prompt,
        refinement: Refinement | None = None,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> Prediction:
        """Predict for any prompt, without changing the session; may run on a worker thread.

        Parameters
        ----------
        prompt : Prompt
            Clicks and starting mask.
        refinement : Refinement, optional
            How the probability becomes a mask; by default at 0.5, as it is.
        stop : callable
            Asked between the steps; True gives the prediction up.

        Raises
        ------
        Superseded
            If `stop` said so. What was worked out by then is remembered.
        """
        with self._lock:
            estimate = self._estimate(prompt, stop)
        return self._prediction(prompt, estimate, refinement or Refinement())

    def seen_image(self) -> FloatArray:
        """Return what the model sees of the image: float32 (Y, X, C) in 0 … 1, whole."""
        return self.intensity.apply(self.source.read_all())

    def _prepared(self) -> Estimator:
        if self._estimator is None:
            intensity = self._given or measure(self.source, trim=self.segmenter.card.intensity_trim)
            self._estimator = Estimator(
                self.segmenter.card, self.source, intensity, self.segmenter.forward
            )
        return self._estimator

    def _estimate(self, prompt: Prompt, stop: Callable[[], bool]) -> Estimate | None:
        """Work through the clicks, each step beginning with the answer to the one before."""
        estimator = self._prepared()
        estimate: Estimate | None = None
        chain = [prompt.first(n) for n in _anchors(prompt.settled, len(prompt.clicks))]
        known = 0
        for index, partial in reversed(list(enumerate(chain))):
            if partial in self._memory:
                estimate, known = self._memory[partial], index + 1
                self._memory.move_to_end(partial)
                break
        for partial in chain[known:]:
            if stop():
                raise Superseded
            estimate = estimator.step(partial, estimate)
            self._memory[partial] = estimate
            if len(self._memory) > _REMEMBERED:
                self._memory.popitem(last=False)
        return estimate

    def _prediction(
        self, prompt: Prompt, estimate: Estimate | None, refinement: Refinement
    ) -> Prediction:
        if estimate is None:
            return self._unpredicted(prompt)
        image = Box(0, 0, *self.shape)
        extent = estimate.extent(_SHOWN, self.shape)
        clicked = Box.of_pixels(click.pixel for click in prompt.clicks if click.positive)
        if clicked:  # a positive click is part of the mask, whatever the model says
            extent = extent.union(clicked).intersection(image)
        part = estimate.window.to_box(estimate.foreground, extent)
        mask = refine(part, extent, prompt.clicks, refinement)
        return Prediction(self.shape, extent, part, mask, estimate.classes(extent, mask), extent)

    def _unpredicted(self, prompt: Prompt) -> Prediction:
        patch = prompt.start
        box = patch.box if patch is not None else Box(0, 0, 0, 0)
        mask = np.array(patch.mask) if patch is not None else np.zeros((0, 0), bool)
        return Prediction(
            self.shape, box, mask.astype(np.float32), mask, mask.astype(np.uint8), box
        )


def _anchors(settled: int, n: int) -> list[int]:
    """Return the numbers of clicks at which the model looks: each up to 20, then every tenth.

    So a correction builds on what is shown, and a hundred clicks read from a file still cost
    only about thirty looks.
    """
    middle = [k for k in range(settled + 1, n) if k <= settled + 20 or (k - settled) % 10 == 0]
    return [settled, *middle, n] if n > settled else [n]


def _is_grey(source: ImageSource) -> bool:
    if not source.rgb:
        return False
    sample = source.sample()
    return bool((sample == sample[:, :1]).all())


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
        Half precision on CUDA.

    Raises
    ------
    ModelFileError
        If there is no such model or its file can't be used.
    DeviceError
        If the device is not there.
    """
    entry = find_model(model)
    network, card = load_network(entry.path, expected_sha256=entry.sha256)
    return Segmenter(network, card, device=device, half=half)
