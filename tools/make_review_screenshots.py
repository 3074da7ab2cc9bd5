"""Make the pictures of the Review widget: a real model predicts real images, and one is corrected.

    xvfb-run -a -s "-screen 0 1400x1000x24" .venv/bin/python tools/make_review_screenshots.py \\
        PROJECT [--set epochs=8] [--keep FOLDER]

PROJECT is an annotated project folder; those in docs/ show nuclei, see the tutorial for their
source. Some of its images are trained on, and the masks of the others are left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from picture_window import PictureWindow

SIZE = (1280, 940)
TRAINED_ON, REVIEWED = 8, 14  # images
SETTINGS = {
    "task": "binary",
    "start": "scratch",
    "encoder": "tu-resnet10t",
    "size": "192",
    "windows": "96",
    "batch": "8",
    "epochs": "8",
    "device": "cpu",
}


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--keep", type=Path, help="keep the run here; a second call shows it again")
    args = parser.parse_args()
    settings = SETTINGS | dict(text.split("=", 1) for text in args.set)
    with tempfile.TemporaryDirectory() as folder:
        home = (args.keep or Path(folder)).absolute()
        # Settings and runs of whoever runs this stay as they are.
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["CLICKSEG_HOME"] = str(home)
        os.environ["CLICKSEG_MODELS"] = str(Path(folder) / "models")
        project = some_of(args.project, home / "projects" / "nuclei")
        train(project, home / "runs" / "nuclei", settings)
        for theme in ("dark", "light"):
            show(project, theme)


def some_of(source: Path, target: Path) -> Path:
    """Copy some images of a project, of one size, those behind the first few without masks."""
    from collections import Counter

    from napari_clickseg.data.classes import ProjectClass, ProjectClasses
    from napari_clickseg.data.images import read_layout, read_plane
    from napari_clickseg.data.masks import read_labels
    from napari_clickseg.data.project import read_project
    from napari_clickseg.data.writer import ProjectWriter

    if (target / "index.csv").exists():
        return target
    records = read_project(source).records
    shapes = {record.name: read_layout(record.image).shape[:2] for record in records}
    usual = Counter(shapes.values()).most_common(1)[0][0]
    chosen = [record for record in records if shapes[record.name] == usual]
    writer = ProjectWriter(target)
    kinds = (ProjectClass(id=1, name="nucleus"),)
    writer.set_classes(ProjectClasses(scheme="instances", classes=kinds))
    for number, record in enumerate(chosen[: TRAINED_ON + REVIEWED]):
        plane = read_plane(record.image)
        mask = read_labels(record.mask) if number < TRAINED_ON else None
        writer.add(f"field-{number + 1:02d}", plane.read_all(), mask, rgb=plane.rgb)
    return target


def train(project: Path, run: Path, settings: dict[str, str]) -> None:
    """Train a model that needs no click, unless that was done before."""
    if (run / "best.safetensors").exists():
        return
    words = [sys.executable, "-m", "napari_clickseg.cli", "train", str(project), "--out", str(run)]
    for key, value in settings.items():
        words += ["--set", f"{key}={value}"]
    subprocess.run(words, check=True)


def show(project: Path, theme: str) -> None:
    """Predict the rest, unless that was done before, and correct the most uncertain image."""
    window = Window(theme)
    state = window.widget.context.state
    window.widget.context.controller.choose_project(str(project))
    window.wait(lambda: bool(state.model) and state.counts.total > 0)
    if state.counts.left:
        window.press(window.widget.predict.predict)
        window.wait(lambda: state.predicting.status == "finished", 1800)
        window.wait(lambda: state.counts.left == 0)
    window.press(window.widget.next)
    window.wait(lambda: bool(state.current))
    annotate = window.widget._lease.controller
    window.wait(lambda: annotate.state.model_status == "ready", 300)
    if theme == "dark":
        for _ in range(2):
            before = state.current
            window.press(window.widget.accept)
            window.wait(lambda before=before: state.current not in ("", before))
    window.rest(2500)
    window.picture(f"review-{theme}")
    window.close()


class Window(PictureWindow):
    """A napari window with the Review widget."""

    def __init__(self, theme: str) -> None:
        super().__init__(theme, SIZE)
        _, self.widget = self.viewer.window.add_plugin_dock_widget("napari-clickseg", "Review")
        self.wait(lambda: self.widget.context.controller.looker.idle)


if __name__ == "__main__":
    main()
