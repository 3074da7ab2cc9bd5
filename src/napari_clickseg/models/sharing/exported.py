"""A model written to a file of the kind that its name says."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from napari_clickseg.models.checkpoint import ModelFileError, read_card
from napari_clickseg.models.registry import find_model
from napari_clickseg.util.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path


def export_model(model: str, out: Path) -> None:
    """Write a model as ONNX, or as it is; a file that is there is replaced.

    Parameters
    ----------
    model : str
        Name, or .safetensors file.
    out : Path
        Ends in .onnx or .safetensors.

    Raises
    ------
    ModelFileError
        If it ends otherwise, or the model can't be written so.
    """
    suffix = out.suffix.lower()
    if suffix == ".onnx":
        from napari_clickseg.models.sharing.onnx_export import export_onnx  # torch

        export_onnx(model, out, overwrite=True)
        return
    if suffix != ".safetensors":
        raise ModelFileError(
            f"{out.name} should end in .onnx or .safetensors; a package of bioimage.io needs an "
            "image: clickseg models export --to bioimageio."
        )
    path = find_model(model).path
    read_card(path)
    if out.exists() and out.samefile(path):
        raise ModelFileError(f"{out} is the model itself; choose another place.")
    write_whole(out, lambda partial: shutil.copyfile(path, partial))
