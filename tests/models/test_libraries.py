"""Networks are loaded, answer and learn without torch's compiler; others find it as it was."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import sys
import numpy as np
import torch
from torch import compiler
disable = compiler.disable

from napari_clickseg import load_segmenter
from napari_clickseg.models.network import create

session = load_segmenter("default", "cpu").start(np.zeros((80, 90), np.uint8))
session.click(40, 40)
session.predict()
network = create("unet", "tu-tf_efficientnet_lite0", channels=1, classes=1)
assert float(network.state_dict()["encoder.model.conv_stem.weight"].std()) > 0.01

import napari_clickseg.training.clicks.task
from napari_clickseg.training.classes.augment import PRESETS, Geometry, cut, shaded
bend = np.full((1, 4, 4, 2), 0.03, np.float32)
window = Geometry(48, 60, quarters=1, mirrored=True, angle=20.0, bend=bend)
pixels, labels = np.zeros((3, 80, 90), np.uint8), np.zeros((80, 90), np.int64)
image, _ = cut(pixels, labels, (40, 40), 64, window, 3, lambda found: found)
shaded(image, PRESETS["strong"], np.random.default_rng(0))
from napari_clickseg.training.loop.optimising import OPTIMIZERS
network(torch.zeros(2, 1, 64, 64)).sum().backward()
small = torch.nn.Conv2d(1, 4, 3)
for make in OPTIMIZERS.values():
    optimizer = make(small.parameters(), lr=1e-3, weight_decay=1e-2)
    for _ in range(2):
        small(torch.zeros(2, 1, 8, 8)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
assert not [name for name in sys.modules if name.startswith("torch._dynamo")]

assert compiler.disable is disable
from torch._dynamo.utils import counters, is_compile_supported
import torchvision
assert torchvision.ops.roi_align.__globals__["is_compile_supported"]("cpu") in (True, False)
assert isinstance(compiler.disable(lambda: 3)(), int)
print("done")
"""


def test_the_compiler_is_not_loaded_and_stays_as_it_is() -> None:
    command = [sys.executable, "-W", "ignore", "-c", CHILD]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "done", done.stderr[-2000:]
