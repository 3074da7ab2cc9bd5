from __future__ import annotations

from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest

from napari_clickseg.crossfit.spec import CrossfitSpec, read_crossfit_spec
from tests.training.quick_reports import few_clicks, no_curves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NETWORK = {
    "start": "scratch", "architecture": "unet", "encoder": "tu-test_resnet",
    "options": {"encoder_depth": 3, "decoder_channels": [16, 8, 4]},
    "size": 64, "batch": 2, "windows": 4, "epochs": 1, "augmentation": "light", "device": "cpu",
    "encoder_rate": 1.0,
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def quick_reports() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        few_clicks(patch)
        no_curves(patch)
        yield


def write_project(
    folder: Path, count: int = 6, *, per_group: int = 2, colour: bool = False, empty: int = -1
) -> Path:
    """Write grey images with one bright disk each."""
    rng = np.random.default_rng(0)
    rows = ["image,mask,group"]
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    y, x = np.mgrid[:64, :64]
    for n in range(count):
        cy, cx = rng.integers(22, 42, 2)
        mask = (y - cy) ** 2 + (x - cx) ** 2 < rng.integers(9, 14) ** 2
        if n == empty:
            mask[:] = False
        image = np.where(mask, 190, 60) + rng.integers(0, 30, mask.shape)
        values = np.stack([image, image // 2, image], -1) if colour else image
        iio.imwrite(folder / "images" / f"{n}.png", values.astype(np.uint8))
        iio.imwrite(folder / "masks" / f"{n}.png", mask.astype(np.uint8))
        rows.append(f"images/{n}.png,masks/{n}.png,g{n // per_group}")
    (folder / "index.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of three groups."""
    return write_project(tmp_path_factory.mktemp("data") / "project")


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., CrossfitSpec]:
    """Make specs of a network that takes no time, and learns nothing."""

    def make(project: Path, **fields: Any) -> CrossfitSpec:
        known = {"folds": 3, "noc_clicks": 2, "project": str(project)}
        return read_crossfit_spec(None, **NETWORK | known | fields)

    return make
