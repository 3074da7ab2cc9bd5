"""Predictions of validation images, written for people to look at while a run goes on."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_clickseg.data.masks import write_mask
from napari_clickseg.data.object_classes import read_mask

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_clickseg.data.project import Record


def write_preview(
    folder: Path, record: Record, labels: npt.NDArray[Any], epoch: int, project: str
) -> dict[str, str]:
    """Write a label map (Y, X) to a run's folder of previews; older ones of the image go.

    Returns
    -------
    dict
        Image and truth relative to the project, the prediction relative to the run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = PurePath(record.name).with_suffix("").as_posix().replace("/", "-")
    small = labels.max(initial=0) < 256
    path = folder / f"{stem}-{epoch}.{'png' if small else 'tif'}"
    kept = labels.astype(np.uint8 if small else np.int32)
    write_mask(path, kept, overwrite=True)
    for old in folder.glob(f"{stem}-*"):
        number = old.stem[len(stem) + 1 :]
        if number.isdecimal() and int(number) < epoch - 1:  # somebody may be reading the last one
            old.unlink(missing_ok=True)
    base = Path(project)
    base = base if base.is_dir() else base.parent
    return {
        "image": record.name,
        "prediction": f"{folder.name}/{path.name}",
        "truth": _truth(record, folder / f"{stem}.truth.tif", base),
    }


def _truth(record: Record, path: Path, base: Path) -> str:
    """Return where the truth is read: the mask, or the classes of its objects, written once."""
    if record.unknown is None:
        return _relative(record.mask, base)
    if not path.is_file():
        write_mask(path, read_mask(record).astype(np.int32), overwrite=True)
    return str(path.resolve())


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)
