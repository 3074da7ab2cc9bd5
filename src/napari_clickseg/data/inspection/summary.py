"""What was found in a project, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_clickseg.data.inspection.facts import Findings

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


def summarise(findings: Findings) -> str:
    """Return a few lines on images, masks and problems."""
    lines = [_images(findings)]
    if findings.images:
        lines += [_pixels(findings), _labels(findings)]
        if findings.objects:
            lines.append(_objects(findings))
        if findings.empties:
            lines.append(
                f"{number(len(findings.empties), 'mask is', 'masks are')} empty: there is really "
                f"nothing in {named(findings.empties)}."
            )
    lines += [f"{'Stops' if p.fatal else 'Note'}: {p.text}" for p in findings.problems]
    return "\n".join(lines)


def _images(findings: Findings) -> str:
    text = number(len(findings.images), "annotated image")
    if findings.images and findings.ungrouped < len(findings.images):
        text += f" in {number(len(findings.groups), 'group')}"
    if findings.unannotated:
        text += f", {findings.unannotated} not annotated yet"
    return text + "."


def _pixels(findings: Findings) -> str:
    shapes = [f"{height} × {width}" for height, width in findings.shapes]
    heights, widths = zip(*findings.shapes, strict=True)
    size = (
        ", ".join(shapes)
        if len(shapes) <= _SHOWN
        else f"{min(heights)} × {min(widths)} to {max(heights)} × {max(widths)}"
    )
    rgb = {image.channels: image.rgb for image in findings.images}
    channels = " or ".join(
        "colour" if rgb[n] else "grey" if n == 1 else number(n, "channel")
        for n in findings.channels
    )
    return f"Images: {size} pixels (height × width), {channels}, {' and '.join(findings.dtypes)}."


def _labels(findings: Findings) -> str:
    said = findings.classes is not None
    if findings.scheme == "instances":
        what = "each object has an id of its own" + ("" if said else ", as it seems")
        return f"Masks: {what}; {findings.share:.1%} of the pixels are labelled."
    if not findings.ids:
        return "Masks: nothing is labelled."
    total = sum(findings.pixels.values()) / findings.share
    parts = [
        f"{findings.class_name(i)} {n / total:.1%} of the pixels, in "
        f"{number(sum(i in image.pixels for image in findings.images), 'image')}"
        for i, n in list(findings.pixels.items())[:_MOST_CLASSES]
    ]
    if len(findings.ids) > _MOST_CLASSES:
        parts.append(f"{len(findings.ids) - _MOST_CLASSES} more")
    return f"Masks: ids are classes{'' if said else ', as it seems'}: {'; '.join(parts)}."


def _objects(findings: Findings) -> str:
    spans = findings.spans
    middle = spans[len(spans) // 2]
    low, high = spans[len(spans) // 20], spans[-1 - len(spans) // 20]
    return f"{number(len(spans), 'object')}, about {middle} pixels across ({low} to {high})."
