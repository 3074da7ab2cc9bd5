"""The images that the default click model learns from: real ones, made ones, mixed ones."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from default_model.composed import compose
from default_model.generated import generated_sample, superpixels
from napari_clickseg.data.images import read_plane
from napari_clickseg.data.masks import read_labels
from napari_clickseg.training.clicks.record import SMALLEST, make_record, with_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from napari_clickseg.training.clicks.record import TrainingImage

    _Maker = Callable[[np.random.Generator], "TrainingImage | None"]

__all__ = ["Kind", "Pool", "load_folder", "set_shares"]


def load_folder(folder: Path) -> list[TrainingImage]:
    """Read a project folder (`index.csv` with the columns image, mask)."""
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    records = []
    for row in rows:
        image = read_plane(folder / row["image"]).read_all()
        record = make_record(
            image[..., :3] if image.ndim == 3 else image, read_labels(folder / row["mask"])
        )
        if record is not None:
            records.append(record)
    return records


class Kind(BaseModel):
    """Sets whose images are of one kind, such as photographs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0)  # of the real images, against the other kinds' shares
    sets: tuple[str, ...] = Field(min_length=1)


def set_shares(sizes: Mapping[str, int], kinds: Mapping[str, Kind]) -> dict[str, float]:
    """Return the share of each set: its kind's, by the square roots of the sets' sizes.

    Parameters
    ----------
    sizes : mapping of str to int
        Images of each set.
    kinds : mapping of str to Kind
        Empty: all sets are of one kind.

    Raises
    ------
    ValueError
        If a set is of no kind, or of several.
    """
    groups = {kind: set(k.sets) for kind, k in kinds.items()} or {"": set(sizes)}
    for name in sizes:
        among = [kind for kind, sets in groups.items() if name in sets]
        if len(among) != 1:
            raise ValueError(
                f"The set {name} is of {len(among)} kinds; name it in one of the spec's kinds."
            )
    roots = {name: math.sqrt(n) for name, n in sizes.items()}
    totals = {kind: sum(roots.get(name, 0.0) for name in sets) for kind, sets in groups.items()}
    asked = {kind: kinds[kind].share if kinds else 1.0 for kind, total in totals.items() if total}
    out = dict.fromkeys(sizes, 0.0)
    for kind, share in asked.items():
        for name in groups[kind] & set(sizes):
            out[name] = share / sum(asked.values()) * roots[name] / totals[kind]
    return out


class Pool:
    """All images to train on, in sets that are drawn with given weights.

    Parameters
    ----------
    folders : sequence of Path
        Project folders, each a set; drawn in proportion to the square root of its size.
    kinds : mapping of str to Kind, optional
        Which sets are of one kind, and which share of the real images that kind has; within a
        kind, sets are drawn as above. Without any, all sets are of one kind.
    seed : int
        Decides the generated images, superpixels and composed images.
    generated : int
        Number of generated images.
    superpixel_images : int
        Number of real images cut into superpixel objects, some perhaps more than once.
    composed : int
        Number of real images with something else put into them.
    shares : (float, float, float)
        Shares of the samples that come from generated images, from superpixels, from composed
        images.
    renewed : float
        How often a made image is made anew before it is drawn, so that a long run never learns
        a few by heart.

    Raises
    ------
    ValueError
        If there is no image with an object.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        seed: int = 0,
        generated: int = 1000,
        superpixel_images: int = 600,
        composed: int = 0,
        shares: tuple[float, float, float] = (0.12, 0.12, 0.2),
        renewed: float = 0.0,
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.names: list[str] = []
        self.sets: list[list[TrainingImage]] = []
        self.renewed = renewed
        self._makers: list[_Maker | None] = []  # of each set; real images have none
        weights: list[float] = []

        def add(
            name: str, records: list[TrainingImage], weight: float, maker: _Maker | None = None
        ) -> None:
            if records and weight > 0:
                self.names.append(name)
                self.sets.append(records)
                self._makers.append(maker)
                weights.append(weight)

        loaded = [load_folder(folder) for folder in folders]
        self._real = real = [record for records in loaded for record in records]
        made = (
            ("generated", self._generated, generated, shares[0]),
            ("superpixels", self._cut, superpixel_images if real else 0, shares[1]),
            ("composed", self._composed, composed if real else 0, shares[2]),
        )
        left = 1 - sum(share for _, _, number, share in made if number)
        sizes = {f.name: len(records) for f, records in zip(folders, loaded, strict=True)}
        shares_of_sets = set_shares(sizes, kinds or {})
        for folder, records in zip(folders, loaded, strict=True):
            add(folder.name, records, left * shares_of_sets[folder.name])
        for name, maker, number, share in made:
            records = [r for _ in range(number if share else 0) if (r := maker(rng)) is not None]
            add(name, records, share, maker)
        if not weights:
            raise ValueError("There is no image to train on; give folders with labelled objects.")
        self.weights = [weight / sum(weights) for weight in weights]

    def _any(self, rng: np.random.Generator) -> TrainingImage:
        return self._real[int(rng.integers(len(self._real)))]

    @staticmethod
    def _generated(rng: np.random.Generator) -> TrainingImage | None:
        return make_record(*generated_sample(rng))

    def _cut(self, rng: np.random.Generator) -> TrainingImage | None:
        image = self._any(rng).image
        labels = superpixels(np.ascontiguousarray(image.transpose(1, 2, 0)), rng)
        return with_objects(image, labels, 4 * SMALLEST)

    def _composed(self, rng: np.random.Generator) -> TrainingImage | None:
        ground, other = self._any(rng), self._any(rng)
        mask = other.labels == other.identifiers[int(rng.integers(len(other.identifiers)))]
        return with_objects(*compose(ground.image, other.image, mask, rng), SMALLEST)

    def draw(self, rng: np.random.Generator, n: int) -> list[TrainingImage]:
        """Draw n images: a set by weight, then an image of it."""
        return [self._from(int(i), rng) for i in rng.choice(len(self.sets), n, p=self.weights)]

    def _from(self, i: int, rng: np.random.Generator) -> TrainingImage:
        records, maker = self.sets[i], self._makers[i]
        chosen = int(rng.integers(len(records)))
        if self.renewed and maker is not None and rng.random() < self.renewed:
            records[chosen] = maker(rng) or records[chosen]
        return records[chosen]
