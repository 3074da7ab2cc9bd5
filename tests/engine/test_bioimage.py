"""A package of bioimage.io holds a model and its real answer, and passes their own tests."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import pytest
import yaml

from napari_clickseg.engine.bioimage import export_bioimageio
from napari_clickseg.engine.packaging import Packaging
from napari_clickseg.models.checkpoint import ModelFileError, save_model
from napari_clickseg.models.network import build_network
from napari_clickseg.models.onnx_network import answering

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_clickseg.models.card import ModelCard

_CHECK = """
import sys
from pathlib import Path
from bioimageio.core import test_model
from bioimageio.spec import ValidationContext
with ValidationContext(perform_io_checks=False):
    summary = test_model(Path(sys.argv[1]))
wrong = [(d.name, e.loc, e.msg) for d in summary.details for e in d.errors]
sys.exit(f"{summary.status}: {wrong}" if wrong or summary.status != "passed" else 0)
"""


@pytest.fixture
def made(make_card: Callable[..., ModelCard], tmp_path: Path) -> Callable[..., Path]:
    def make(**fields: Any) -> Path:
        path = tmp_path / "m.safetensors"
        card = make_card(**fields)
        save_model(path, build_network(card).state_dict(), card)
        iio.imwrite(tmp_path / "i.png", np.arange(8000, dtype=np.uint8).reshape(80, 100))
        return path

    return make


def package(model: Path, **fields: Any) -> Path:
    out = model.with_name("m.zip")
    known = {"authors": ("A. Person",), "clicks": ((40.0, 50.0),)} | fields
    export_bioimageio(str(model), out, Packaging(model.with_name("i.png"), **known))
    return out


def test_a_package_holds_the_model_and_its_answer_to_an_image(
    made: Callable[..., Path], tmp_path: Path
) -> None:
    path = package(made())
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
    out = tmp_path / "out"
    said = yaml.safe_load((out / "rdf.yaml").read_text("utf-8"))
    for file in (
        said["weights"]["onnx"],
        said["inputs"][0]["test_tensor"],
        said["outputs"][0]["test_tensor"],
    ):
        digest = hashlib.sha256((out / file["source"]).read_bytes()).hexdigest()
        assert digest == file["sha256"]
    shown = np.load(out / "test_input.npy")
    assert shown[0, 3].any()  # the click
    (answer,) = answering((out / "model.onnx").read_bytes()).run(None, {"inputs": shown})
    np.testing.assert_allclose(answer, np.load(out / "test_probabilities.npy"), atol=1e-5)
    assert (said["license"], said["authors"]) == ("BSD-3-Clause", [{"name": "A. Person"}])
    assert iio.imread(out / "cover.png").shape == (512, 1024, 3)
    assert "## Validation" in (out / said["documentation"]).read_text("utf-8")


def test_what_is_missing_is_said_in_a_line_and_nothing_is_written(
    made: Callable[..., Path], tmp_path: Path
) -> None:
    model = made()
    for fields, message in (
        ({"clicks": ()}, "needs a click"),
        ({"authors": ()}, "say --author"),
    ):
        with pytest.raises(ModelFileError, match=message):
            package(model, **fields)
    with pytest.raises(ModelFileError, match="say --licence"):
        package(made(licence="not stated"))
    assert {path.name for path in tmp_path.iterdir()} == {"m.safetensors", "i.png"}


@pytest.mark.packaging
@pytest.mark.slow
def test_bioimage_io_validates_and_runs_it(made: Callable[..., Path], tmp_path: Path) -> None:
    """In an environment of its own: bioimageio.spec takes older versions of pydantic alone."""
    guided = made(encoding="prompts", fusion="beside", guidance_widths=(4, 6, 8, 8))
    path, python = package(guided), tmp_path / "env" / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", tmp_path / "env"], check=True)
    needed = ["bioimageio.core", "onnxruntime", "pydantic<2.13"]
    subprocess.run([*uv, "pip", "install", "-q", "--python", python, *needed], check=True)
    done = subprocess.run([python, "-c", _CHECK, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
