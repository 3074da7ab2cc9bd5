"""What a spec leaves open, chosen from the data.

The aim is that a dozen images are learned in ten minutes on two processor cores, and that nobody
has to set anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_clickseg.data.inspection.facts import Findings
    from napari_clickseg.training.spec import TrainingSpec

AUTO_METRIC = {
    "click": "iou_clicks",
    "binary": "dice_macro",
    "multiclass": "dice_macro",
    "multilabel": "dice_macro",
    "instances": "pq",
}
_SIDE = 32
_CLICK_SIZE = 160  # of the default model: its windows follow the object
_SIZE, _SMALLEST = 256, 64
_WINDOWS = 24  # for each image, in an epoch
_FEWEST, _MOST = 96, 960  # windows in an epoch
_ALL = 4000  # windows in a training, about
_ROUNDS = (12, 60)
_FEW_IMAGES = 200
_IN_WINDOW = 0.6  # share of a window's side that an object takes, at the most
_APART = (24, 64)  # network pixels that usual objects are long that are to be told apart
_LARGE = 0.95  # share of the objects that are not longer than a large one
_MOST_ZOOM = 4.0


def completed(spec: TrainingSpec, findings: Findings) -> TrainingSpec:
    """Return a spec with all that was left open chosen from the data."""
    return spec.model_copy(update=_chosen(spec, findings))


def _chosen(spec: TrainingSpec, findings: Findings) -> dict[str, Any]:
    training = [image for image in findings.images if image.split not in ("validation", "test")]
    size = spec.size or _size(spec, findings)
    windows = spec.windows or min(max(_WINDOWS * len(training), _FEWEST), _MOST)
    epochs = spec.epochs or min(max(round(_ALL / windows), _ROUNDS[0]), _ROUNDS[1])
    scheme = findings.scheme if spec.scheme == "auto" else spec.scheme
    strong = len(training) < _FEW_IMAGES
    return {
        "scheme": scheme,
        "classes": spec.classes or (findings.ids if scheme == "classes" else ()),
        "size": size,
        "batch": spec.batch or (8 if size <= _SIZE else 4),
        "windows": windows,
        "epochs": epochs,
        "image_channels": spec.image_channels or _channels(spec, findings),
        "metric": AUTO_METRIC[spec.task] if spec.metric == "auto" else spec.metric,
        "augmentation": ("strong" if strong else "light")
        if spec.augmentation == "auto"
        else spec.augmentation,
    }


def automatic(spec: TrainingSpec) -> bool:
    """Whether the model of a completed spec predicts without any click.

    A click model does where there is one class: it then finds all of it, and clicks correct
    that. Of several objects, or classes, none can be meant before the first click.
    """
    one_class = spec.scheme == "classes" and len(spec.classes) == 1
    return spec.task != "click" or spec.whole or one_class


def zoom(spec: TrainingSpec, findings: Findings) -> float:
    """Return network pixels for an image pixel, where no click says where to look.

    One, unless usual objects would not fit into a window.
    """
    if not findings.spans:
        return 1.0
    if spec.task == "instances":
        fits = _IN_WINDOW * spec.size / large_span(findings)
        return max(1 / 16, min(_zoom_apart(findings), fits))
    usual = findings.spans[len(findings.spans) * 3 // 4]
    return min(1.0, max(1 / 16, _IN_WINDOW * spec.size / max(1, usual)))


def large_span(findings: Findings) -> int:
    """Return how many pixels long a large object is; 0 where there is none."""
    spans = findings.spans
    return spans[min(len(spans) - 1, int(_LARGE * len(spans)))] if spans else 0


def _zoom_apart(findings: Findings) -> float:
    """Return the zoom at which usual objects are large enough to be told apart, and no larger."""
    usual = max(1, findings.spans[len(findings.spans) // 2])
    return min(_MOST_ZOOM, max(1.0, _APART[0] / usual)) * min(1.0, _APART[1] / usual)


def _size(spec: TrainingSpec, findings: Findings) -> int:
    if spec.task == "click":
        return _CLICK_SIZE
    longest = max((max(shape) for shape in findings.shapes), default=_SIZE)
    most = _SIZE
    if spec.task == "instances" and findings.spans:
        longest, most = round(longest * _zoom_apart(findings)), _CLICK_SIZE
    return min(most, max(_SMALLEST, -(-longest // _SIDE) * _SIDE))


def _channels(spec: TrainingSpec, findings: Findings) -> int:
    if spec.task == "click" and spec.encoding == "colour":
        return 1
    # Grey is shown to all three colours, so that trained filters fit.
    return max(3, *findings.channels) if findings.channels else 3
