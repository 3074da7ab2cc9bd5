"""What packages of bioimage.io have done to images, as steps that `OnnxNetwork` knows.

Versions 0.4 and 0.5 of the specification call them alike, but for a few words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from napari_clickseg.models.checkpoint import ModelFileError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_clickseg.models.sharing.foreign_network import Step

_MOST = 16
_LARGEST = {"uint8": 255.0, "uint16": 65535.0}  # of a type, what 1 is here
_ALL = -1  # channels
_WIDEST = 4096.0  # what is clipped to where only one end is said


def input_steps(tensor: Mapping[str, Any], axes: str, name: str) -> tuple[tuple[Step, ...], float]:
    """Return the steps before a network, and what the value 1 of an image is before them.

    Parameters
    ----------
    tensor : mapping
        The input's description.
    axes : str
        Its axes, such as "bcyx".
    name : str
        Of the package, for messages.

    Raises
    ------
    ModelFileError
        If one of them is not known here; the message names it.
    """
    data = tensor.get("data")
    kind = data.get("type") if isinstance(data, dict) else tensor.get("data_type")
    base = _LARGEST.get(str(kind), 1.0)
    steps: list[Step] = []
    for what, how in _listed(tensor, "preprocessing"):
        steps += _step(what, how, axes, name)
    if base != 1.0:  # in parts, as no number of a card is larger than 4096
        parts = [255.0, base / 255.0]
        steps[:0] = [("linear", _ALL, part, 0.0) for part in parts if part != 1.0]
    return tuple(steps), base


def output_steps(
    tensor: Mapping[str, Any], name: str
) -> tuple[Literal["", "sigmoid", "softmax"], float | None]:
    """Return what makes probabilities of a network's answer, and a threshold that comes after.

    Where nothing has to, it is ""; where no threshold is said, None: here the user chooses it.

    Raises
    ------
    ModelFileError
        If something else is done to it that is not known here.
    """
    kind: Literal["", "sigmoid", "softmax"] = ""
    threshold = None
    for what, how in _listed(tensor, "postprocessing"):
        if what == "sigmoid":
            kind = "sigmoid"
        elif what == "softmax":
            kind = "softmax"
        elif what == "binarize":
            threshold = _numbers(how.get("threshold", 0.5), name)[0]
        elif what != "ensure_dtype":
            raise ModelFileError(
                f"{name}: what is done to its answer, '{what}', is not known here."
            )
    return kind, threshold


def _listed(tensor: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    steps = tensor.get(key)
    out: list[tuple[str, Mapping[str, Any]]] = []
    for one in (steps if isinstance(steps, list) else [])[:_MOST]:
        if isinstance(one, dict):
            how = one.get("kwargs")
            out.append(
                (str(one.get("id") or one.get("name")), how if isinstance(how, dict) else {})
            )
    return out


def _step(what: str, how: Mapping[str, Any], axes: str, name: str) -> list[Step]:
    if what == "ensure_dtype":
        return []
    if what == "zero_mean_unit_variance" and how.get("mode") == "fixed":
        what = "fixed_zero_mean_unit_variance"
    if what == "zero_mean_unit_variance":
        return [("standardise", _together(how, axes, name))]
    if what == "fixed_zero_mean_unit_variance":
        means, deviations = _numbers(how.get("mean"), name), _numbers(how.get("std"), name)
        if 0 in deviations or len(means) != len(deviations):
            raise ModelFileError(f"{name}: its '{what}' makes no sense.")
        return [
            ("linear", channel, 1 / s, -m / s) for channel, m, s in _channels(means, deviations)
        ]
    if what == "scale_linear":
        gains, offsets = (
            _numbers(how.get("gain", 1.0), name),
            _numbers(how.get("offset", 0.0), name),
        )
        longest = max(len(gains), len(offsets))
        gains, offsets = (v * (longest if len(v) == 1 else 1) for v in (gains, offsets))
        if len(gains) != len(offsets):
            raise ModelFileError(f"{name}: its '{what}' makes no sense.")
        return [("linear", *one) for one in _channels(gains, offsets)]
    if what == "scale_range" and not how.get("reference_tensor"):
        low = _numbers(how.get("min_percentile", 0.0), name)[0]
        high = _numbers(how.get("max_percentile", 100.0), name)[0]
        if not 0 <= low < high <= 100:
            raise ModelFileError(f"{name}: its '{what}' makes no sense.")
        return [("percentiles", _together(how, axes, name), low, high)]
    if what == "clip":
        low = _numbers(how.get("min", -_WIDEST), name)[0]
        return [("clip", low, _numbers(how.get("max", _WIDEST), name)[0])]
    raise ModelFileError(
        f"{name}: what is done to images before, '{what}', is not known here; known are "
        "zero_mean_unit_variance, scale_range, scale_linear and clip."
    )


def _channels(first: list[float], second: list[float]) -> list[tuple[int, float, float]]:
    """Return pairs with the channel that they are of; a single one is of all."""
    at = [_ALL] if len(first) == 1 else range(len(first))
    return list(zip(at, first, second, strict=True))


def _together(how: Mapping[str, Any], axes: str, name: str) -> int:
    """Return whether all channels are measured together: 1, or each by itself: 0."""
    if how.get("mode") == "per_dataset":
        raise ModelFileError(
            f"{name} measures its values over a whole set of images, which is not known here."
        )
    over = how.get("axes")
    if over is None:
        return 1
    words = {"channel": "c", "batch": "b"}
    letters = "".join(words.get(str(one), str(one)[:1]) for one in over)
    if not {"y", "x"} <= set(letters):
        raise ModelFileError(
            f"{name} measures its values along {letters}, which is not known here."
        )
    return int("c" in letters)


def _numbers(value: Any, name: str) -> list[float]:
    try:
        numbers = [float(one) for one in (value if isinstance(value, list) else [value])]
    except (TypeError, ValueError):
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)) or len(numbers) > 32:
        raise ModelFileError(f"{name}: a number of its description makes no sense.")
    return numbers
