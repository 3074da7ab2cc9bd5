from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_clickseg.comparing.spec import read_comparison_spec
from tests.crossfit.conftest import write_project
from tests.training.quick_reports import no_curves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_clickseg.comparing.folder import ComparisonFolder
    from napari_clickseg.comparing.spec import ComparisonSpec

# A network that takes no time, and learns nothing.
SETTINGS: dict[str, Any] = {
    "task": "binary", "start": "scratch", "encoder": "tu-test_resnet",
    "options": {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}, "architecture": "unet",
    "size": 64, "batch": 2, "windows": 2, "epochs": 1, "augmentation": "light", "device": "cpu",
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves of each run take longer to draw than it takes."""
    no_curves(monkeypatch)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def started(folder: ComparisonFolder, name: str) -> int:
    return sum(e["event"] == "started" for e in folder.run(name).events()[0])


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of three groups."""
    return write_project(tmp_path_factory.mktemp("comparing") / "project")


@pytest.fixture(scope="session")
def tested_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images of four groups, one of which is to test on."""
    project = write_project(tmp_path_factory.mktemp("tested") / "project", 8)
    lines = (project / "index.csv").read_text().splitlines()
    sets = ["split", *[""] * 6, "test", "test"]
    text = "\n".join(",".join(pair) for pair in zip(lines, sets, strict=True))
    (project / "index.csv").write_text(text + "\n")
    return project


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., ComparisonSpec]:
    """Make specs of such networks."""

    def make(project: Path, **fields: Any) -> ComparisonSpec:
        return read_comparison_spec(None, **SETTINGS | {"project": str(project)} | fields)

    return make
