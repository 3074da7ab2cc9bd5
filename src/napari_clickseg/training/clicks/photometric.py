"""Changes of how an image looks, on the device that trains."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_FILTERS = (4, 4)  # maps between the layers of a random network


def augment_intensity(
    image: Tensor, generator: torch.Generator, *, estranged: float = 0.0
) -> Tensor:
    """Change brightness, contrast, colour, sharpness and noise of each image at random.

    Parameters
    ----------
    image : Tensor (B, C, N, N)
        0 … 1.
    generator : torch.Generator
        On the device of `image`; decides everything.
    estranged : float
        Share of the images that are given another look altogether; see `estrange`.

    Returns
    -------
    Tensor (B, C, N, N)
        0 … 1.
    """
    batch, count = image.shape[:2]
    device = image.device

    def chance(p: float) -> Tensor:
        return (torch.rand(batch, 1, 1, 1, generator=generator, device=device) < p).float()

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        unit = torch.rand(batch, channels, 1, 1, generator=generator, device=device)
        return low + (high - low) * unit

    def mix(new: Tensor, p: float) -> None:
        nonlocal image
        image = torch.lerp(image, new, chance(p))

    chosen = torch.rand(batch, generator=generator, device=device) < estranged
    if chosen.any():
        image = image.clone()
        image[chosen] = estrange(image[chosen], generator)
    weights = uniform(0.05, 1.0, count)
    grey = (image * weights / weights.sum(1, keepdim=True)).sum(1, keepdim=True)
    mix(grey.expand_as(image), 0.25)
    order = torch.randperm(count, generator=generator, device=device)
    mix(image[:, order], 0.15)
    mix(image * uniform(0.6, 1.3, count), 0.2)
    mix(image.clamp(1e-4, 1) ** torch.exp(uniform(-0.7, 0.7)), 0.4)
    mix((image - 0.5) * uniform(0.5, 1.5) + 0.5 + uniform(-0.2, 0.2), 0.3)
    mix(1 - image, 0.15)
    field = torch.randn(batch, 1, 4, 4, generator=generator, device=device)
    field = F.interpolate(field, image.shape[-2:], mode="bicubic", align_corners=False)
    mix(image * (1 + 0.25 * field), 0.12)
    small = F.avg_pool2d(F.pad(image, (2, 2, 2, 2), mode="replicate"), 5, 1)
    mix(torch.lerp(image, small, uniform(0.2, 1.0)), 0.2)
    noise = torch.randn(image.shape, generator=generator, device=device)
    mono = noise[:, :1].expand_as(noise)
    mix(image + uniform(0.01, 0.08) * noise, 0.15)
    mix(image + uniform(0.01, 0.08) * mono, 0.08)
    mix(image * (1 + uniform(0.05, 0.35) * mono), 0.08)
    # What is kept has 8 bit; an image of 16 bit has all that lies between, some have few levels.
    mix(image + (torch.rand(image.shape, generator=generator, device=device) - 0.5) / 255, 0.5)
    levels = torch.exp(uniform(math.log(8), math.log(64)))
    mix((image * levels).round() / levels, 0.04)
    return image.clamp(0, 1)


def estrange(image: Tensor, generator: torch.Generator) -> Tensor:
    """Give images a look that no camera gives: pass each through a small random network.

    Its filters of 1 or 3 pixels, with a rectifier between them, change intensities, colours and
    textures but leave borders where they are. So a network can't rely on how the few kinds of
    images look that it learns from.

    Parameters
    ----------
    image : Tensor (B, C, N, N)
        0 … 1.
    generator : torch.Generator
        On the device of `image`; decides everything.

    Returns
    -------
    Tensor (B, C, N, N)
        0 … 1, about as bright and as rich in contrast as each image was.

    References
    ----------
    Ouyang et al., "Causality-inspired single-source domain generalization for medical image
    segmentation", IEEE TMI 2023: global intensity non-linear augmentation.
    """
    batch, count = image.shape[:2]
    options: dict[str, Any] = {"generator": generator, "device": image.device}
    out, before = image.flatten(0, 1)[None] - 0.5, count
    for i, after in enumerate((*_FILTERS, count)):
        side = 1 + 2 * int(torch.randint(2, (1,), **options))
        weights = torch.randn(batch * after, before, side, side, **options)
        padded = F.pad(out, (side // 2,) * 4, mode="replicate")
        out = F.conv2d(padded, weights, groups=batch) / math.sqrt(before * side**2)
        out = out + 0.3 * torch.randn(1, batch * after, 1, 1, **options)
        if i < len(_FILTERS):
            out = F.leaky_relu(out, 0.1)
        before = after
    out = out.reshape(image.shape)
    # Each map in its own range, so that no channel hides what the others show.
    middle, spread = out.mean((2, 3), keepdim=True), out.std((2, 3), keepdim=True)
    out = (out - middle) / spread.clamp(min=1e-4) * image.std((1, 2, 3), keepdim=True)
    tint = 0.1 * torch.randn(batch, count, 1, 1, **options)
    out = out + image.mean((1, 2, 3), keepdim=True) + tint
    share = 0.3 + 0.7 * torch.rand(batch, 1, 1, 1, **options)
    return torch.lerp(image, out, share).clamp(0, 1)
