"""Clicks of a simulated annotator, for a whole batch on the device that trains.

The oracle of `core.oracle` is exact and works on one image; training needs thousands of clicks a
second, so here distances to the edge come from repeated erosion at half resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_clickseg.core.guidance import LIKENESS_SCALES, LIKENESS_TOLERANCE


@dataclass
class ClickMaps:
    """Disks of the clicks of a batch.

    Parameters
    ----------
    positive, negative : Tensor (B, 1, N, N)
        0 or 1.
    radius : float
        Of the disks, in pixels.
    """

    positive: Tensor
    negative: Tensor
    radius: float

    @classmethod
    def empty(cls, batch: int, size: int, radius: float, device: torch.device) -> ClickMaps:
        """Make maps without clicks."""
        zeros = torch.zeros(batch, 1, size, size, device=device)
        return cls(zeros, zeros.clone(), radius)

    def take(self, index: Tensor) -> ClickMaps:
        """Copy the maps of some images, given by their index (n,)."""
        return ClickMaps(self.positive[index], self.negative[index], self.radius)

    def put(self, index: Tensor, part: ClickMaps) -> None:
        """Put maps that `take` gave back to where they came from."""
        self.positive[index], self.negative[index] = part.positive, part.negative

    def add(self, rows: Tensor, columns: Tensor, positive: Tensor, valid: Tensor) -> None:
        """Draw one click for each image (B,) where `valid`, as positive or negative."""
        size = self.positive.shape[-1]
        axis = torch.arange(size, device=self.positive.device)
        square = (axis[None, :, None] - rows[:, None, None]) ** 2 + (
            axis[None, None, :] - columns[:, None, None]
        ) ** 2
        disk = (square <= self.radius**2).unsqueeze(1)
        for plane, chosen in ((self.positive, positive), (self.negative, ~positive)):
            plane[disk & (chosen & valid)[:, None, None, None]] = 1.0


def depth(mask: Tensor, steps: int = 24) -> Tensor:
    """Distance of each pixel to the edge of `mask`, counted in erosions of 3 × 3 pixels.

    Parameters
    ----------
    mask : Tensor (B, 1, H, W)
        0 or 1.
    steps : int
        Depth at which counting stops.

    Returns
    -------
    Tensor (B, 1, H, W)
        0 outside the mask.
    """
    eroded, total = mask, mask.clone()
    for _ in range(steps):
        padded = F.pad(1 - eroded, (1, 1, 1, 1), value=1.0)
        eroded = 1 - F.max_pool2d(padded, 3, stride=1)
        if not eroded.any():
            break
        total = total + eroded
    return total


def next_clicks(
    error: Tensor, generator: torch.Generator, *, exact: float = 0.5
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Place one click in the largest error of each image.

    Parameters
    ----------
    error : Tensor (B, 2, N, N)
        False negatives, then false positives; 0 or 1.
    generator : torch.Generator
        On the device of `error`.
    exact : float
        Share of clicks put on the inner-most pixel; the others fall anywhere where the distance
        to the edge is more than a random share (up to a half) of the largest.

    Returns
    -------
    rows, columns : Tensor (B,), int64
    positive : Tensor (B,), bool
        True where the click goes on a false negative.
    valid : Tensor (B,), bool
        False where there is no error.
    """
    batch, _, size, _ = error.shape
    device = error.device
    half = F.max_pool2d(error, 2)
    inner = depth(half.reshape(batch * 2, 1, *half.shape[-2:])).reshape(half.shape)
    peak = inner.amax(dim=(2, 3))
    positive = peak[:, 0] > peak[:, 1]
    kind = (~positive).long()
    index = torch.arange(batch, device=device)
    chosen, top = inner[index, kind], peak[index, kind]
    valid = top > 0
    tie = torch.rand(chosen.shape, generator=generator, device=device)
    is_exact = torch.rand(batch, generator=generator, device=device) < exact
    share = torch.rand(batch, generator=generator, device=device) * 0.5
    floor = torch.where(is_exact, top - 0.5, top * share)
    score = torch.where((chosen > floor[:, None, None]) & (chosen > 0), tie + 1, tie * 0)
    cell = score.flatten(1).argmax(1)
    rows, columns = 2 * (cell // (size // 2)), 2 * (cell % (size // 2))
    # Of the four pixels of the cell, take one that is in error.
    offsets = torch.tensor([(0, 0), (0, 1), (1, 0), (1, 1)], device=device)
    four = torch.stack(
        [error[index, kind, rows + dy, columns + dx] for dy, dx in offsets.tolist()], 1
    )
    pick = (four + 0.5 * torch.rand(four.shape, generator=generator, device=device)).argmax(1)
    return rows + offsets[pick, 0], columns + offsets[pick, 1], positive, valid


def perturbed(target: Tensor, generator: torch.Generator) -> Tensor:
    """Make a plausible wrong mask of the truth: grown, shrunk, with parts lost and added.

    Parameters
    ----------
    target : Tensor (B, 1, N, N)
        0 or 1.
    generator : torch.Generator
        On the device of `target`; decides everything.

    Returns
    -------
    Tensor (B, 1, N, N)
        Probabilities.
    """
    batch, _, size, _ = target.shape
    device = target.device
    cells = int(torch.randint(3, 12, (1,), generator=generator, device=device))
    coarse = torch.randn(batch, 1, cells, cells, generator=generator, device=device)
    noise = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)
    kernel = (
        2 * int(torch.randint(1, max(2, size // 16), (1,), generator=generator, device=device)) + 1
    )
    soft = F.avg_pool2d(target, kernel, 1, kernel // 2, count_include_pad=False)
    bias = 0.12 * torch.randn(batch, 1, 1, 1, generator=generator, device=device)
    return torch.sigmoid(12 * (soft + 0.18 * noise + bias - 0.5))


def surroundings(image: Tensor, target: Tensor, generator: torch.Generator) -> Tensor:
    """Make the mask of a prediction that took the thing around the object for the object.

    Parameters
    ----------
    image : Tensor (C, N, N)
        0 … 1.
    target : Tensor (1, N, N)
        0 or 1.
    generator : torch.Generator
        On the device of `target`; decides everything.

    Returns
    -------
    Tensor (1, N, N)
        Probabilities: the object, what is near it, and what looks like its near surroundings.
    """
    size, device = target.shape[-1], target.device

    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand(1, generator=generator, device=device))

    def grown(mask: Tensor, radius: float) -> Tensor:
        reach = max(1, round(radius))
        # Squares of two sizes after a blur: rounder than one square. Rows and columns one after
        # the other give the same at a fraction of the time.
        out = mask[None]
        for pool in (F.max_pool2d, F.avg_pool2d):
            for along in ((1, 0), (0, 1)):
                kernel = [2 * reach * n + 1 for n in along]
                out = pool(out, kernel, 1, [reach * n for n in along])
        return (out[0] > 0.3).float()

    near = grown(target, uniform(0.02, 0.08) * size)
    far = grown(near, uniform(0.1, 0.4) * size)
    smooth = F.avg_pool2d(image[None], 5, 1, 2, count_include_pad=False)[0]
    ring = near * (1 - target)
    colour = (smooth * ring).sum((1, 2), keepdim=True) / ring.sum().clamp(min=1)
    spread = ((smooth - colour) ** 2).mean(0, keepdim=True).sqrt()
    alike = (spread < uniform(0.05, 0.2)).float() * far
    return 0.02 + 0.95 * torch.maximum(alike, near)


def likeness_maps(image: Tensor, clicks: list[list[tuple[float, float, bool]]]) -> Tensor:
    """Return what `core.guidance.likeness` gives for positive and negative clicks of a batch.

    Parameters
    ----------
    image : Tensor (B, C, N, N)
        0 … 1.
    clicks : list of lists of (float, float, bool)
        Of each image: y, x in pixels; True for positive ones.

    Returns
    -------
    Tensor (B, 4, N, N)
        As `core.guidance.encode` orders it.
    """
    scales, size = len(LIKENESS_SCALES), image.shape[-1]
    out = image.new_zeros(image.shape[0], 2 * scales, size, size)
    for scale, side in enumerate(LIKENESS_SCALES):
        reach = side // 2
        padded = F.pad(image, (reach, reach, reach, reach), mode="replicate")
        smooth = F.avg_pool2d(padded, side, 1)
        for i, some in enumerate(clicks):
            for kind in (True, False):
                at = [
                    (math.floor(y + 0.5), math.floor(x + 0.5))
                    for y, x, positive in some
                    if positive == kind
                ]
                inside = [p for p in at if 0 <= min(p) <= max(p) < size]
                if inside:
                    colours = torch.stack([smooth[i, :, y, x] for y, x in inside])
                    apart = (smooth[i] - colours[:, :, None, None]).square().mean(1).amin(0)
                    plane = scale + (0 if kind else scales)
                    out[i, plane] = torch.exp(-apart.sqrt() / LIKENESS_TOLERANCE)
    return out
