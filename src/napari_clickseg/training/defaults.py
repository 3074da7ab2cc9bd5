"""What a spec leaves open, chosen from the data.

The aim is that a dozen images are learned in ten minutes on two processor cores, and that nobody
has to set anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_clickseg.training.spec import Facts, TrainingSpec

__all__ = ["AUTO_METRIC", "chosen"]

AUTO_METRIC = {
    "click": "iou_clicks",
    "binary": "dice_macro",
    "multiclass": "dice_macro",
    "multilabel": "dice_macro",
}
_SIDE = 32
_CLICK_SIZE = 160  # of the default model: its windows follow the object
_SIZE, _SMALLEST = 256, 64
_WINDOWS = 24  # for each image, in a round
_FEWEST, _MOST = 96, 960  # windows in a round
_ALL = 4000  # windows in a training, about: ten minutes on two cores
_ROUNDS = (12, 60)


def chosen(spec: TrainingSpec, facts: Facts) -> dict[str, Any]:
    """Return values for the fields of a spec that are open."""
    size = spec.size or _size(spec, facts)
    windows = spec.windows or min(max(_WINDOWS * facts.images, _FEWEST), _MOST)
    epochs = spec.epochs or min(max(round(_ALL / windows), _ROUNDS[0]), _ROUNDS[1])
    channels = spec.image_channels or _channels(spec, facts)
    return {
        "scheme": facts.scheme if spec.scheme == "auto" else spec.scheme,
        "classes": spec.classes or (facts.classes if _by_class(spec, facts) else ()),
        "size": size,
        "batch": spec.batch or (8 if size <= _SIZE else 4),
        "windows": windows,
        "epochs": epochs,
        "image_channels": channels,
        "metric": AUTO_METRIC[spec.task] if spec.metric == "auto" else spec.metric,
        "augmentation": _augmentation(spec, facts),
    }


def _by_class(spec: TrainingSpec, facts: Facts) -> bool:
    scheme = facts.scheme if spec.scheme == "auto" else spec.scheme
    return scheme == "classes"


def _size(spec: TrainingSpec, facts: Facts) -> int:
    if spec.task == "click":
        return _CLICK_SIZE
    side = -(-max(facts.shape) // _SIDE) * _SIDE
    return min(_SIZE, max(_SMALLEST, side))


def _channels(spec: TrainingSpec, facts: Facts) -> int:
    if spec.task == "click":
        return 1 if spec.encoding == "colour" else 3
    return max(3, facts.channels)  # grey is shown to all three, so that trained filters fit


def _augmentation(spec: TrainingSpec, facts: Facts) -> str:
    if spec.augmentation != "auto":
        return spec.augmentation
    return "strong" if facts.images < 200 else "light"
