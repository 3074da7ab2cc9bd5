from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.garbage import leave_alone_what_stays
from tests.shared_viewer import SharedViewer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ModelCard

# Before napari is imported: it keeps no settings. It neither reads nor overwrites those of whoever
# runs the tests, and takes no time to save them.
os.environ["NAPARI_CONFIG"] = ""

# The same examples on every machine; --hypothesis-profile=thorough looks for new ones, as
# `make test-slow` does.
settings.register_profile(
    "reproducible",
    deadline=None,
    derandomize=True,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("reproducible")


@pytest.hookimpl(optionalhook=True)  # the tests of scaled screens run without xdist
def pytest_xdist_auto_num_workers() -> int:
    """Begin half as many processes again as there are cores: windows let them wait a third."""
    return (os.cpu_count() or 2) * 3 // 2


def pytest_collection_finish() -> None:
    """Begin with the garbage collector leaving alone what is imported."""
    leave_alone_what_stays()


_taken: defaultdict[str, float] = defaultdict(float)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure coverage where it may grow: it makes everything half as slow again.

    The widgets need none, and what they call is covered without them; what makes the default model
    is not in the package. Properties are examples of what other tests cover, and so are the further
    cases of a test that has taken a second.
    """
    measuring = item.config.pluginmanager.getplugin("_cov")
    control = None if measuring is None else measuring.cov_controller
    if control is None:
        return (yield)
    name, start = item.nodeid.split("[")[0], time.perf_counter()
    drawn = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    elsewhere = name.startswith("tests/default_model/")
    widgets = "qapp" in getattr(item, "fixturenames", ())
    pausing = drawn or elsewhere or widgets or _taken[name] > 1
    if pausing:
        control.pause()
    try:
        return (yield)
    finally:
        _taken[name] += time.perf_counter() - start
        if pausing:
            control.resume()


def pytest_runtest_logfinish() -> None:
    leave_alone_what_stays()


@pytest.fixture(scope="session")
def make_card() -> Callable[..., ModelCard]:
    """Make cards of a small network with a small window."""
    from napari_clickseg.models.card import ModelCard, WindowSpec

    def make(
        *, size: int = 64, window: dict[str, float] | None = None, **fields: object
    ) -> ModelCard:
        known = {"name": "tiny", "architecture": "unet", "encoder": "mobilenet_v2"}
        spec = WindowSpec.model_validate({"size": size, "first_span": 256} | (window or {}))
        return ModelCard.model_validate(
            known
            | {"options": {"encoder_depth": 3, "decoder_channels": [16, 8, 4]}}
            | fields
            | {"window": spec}
        )

    return make


@pytest.fixture
def longest_slot() -> Callable[[Any], float]:
    """Say how many seconds anything of ours may hold a viewer's window.

    It is 20 ms, or three times what napari itself takes to add a point where the machine is slow.
    """

    def seconds(viewer: Any) -> float:
        features = {"number": [0] * 9}
        points = viewer.add_points(np.zeros((9, max(2, viewer.dims.ndim))), features=features)
        taken = []
        for k in range(20):
            start = time.thread_time()
            points.add([k] * points.ndim)
            taken.append(time.thread_time() - start)
        viewer.layers.remove(points)
        return max(0.020, 3 * float(np.median(taken)))

    return seconds


@pytest.fixture
def make_teller(make_card: Callable[..., ModelCard]) -> Callable[..., Segmenter]:
    """A network that reads foreground and distances off the image's three channels.

    Where there are several classes, all objects are of the last one.
    """
    import torch
    from torch import nn

    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ObjectsSpec

    class Told(nn.Module):
        def __init__(self, classes: int) -> None:
            super().__init__()
            self.others = classes - 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            distances = torch.logit(x[:, 1:3].clamp(1e-4, 1 - 1e-4))
            inside = 20 * (x[:, :1] - 0.25)
            never = torch.full_like(inside, -99).repeat(1, self.others, 1, 1)
            before = [-inside, never] if self.others else []
            return torch.cat([*before, inside, distances], 1)

    def make(*classes: str, **card: object) -> Segmenter:
        known = make_card(
            name="teller", encoding="image", automatic=True, schema_version=2, classes=classes,
            window={"zoom": 1.0}, objects=ObjectsSpec(smallest=1, span=26), **card,
        )  # fmt: skip
        return Segmenter(Told(len(classes)), known, device="cpu", half=False)

    return make


@pytest.fixture(scope="session")
def random_segmenter(make_card: Callable[..., ModelCard]) -> Callable[..., Segmenter]:
    """Make segmenters whose network has two layers of random weights, by seed."""
    import torch
    from torch import nn

    from napari_clickseg.core.guidance import input_channels
    from napari_clickseg.engine.segmenter import Segmenter

    def make(*, seed: int = 0, gain: float = 8.0, **fields: object) -> Segmenter:
        card = make_card(**fields)
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(input_channels(card.encoding, card.image_channels), 8, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, card.outputs, 5, padding=2),
        )
        with torch.no_grad():
            network[2].weight *= gain  # so that probabilities are not all near 0.5
        return Segmenter(network, card, device="cpu")

    return make


@pytest.fixture(scope="session")
def bright_segmenter(make_card: Callable[..., ModelCard]) -> Callable[..., Segmenter]:
    """Make segmenters that find what is brighter than half of the image's range."""
    from torch import Tensor, nn

    from napari_clickseg.engine.segmenter import Segmenter

    class Bright(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return 20 * (inputs[:, :-3].mean(1, keepdim=True) - 0.5)

    def make(**fields: object) -> Segmenter:
        return Segmenter(Bright(), make_card(**fields), device="cpu")

    return make


@pytest.fixture(scope="session")
def nested_segmenter(make_card: Callable[..., ModelCard]) -> Callable[[], Segmenter]:
    """Make segmenters that find what is bright; near by, where all else is, what is brightest."""
    import torch
    from torch import Tensor, nn

    from napari_clickseg.engine.segmenter import Segmenter
    from napari_clickseg.models.card import ScoutingSpec

    class Nested(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            image = inputs[:, :1]
            far = (image.amax((2, 3), keepdim=True) > 0.9) & (image.mean() < 0.5)
            return 20 * (image - torch.where(far, 0.3, 0.7))

    def make() -> Segmenter:
        scouting = ScoutingSpec(size=64, looks=4, factor=1.7, weights=(0.0,) * 13 + (1.0, 0.0, 0.0))
        return Segmenter(Nested(), make_card(scouting=scouting), device="cpu")

    return make


# ---- viewers


@pytest.fixture(scope="session")
def shared_viewer(qapp: Any) -> Iterator[SharedViewer]:
    """The viewer that tests share."""
    shared = SharedViewer()
    yield shared
    shared.close()


@pytest.fixture
def open_viewer(
    request: pytest.FixtureRequest, shared_viewer: SharedViewer, qtbot: Any
) -> Iterator[Callable[[], Any]]:
    """Open the viewer, with a window that is shown; it may be closed."""
    yield shared_viewer.lend
    if getattr(request.node, "rep_call", None) is None or request.node.rep_call.failed:
        shared_viewer.close()  # who knows what it is like
    else:
        shared_viewer.take_back()


@pytest.fixture
def no_shared_viewer(shared_viewer: SharedViewer) -> None:
    """Beside a viewer of a test's own there is no other."""
    shared_viewer.close()


@pytest.fixture
def make_napari_viewer(no_shared_viewer: None, make_napari_viewer: Any) -> Any:
    """Make viewers of a test's own, for what a shared one can't show."""
    return make_napari_viewer


# ---- training


# Does what a training does to its folder, an epoch for each file that a test puts there.
TRAINING = """
import os, sys, time
from pathlib import Path
from napari_clickseg.training.run_folder import RunFolder
run = RunFolder(Path(sys.argv[1])); run.clear_stop()
if "--resume" not in sys.argv:
    run.create(run.spec)  # refuses what holds a run already, as the real one does
epoch = len(list(run.path.glob("done-*")))
run.add("started", pid=os.getpid(), epochs=4, training=3, validation=1, device="cpu",
        resumed=epoch > 0)
end = time.time() + 60
while epoch < 4 and time.time() < end:
    if run.stop_requested():
        run.model.write_bytes(b"model")
        run.add("finished", reason="stopped", best_epoch=1, model="best.safetensors")
        sys.exit()
    if (run.path / "fail").exists():
        run.add("failed", message="The loss is NaN; lower the learning rate.")
        sys.exit(2)
    if (run.path / f"do-{epoch + 1}").exists():
        epoch += 1
        (run.path / f"done-{epoch}").touch()
        run.add("epoch", epoch=epoch, loss=1 / epoch, validation_loss=1.0, best=True,
                metrics={"iou_macro": 0.5})
        run.add("previews", epoch=epoch, files=[
            {"image": "images/0.png", "prediction": "previews/0.png", "truth": "masks/0.png"}])
    time.sleep(0.01)
run.model.write_bytes(b"model")
run.add("help", table=[{"metric": "IoU", "before": 0.4, "after": 0.8}])
run.add("finished", reason="done", best_epoch=4, model="best.safetensors")
"""


class TrainingChild:
    """Starts a process that pretends to train, and remembers with which arguments."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def launch(self, arguments: list[str], folder: Path) -> Any:
        from napari_clickseg.runs.process import Launch

        self.asked.append(arguments)
        began = time.time()
        command = [sys.executable, "-c", TRAINING, str(folder), *arguments]
        self.processes.append(subprocess.Popen(command))
        return Launch(self.processes[-1].pid, began)


@pytest.fixture
def training_child(monkeypatch: pytest.MonkeyPatch) -> Iterator[TrainingChild]:
    """Trainings started from napari only pretend to train."""
    child = TrainingChild()
    monkeypatch.setattr("napari_clickseg._napari.train.jobs.launch", child.launch)
    yield child
    for process in child.processes:
        process.kill()
        process.wait()


@pytest.fixture
def training_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs and models of the test's own are kept."""
    monkeypatch.setenv("CLICKSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLICKSEG_MODELS", str(tmp_path / "home" / "models"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def make_project() -> Callable[..., Path]:
    """Make project folders: bright squares on noise, with their masks."""

    def make(folder: Path, count: int, side: int = 64) -> Path:
        import imageio.v3 as iio

        rng = np.random.default_rng(0)
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        for number in range(count):
            mask = np.zeros((side, side), np.uint8)
            for identifier in (1, 2):
                y, x = rng.integers(4, side - 24, 2)
                mask[y : y + 18, x : x + 18] = identifier
            image = np.where(mask > 0, 180, 40) + rng.integers(0, 30, mask.shape)
            iio.imwrite(folder / "images" / f"{number}.png", image.astype(np.uint8))
            iio.imwrite(folder / "masks" / f"{number}.png", mask)
        return folder

    return make
