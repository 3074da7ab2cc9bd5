"""Where networks run: the devices that there are, and what they are quick at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg.core.guidance import input_channels

if TYPE_CHECKING:
    import torch
    from torch import nn

    from napari_clickseg.models.card import ModelCard


class DeviceError(ValueError):
    """A device that is not there."""


def choose_device(name: str) -> torch.device:
    """Return the device of a name; ``"auto"`` takes CUDA, then MPS, then the CPU.

    Raises
    ------
    DeviceError
        If it is not there.
    """
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(f"'{name}' is not a device; choose auto, cpu, cuda or mps.") from error
    there = {"cpu": True, "cuda": cuda, "mps": mps}.get(device.type, False)
    if not there or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise DeviceError(f"There is no device '{name}' here; choose auto or cpu.")
    return device


def quick_dtype(device: torch.device) -> torch.dtype | None:
    """Return the type of half precision that a device is quick at; None if there is none.

    Processors count that multiply bfloat16 in hardware: there it takes about half the time.
    """
    import torch

    if device.type == "cuda":
        return torch.float16
    if device.type != "cpu":
        return None
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, may be missing
    quick = any(getattr(torch.cpu, name, lambda: False)() for name in asked)
    return torch.bfloat16 if quick else None


def processor_twin(
    network: nn.Module, card: ModelCard, device: torch.device, dtype: torch.dtype | None
) -> nn.Module | None:
    """Return a network's quicker twin on a processor, where there is one; see `models.twin`.

    Parameters
    ----------
    network : torch.nn.Module
        As `prepare` gave it.
    card : ModelCard
        Says what the network takes.
    device : torch.device
        Where the network is.
    dtype : torch.dtype, optional
        What `quick_dtype` says; None: full precision.
    """
    if device.type != "cpu":
        return None
    import torch

    from napari_clickseg.engine.twin import quick_twin

    return quick_twin(network, _example(card), dtype or torch.float32)


def _example(card: ModelCard) -> torch.Tensor:
    """Return inputs of a network, always the same."""
    import torch

    channels, size = input_channels(card.encoding, card.image_channels), card.window.size
    generator = torch.Generator().manual_seed(0)
    example = torch.rand(1, channels, size, size, generator=generator)
    return example.contiguous(memory_format=torch.channels_last)


def prepare(
    network: nn.Module, card: ModelCard, device: torch.device
) -> tuple[nn.Module, torch.device]:
    """Put a network on its device and run it once, so that the first click is not slow.

    On devices other than the CPU and CUDA the result is compared with the CPU's; where they
    differ, the CPU is used.
    """
    import torch

    example = _example(card)
    network = network.eval().to(memory_format=torch.channels_last)
    with torch.inference_mode():
        if device.type not in ("cpu", "cuda"):
            reference = network(example)
            try:
                there = network.to(device)(example.to(device)).cpu()
                if torch.allclose(there, reference, rtol=1e-2, atol=1e-2):
                    return network, device
            except (RuntimeError, NotImplementedError):
                pass
            return network.to("cpu"), torch.device("cpu")
        network = network.to(device)
        network(example.to(device))
    return network, device
