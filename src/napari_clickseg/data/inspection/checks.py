"""What will not work, or not well, with the images of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_clickseg.data.inspection.facts import Problem
from napari_clickseg.data.inspection.summary import named, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_clickseg.data.inspection.facts import Findings, ImageFacts

_GRADED = 0.3  # share of pixels between a lower and a higher id, from which edges are blurred
_UNKNOWN = 255  # what many programs write where it is not known what a pixel is


def find_problems(findings: Findings) -> list[Problem]:
    """Return what is wrong with the images as a whole, given all that could be read."""
    if not any(image.pixels for image in findings.images):
        return [
            Problem(
                "no_annotation",
                "No pixel is annotated anywhere; outline some objects first, and save them, or "
                "see that each mask is called like its image.",
                True,
            ),
            *_tags(findings),
        ]
    checks = (
        _one_image,
        _one_group,
        _classes,
        _classless,
        _channels,
        _dtypes,
        _masks,
        _tags,
        _groups,
        _splits,
        _ids,
        _rest,
    )
    return [problem for check in checks for problem in check(findings)]


def _unit(findings: Findings, image: ImageFacts) -> str:
    """Return what must not be split: the group, unless there is one only."""
    return image.group if len(findings.groups) > 1 else image.name


def _one_image(findings: Findings) -> Iterator[Problem]:
    if len(findings.images) == 1:
        yield Problem(
            "one_image",
            "One image is annotated, and one to train on and one to validate on are needed; "
            "annotate another one.",
            True,
            (findings.images[0].name,),
        )


def _one_group(findings: Findings) -> Iterator[Problem]:
    units = {_unit(findings, image) for image in findings.images if image.pixels}
    if len(findings.images) > 1 and len(units) == 1:
        (unit,) = units
        yield Problem(
            "one_group",
            f"All that is annotated is in {unit}, so there is nothing to train on or nothing to "
            "validate on; annotate another group or image.",
            True,
            (unit,),
        )


def _classes(findings: Findings) -> Iterator[Problem]:
    if findings.scheme != "classes" or len(findings.ids) < 2:
        return
    for identifier in findings.ids:
        units = {_unit(findings, image) for image in findings.images if identifier in image.pixels}
        if len(units) == 1 and len(findings.images) > 1:
            (unit,) = units
            yield Problem(
                "class_in_one_group",
                f"The class {findings.class_name(identifier)} is in {unit} only, so it can't be "
                "both trained and validated; annotate it elsewhere too, or leave the class out.",
                True,
                (str(identifier),),
            )


def _classless(findings: Findings) -> Iterator[Problem]:
    images = [image for image in findings.images if image.classless]
    if images:
        objects = number(sum(image.classless for image in images), "object has", "objects have")
        names = tuple(image.name for image in images)
        yield Problem(
            "classless",
            f"{objects} no class ({named(names)}): they count neither as a class nor as "
            "background; give them one in Annotate.",
            False,
            names,
        )


def _channels(findings: Findings) -> Iterator[Problem]:
    if len(findings.channels) < 2:
        return
    have = " and ".join(f"{n} ({number(count, 'image')})" for n, count in findings.channels.items())
    rgb = all(image.rgb or image.channels == 1 for image in findings.images)
    what = (
        "grey ones are used as colour without colours."
        if rgb
        else "a model takes one number of channels; leave some images out."
    )
    yield Problem("channels", f"Images have different numbers of channels: {have}; {what}", not rgb)


def _dtypes(findings: Findings) -> Iterator[Problem]:
    if len(findings.dtypes) > 1:
        have = " and ".join(f"{name} ({count})" for name, count in findings.dtypes.items())
        yield Problem(
            "dtypes",
            f"Images are of different dtypes: {have}; each is brought to the same range, but see "
            "that they are of one kind.",
            False,
        )


def _masks(findings: Findings) -> Iterator[Problem]:
    blurred = tuple(image.name for image in findings.images if image.graded >= _GRADED)
    if blurred:
        yield Problem(
            "blurred",
            f"The {'mask' if len(blurred) == 1 else 'masks'} of {named(blurred)} "
            f"{'has' if len(blurred) == 1 else 'have'} blurred edges, where each shade counts as "
            "an object of its own; save masks without smoothing, or make them 0 and 1 by a "
            "threshold.",
            False,
            blurred,
        )
    full = tuple(image.name for image in findings.images if image.pixels and not image.background)
    if full:
        yield Problem(
            "no_background",
            f"In the {'mask' if len(full) == 1 else 'masks'} of {named(full)} every pixel is "
            "labelled and none is background; if one id means background, make it 0.",
            False,
            full,
        )


def _tags(findings: Findings) -> Iterator[Problem]:
    of: dict[str, list[str]] = {}
    for image in findings.images:
        for text in image.notices:
            of.setdefault(text, []).append(image.name)
    for text, names in of.items():
        yield Problem("tags", f"{named(names)}: {text}", False, tuple(names))


def _groups(findings: Findings) -> Iterator[Problem]:
    if findings.ungrouped == len(findings.images) > 1:
        yield Problem(
            "ungrouped",
            "It is not known which images belong together (the same patient, specimen or field); "
            "if some do, validation flatters. Give groups in index.csv.",
            False,
        )
    elif 0 < findings.ungrouped < len(findings.images):
        yield Problem(
            "ungrouped",
            f"{number(findings.ungrouped, 'image has', 'images have')} no group and count each as "
            "one of their own.",
            False,
        )
    elif len(findings.groups) == 1 < len(findings.images):
        yield Problem(
            "leak",
            f"All images are of one group ({findings.images[0].group}), so training and validation "
            "share it and validation flatters; annotate another one to know better.",
            False,
        )


def _splits(findings: Findings) -> Iterator[Problem]:
    sides = {image.split for image in findings.images} - {""}
    if not sides:
        return
    of: dict[str, set[str]] = {}
    for image in findings.images:
        of.setdefault(image.group, set()).add(image.split)
    both = tuple(group for group, splits in of.items() if len(splits) > 1)
    if both:
        yield Problem(
            "leak",
            f"{number(len(both), 'group is', 'groups are')} in more than one split "
            f"({named(both)}), so validation flatters.",
            False,
            both,
        )
    if {image.split for image in findings.images} <= {"validation", "test"}:
        yield Problem(
            "split", "No image is left to train on; mark some as training in index.csv.", True
        )
    elif "validation" in sides:
        yield from _unlabelled_side(findings)


def _unlabelled_side(findings: Findings) -> Iterator[Problem]:
    for what in ("train", "validate"):
        marks = {"validation"} if what == "validate" else {"", "training"}
        images = [image for image in findings.images if image.split in marks]
        if not any(image.pixels for image in images):
            names = tuple(image.name for image in images)
            yield Problem("split", nothing_labelled(what, names), True, names)


def nothing_labelled(what: str, names: Sequence[str]) -> str:
    """Say that in none of the images that are to train or to validate on anything is labelled."""
    return (
        f"Nothing that is to be learned is labelled in the images to {what} on ({named(names)}); "
        "annotate another group, or mark others as training and validation in index.csv."
    )


def _ids(findings: Findings) -> Iterator[Problem]:
    if findings.scheme != "classes":
        return
    if findings.classes is None:
        if _UNKNOWN in findings.ids and len(findings.ids) > 1:
            yield Problem(
                "ids",
                f"Beside {named([str(i) for i in findings.ids if i != _UNKNOWN])} there is the id "
                '255; if it means unknown, write "ignore": 255 into classes.json.',
                False,
                (str(_UNKNOWN),),
            )
        return
    known = {one.id for one in findings.classes.classes}
    strange = tuple(str(i) for i in findings.ids if i not in known)
    if strange and known:
        yield Problem(
            "ids",
            f"{'The id' if len(strange) == 1 else 'The ids'} {named(strange)} in the masks "
            "are not in classes.json; they count as classes without a name.",
            False,
            strange,
        )
    absent = tuple(one.name for one in findings.classes.classes if one.id not in findings.pixels)
    if absent:
        yield Problem(
            "ids", f"Of {named(absent)} nothing is annotated, so it can't be learnt.", False, absent
        )


def _rest(findings: Findings) -> Iterator[Problem]:
    by_digest: dict[str, list[ImageFacts]] = {}
    for image in findings.images:
        if image.digest:
            by_digest.setdefault(image.digest, []).append(image)
    same = [images for images in by_digest.values() if len({i.group for i in images}) > 1]
    if same:
        names = tuple(image.name for image in same[0])
        yield Problem(
            "duplicates",
            f"{named(names)} are the same image in different groups, so validation flatters; "
            f"keep one{f' (and {len(same) - 1} more like it)' if len(same) > 1 else ''}.",
            False,
            tuple(image.name for images in same for image in images),
        )
    if 2 * len(findings.empties) > len(findings.images):
        yield Problem(
            "empty",
            f"{len(findings.empties)} of {len(findings.images)} masks are empty and are learnt as "
            "'nothing there'; if some are not annotated yet, take their masks out of index.csv.",
            False,
            findings.empties,
        )
