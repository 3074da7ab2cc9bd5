"""The places in a network whose maps can be shown: the encoder's stages, the decoder's blocks."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from napari_clickseg.explain.last_pass import ExplainError
from napari_clickseg.models.onnx_network import OnnxNetwork


class _Stages(nn.Module):
    """An encoder whose stages are modules of their own, so that each can be looked at."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.stages = nn.ModuleList(nn.Identity() for _ in range(12))

    def forward(self, image: Tensor) -> Any:
        """Return what the encoder returns."""
        features = self.encoder(image)
        if isinstance(features, tuple):  # with tokens beside the maps
            return (self._each(features[0]), *features[1:])
        return self._each(features)

    def _each(self, maps: Any) -> list[Any]:
        return [stage(one) for stage, one in zip(self.stages, maps, strict=False)]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("encoder"), name)


class OpenedNetwork:
    """A copy of a network, with the places by name whose maps (B, C, H, W) can be shown.

    Parameters
    ----------
    network : torch.nn.Module
        Of segmentation_models_pytorch, or with guidance beside its encoder.
    inputs : Tensor (1, K, N, N)
        To try it with.

    Raises
    ------
    ExplainError
        If no map is found anywhere, or the network came as ONNX.
    """

    def __init__(self, network: nn.Module, inputs: Tensor) -> None:
        if isinstance(network, OnnxNetwork):
            raise ExplainError(
                "This model came as ONNX, which gives answers and nothing from within; only what "
                "each click changed can be shown of it. Choose another model."
            )
        self.network = copy.deepcopy(network).float().eval()
        for module in self.network.modules():
            if getattr(module, "inplace", False):
                setattr(module, "inplace", False)  # noqa: B010 or what is shown is overwritten
        encoder = getattr(self.network, "encoder", None)
        if isinstance(encoder, nn.Module):
            self.network.encoder = _Stages(encoder)
        self.places = self._filled(inputs)
        if not self.places:
            raise ExplainError(
                "Nothing in this network gives maps that can be shown; choose another model."
            )

    def place(self, name: str) -> nn.Module:
        """Return the module at a place.

        Raises
        ------
        ExplainError
            If there is none of that name.
        """
        if name not in self.places:
            known = ", ".join(self.places)
            raise ExplainError(f"The network has no place '{name}'; there are: {known}.")
        return self.places[name]

    def maps(self, name: str, inputs: Tensor) -> Tensor:
        """Return what a place gives for inputs (1, K, N, N): (C, H, W)."""
        kept: list[Tensor] = []
        handle = self.place(name).register_forward_hook(lambda _m, _i, out: kept.append(out))
        try:
            with torch.no_grad():
                self.network(inputs)
        finally:
            handle.remove()
        return kept[-1][0].clone()

    def _filled(self, inputs: Tensor) -> dict[str, nn.Module]:
        """Try all places that there may be, and return those that give maps."""
        outputs: dict[str, Any] = {}

        def keep(name: str) -> Any:
            return lambda _module, _inputs, output: outputs.update({name: output})

        known = dict(self._candidates())
        handles = [module.register_forward_hook(keep(name)) for name, module in known.items()]
        try:
            with torch.no_grad():
                self.network(inputs)
        finally:
            for handle in handles:
                handle.remove()
        return {name: module for name, module in known.items() if _is_map(outputs.get(name))}

    def _candidates(self) -> list[tuple[str, nn.Module]]:
        places: list[tuple[str, nn.Module]] = []
        encoder = getattr(self.network, "encoder", None)
        if isinstance(encoder, _Stages):
            places += [(f"encoder {k}", one) for k, one in enumerate(encoder.stages) if k]
        decoder = getattr(self.network, "decoder", None)
        if isinstance(decoder, nn.Module):
            places += [(f"decoder {name}", module) for name, module in _blocks(decoder)]
            places.append(("decoder", decoder))
        return places


def _blocks(decoder: nn.Module) -> list[tuple[str, nn.Module]]:
    """List a decoder's own parts; those of lists one by one."""
    blocks: list[tuple[str, nn.Module]] = []
    for name, child in decoder.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            blocks += [(f"{name}.{part}", one) for part, one in child.named_children()]
        else:
            blocks.append((name, child))
    return blocks


def _is_map(output: Any) -> bool:
    """Whether it is (B, C, H, W) with an area and channels."""
    return isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[1:]) > 0
