"""What was found in a project, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.data.inspection.facts import Findings

__all__ = ["named", "number", "summarise"]

_SHOWN = 3
_MOST_CLASSES = 12


def number(n: int, one: str, many: str = "") -> str:
    """Return "1 image", "2 images"."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def named(names: Sequence[str]) -> str:
    """Return the first few names, and how many there are more."""
    more = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def summarise(found: Findings) -> str:
    """Return a few lines on images, masks and problems."""
    lines = [_images(found)]
    if found.images:
        lines += [_pixels(found), _labels(found)]
        if found.objects:
            lines.append(_objects(found))
        if found.empties:
            lines.append(
                f"{number(len(found.empties), 'mask is', 'masks are')} empty: there is really "
                f"nothing in {named(found.empties)}."
            )
    lines += [f"{'Stops' if p.fatal else 'Note'}: {p.text}" for p in found.problems]
    return "\n".join(lines)


def _images(found: Findings) -> str:
    text = number(len(found.images), "annotated image")
    if found.images and found.ungrouped < len(found.images):
        text += f" in {number(len(found.groups), 'group')}"
    if found.unannotated:
        text += f", {found.unannotated} not annotated yet"
    return text + "."


def _pixels(found: Findings) -> str:
    shapes = [f"{height} × {width}" for height, width in found.shapes]
    heights, widths = zip(*found.shapes, strict=True)
    size = (
        ", ".join(shapes)
        if len(shapes) <= _SHOWN
        else f"{min(heights)} × {min(widths)} to {max(heights)} × {max(widths)}"
    )
    rgb = {image.channels: image.rgb for image in found.images}
    channels = " or ".join(
        "colour" if rgb[n] else "grey" if n == 1 else number(n, "channel") for n in found.channels
    )
    return f"Images: {size} pixels (height × width), {channels}, {' and '.join(found.dtypes)}."


def _labels(found: Findings) -> str:
    said = found.classes is not None
    if found.scheme == "instances":
        what = "each object has an id of its own" + ("" if said else ", as it seems")
        return f"Masks: {what}; {found.share:.1%} of the pixels are labelled."
    if not found.ids:
        return "Masks: nothing is labelled."
    total = sum(found.pixels.values()) / found.share
    parts = [
        f"{found.class_name(i)} {n / total:.1%} of the pixels, in "
        f"{number(sum(i in image.pixels for image in found.images), 'image')}"
        for i, n in list(found.pixels.items())[:_MOST_CLASSES]
    ]
    if len(found.ids) > _MOST_CLASSES:
        parts.append(f"{len(found.ids) - _MOST_CLASSES} more")
    return f"Masks: ids are classes{'' if said else ', as it seems'}: {'; '.join(parts)}."


def _objects(found: Findings) -> str:
    spans = found.spans
    middle = spans[len(spans) // 2]
    low, high = spans[len(spans) // 20], spans[-1 - len(spans) // 20]
    return f"{number(len(spans), 'object')}, about {middle} pixels across ({low} to {high})."
