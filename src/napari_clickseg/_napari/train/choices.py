"""What the user chose for a training: where it learns from, how, and which layers.

All of this runs on the main thread.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_clickseg._napari.train import jobs
from napari_clickseg._napari.train.fields import checked, value_of
from napari_clickseg._napari.train.source import (
    ahead_warning,
    gatherer,
    offers_of,
    origins_of,
    set_complete,
    split_warning,
    toggle_empty,
    unclear_warning,
)
from napari_clickseg._napari.viewer.layers import CompanionError
from napari_clickseg.runs.home import plain_name
from napari_clickseg.training.spec import SpecError
from napari_clickseg.util.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from napari.components import ViewerModel
    from napari.layers.base import Layer

    from napari_clickseg._napari.train.fields import Setting
    from napari_clickseg._napari.train.state import Offer, Source, Together, TrainState, Way


class TrainChoices:
    """Writes what the user chooses into the state, and makes an order of it.

    Parameters
    ----------
    hidden : callable
        Returns the layers that are not offered to learn from.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        state: TrainState,
        hidden: Callable[[], Collection[Layer]],
    ) -> None:
        self.viewer, self.state, self._hidden = viewer, state, hidden
        self._stamp = time.strftime("%Y-%m-%d-%H%M%S")

    def choose_source(self, source: Source) -> None:
        """Learn from open layers, or from a project."""
        self.state.source = source
        self._forget_check()

    def choose_project(self, path: str) -> None:
        """Learn from a project folder or a CSV file."""
        self.state.project = path
        self.state.source = "project"
        self._forget_check()

    def choose_pair(self, index: int, chosen: bool) -> None:
        """Learn from a pair of layers, or don't; a layer is in one chosen pair at the most."""
        taken = self.state.offers[index].pair
        for other, offer in enumerate(self.state.offers):
            same = offer.pair.image is taken.image or offer.pair.labels is taken.labels
            if chosen and other != index and offer.chosen and same:
                self._change_offer(other, chosen=False)
        self._change_offer(index, chosen=chosen)

    def set_group(self, index: int, group: str) -> None:
        """Say which images belong together, such as those of one specimen."""
        self._change_offer(index, group=group.strip())

    def set_complete(self, index: int, complete: bool) -> None:
        """Say whether all objects of an image are labelled, so that the rest is background."""
        try:
            set_complete(self.viewer, self.state.offers[index].pair, complete)
        except CompanionError as error:
            self.state.message = one_line(error)
        self.refresh_offers()
        self._forget_check()

    def refresh_offers(self) -> None:
        """Offer the pairs of layers that are open now; choices are kept."""
        offers = offers_of(self.viewer, self.state.offers, self._hidden())
        if [_of(offer) for offer in offers] != [_of(offer) for offer in self.state.offers]:
            self.state.offers = offers

    def keep_together(self, together: Together) -> None:
        """Split by layers, or by planes."""
        self.state.together = together
        self._forget_check()

    def keep_rest(self, on: bool) -> None:
        """Keep images and planes without labels in the project, to be predicted, or leave them."""
        self.state.rest = on
        self._forget_check()

    def toggle_empty(self) -> None:
        """Say of the displayed plane that there is really nothing in it, or take that back."""
        self.refresh_offers()
        pairs = [offer.pair for offer in self.state.offers]
        self._forget_check()
        self.state.message = toggle_empty(self.viewer, pairs)

    def choose_way(self, way: Way) -> None:
        """Train once, or click-train by cross-fitting."""
        if way != self.state.way:
            self.state.way = way
            self._forget_check()

    def choose_classes(self, classes: tuple[int, ...], *, whole: bool) -> None:
        """Say which classes are learned; all of them together as one thing, or none: as found."""
        settings = {k: v for k, v in self.state.settings.items() if k not in ("classes", "whole")}
        if classes:
            settings["classes"] = classes
        if whole:
            settings["whole"] = True
        self.state.settings = settings
        self._forget_check()

    def set_value(self, setting: Setting, value: Any) -> bool:
        """Choose a value for a field of the spec; return whether it makes sense."""
        settings = {k: v for k, v in self.state.settings.items() if k != setting.name}
        if value != setting.default:
            settings[setting.name] = value
        try:
            checked(settings)
        except SpecError as error:
            self.state.message = one_line(error).partition("; see clickseg")[0]
            return False
        if settings != self.state.settings:
            self.state.settings = settings
            self.state.message = ""
            self._forget_check()
        return True

    def set_text(self, setting: Setting, text: str) -> bool:
        """Choose a field's value as it was typed; return whether it makes sense."""
        try:
            value = value_of(setting, text)
        except SpecError as error:
            self.state.message = one_line(error)
            return False
        return self.set_value(setting, value)

    def reset_settings(self) -> None:
        """Go back to the defaults."""
        self.state.settings = {}
        self._forget_check()

    def _change_offer(self, index: int, **fields: Any) -> None:
        offers = list(self.state.offers)
        offers[index] = replace(offers[index], **fields)
        if tuple(offers) != self.state.offers:
            self.state.offers = tuple(offers)
            self._forget_check()

    def _forget_check(self) -> None:
        if self.state.check is not None:
            self.state.check, self.state.message = None, ""

    def _order(self) -> jobs.TrainingOrder | None:
        state, gather, name = self.state, None, self.state.name
        said: tuple[str, ...] = ()
        origins: tuple[str, ...] = ()
        folder = Path(state.home) / "projects" / plain_name(name)
        if state.source == "layers":
            self.refresh_offers()
            chosen = [offer for offer in state.offers if offer.chosen]
            if not chosen:
                unclear = unclear_warning(state.offers)
                state.message = (
                    unclear[0]
                    if unclear
                    else "Choose at least one image with labels, or a project folder."
                    if state.offers
                    else "Open images and their labels first, or choose a project folder."
                )
                return None
            try:
                # What has a name grows; without one it is this session's, and only what is chosen.
                gather = gatherer(
                    self.viewer, chosen, state.together, only=not name, rest=state.rest
                )
            except CompanionError as error:
                state.message = one_line(error)
                return None
            origins = origins_of(chosen)
            said = (
                *split_warning(chosen, state.together),
                *unclear_warning(state.offers),
                *ahead_warning(chosen),
            )
            if not name:
                name = plain_name(chosen[0].pair.image.name)
                # What a cross-fitting looks at again, perhaps days later, nothing else replaces.
                lasting = state.way == "crossfit"
                stamp = time.strftime("%Y-%m-%d-%H%M%S") if lasting else self._stamp
                folder = folder.with_name(f"{name}-{stamp}")
        elif not state.project:
            state.message = "Choose a project folder or a CSV file first."
            return None
        project = state.project if state.source == "project" else ""
        home, settings = Path(state.home), dict(state.settings)
        crossfit = state.way == "crossfit"
        return jobs.TrainingOrder(
            project, gather, folder, home, name, settings, crossfit, state.pauses, said, origins
        )


def _of(offer: Offer) -> tuple[Any, ...]:
    """Return what is seen and meant of an offer; pairs are made anew each time."""
    return (
        offer.pair.image,
        offer.pair.labels,
        offer.text,
        offer.chosen,
        offer.group,
        offer.complete,
    )
