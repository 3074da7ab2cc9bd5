"""Open layers to learn from: which are offered, and gathering the ones that were chosen.

All of this runs on the main thread, but for what `gatherer` returns.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_clickseg._napari.annotate.pairing import say_complete
from napari_clickseg._napari.project.gather import gather
from napari_clickseg._napari.project.pairs import pairs_of, possible_pairs, snapshot
from napari_clickseg._napari.project.saving import changes_of
from napari_clickseg._napari.train.state import Offer
from napari_clickseg._napari.viewer.layers import full_resolution, unwrapped
from napari_clickseg._napari.viewer.metadata import (
    complete_planes,
    empty_planes,
    mark_empty,
    origin_of,
)
from napari_clickseg._napari.viewer.planes import displayed_plane
from napari_clickseg.data.inspection.summary import number

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers.base import Layer

    from napari_clickseg._napari.project.pairs import LayerPair, PairData
    from napari_clickseg._napari.train.jobs import Gather, Steps
    from napari_clickseg._napari.train.state import Together
    from napari_clickseg.core.plane import Plane


def offers_of(
    viewer: ViewerModel, before: Sequence[Offer], hidden: Collection[Layer] = ()
) -> tuple[Offer, ...]:
    """Return the pairs of layers that are open; what the user chose before is kept.

    Where it is not clear which labels belong to an image, all pairs that might are offered, and
    none is chosen: the user has to say.

    Parameters
    ----------
    before : sequence of Offer
        What was offered until now.
    hidden : collection of Layer
        Layers that are no data, such as predictions.
    """
    known = {(offer.pair.image, offer.pair.labels): offer for offer in before}
    out = [unwrapped(layer) for layer in hidden]
    offers = []
    for pair in (*pairs_of(viewer), *possible_pairs(viewer)):
        if pair.image in out or pair.labels in out:
            continue
        offer = known.get((pair.image, pair.labels), Offer(pair, "", chosen=pair.sure))
        text = f"{pair.image.name}  ·  {pair.labels.name}{'' if pair.sure else '  ?'}"
        offers.append(replace(offer, pair=pair, text=text, complete=_complete(pair)))
    return tuple(offers)


def _complete(pair: LayerPair) -> bool | None:
    """Return whether all objects are labelled, where the same is said of all planes."""
    said = complete_planes(pair.labels)
    agreed = set(said.values())
    every = len(said) == math.prod(pair.labels.data.shape[:-2])
    return agreed.pop() if every and len(agreed) == 1 else None


def set_complete(viewer: ViewerModel, pair: LayerPair, complete: bool) -> None:
    """Say whether all objects of an image, or of every plane of a stack, are labelled.

    Raises
    ------
    CompanionError
        If the labels layer does not fit its image.
    """
    (data,) = snapshot([pair], viewer.dims)
    say_complete(pair.labels, (plane.index for plane in data.planes()), complete)


def gatherer(
    viewer: ViewerModel,
    offers: Sequence[Offer],
    together: Together,
    *,
    only: bool,
    rest: bool = False,
) -> Gather:
    """Note what is in layers, and return what makes a project folder of it on any thread.

    Parameters
    ----------
    viewer : ViewerModel
        Its displayed axes are those of the planes.
    offers : sequence of Offer
        What was chosen.
    together : {"layer", "image"}
        What must not be split, where an offer has no group.
    only : bool
        Nothing else stays in the folder, but for what was accepted in a review.
    rest : bool
        Planes without labels come into the project as well, to be predicted.

    Raises
    ------
    CompanionError
        If a labels layer does not fit its image.
    """
    data = snapshot([offer.pair for offer in offers], viewer.dims)
    groups = {offer.pair.image.name: offer.group for offer in offers}

    def group_of(pair: PairData, _: Plane) -> str:
        return groups.get(pair.name) or (pair.name if together == "layer" else "")

    def work(folder: Path, steps: Steps) -> Path:
        done = gather(data, folder, only=only, rest=rest, group_by=group_of, progress=steps)
        return done.folder

    return work


def origins_of(offers: Sequence[Offer]) -> tuple[str, ...]:
    """Return the folders of the projects that the images were opened from, each once."""
    origins = [origin_of(offer.pair.image) for offer in offers]
    return tuple(dict.fromkeys(origin.folder for origin in origins if origin is not None))


def unclear_warning(offers: Sequence[Offer]) -> tuple[str, ...]:
    """Return what to warn of where labels are left out, as it is not clear whose they are."""
    used = {layer for o in offers if o.chosen for layer in (o.pair.image, o.pair.labels)}
    left = {
        offer.pair.labels.name: None
        for offer in offers
        if not offer.pair.sure and not used & {offer.pair.image, offer.pair.labels}
    }
    if not left:
        return ()
    names = ", ".join(left)
    return (
        f"It is not clear which image {names} {'belongs' if len(left) == 1 else 'belong'} to: tick "
        "the right pair to learn from it.",
    )


def ahead_warning(offers: Sequence[Offer]) -> tuple[str, ...]:
    """Return what to warn of where layers that are learned from are ahead of their projects."""
    count = sum(len(changes_of(offer.pair.labels)) for offer in offers)
    if not count:
        return ()
    changes = number(count, "change is", "changes are")
    return (
        f"{changes} learned from, but not saved in a project yet; “Save to project…” saves "
        f"{'it' if count == 1 else 'them'}.",
    )


def split_warning(offers: Sequence[Offer], together: Together) -> tuple[str, ...]:
    """Return what to warn of where planes of one image may be on both sides of the split."""
    stacks = [offer for offer in offers if offer.pair.labels.ndim > 2 and not offer.group]
    if together == "layer" or not stacks:
        return ()
    return (
        "Planes of one image are both trained on and validated on, so the figures flatter; "
        "validate on whole images where there are several.",
    )


def toggle_empty(viewer: ViewerModel, pairs: Sequence[LayerPair]) -> str:
    """Say of the displayed plane that there is really nothing in it, or take that back.

    Parameters
    ----------
    viewer : ViewerModel
        Its selected layer says which pair is meant, where there are several.
    pairs : sequence of LayerPair
        What is open.

    Returns
    -------
    str
        What was done, or why not.
    """
    active = unwrapped(viewer.layers.selection.active)
    meant = [pair for pair in pairs if active in (pair.image, pair.labels)] or list(pairs)
    if len(meant) != 1:
        return "Select the image, or its labels, in the layer list first."
    pair = meant[0]
    plane = displayed_plane(viewer.dims, pair.image, pair.channel_axis)
    if plane is None:
        return "This needs a 2D view of the image; leave 3D or move the sliders."
    if _labelled(pair, plane):
        return f"There are labels on this plane of {pair.labels.name}; it is not empty."
    empty = plane.index not in empty_planes(pair.labels)
    mark_empty(pair.labels, plane.index, empty)
    said = "is learned from as really empty" if empty else "is left out again"
    return f"This plane of {pair.image.name} {said}."


def _labelled(pair: LayerPair, plane: Plane) -> bool:
    data = full_resolution(pair.labels)
    part = data[plane.key(slice(None), slice(None))]
    return bool((part != 0).any())
