"""Asking the model and showing what it answers; and what has to wait for an answer."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_clickseg._napari.viewer.planes import plane_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_clickseg._napari.annotate.context import Context
    from napari_clickseg._napari.annotate.pairing import Pairing
    from napari_clickseg._napari.annotate.state import Choice
    from napari_clickseg._napari.annotate.status import Status
    from napari_clickseg._napari.viewer.runner import Stop
    from napari_clickseg.core.plane import Plane
    from napari_clickseg.core.prompts import Prompt
    from napari_clickseg.engine.segmenter import Prediction, Session

_LARGE = 4096 * 4096  # pixels of a plane that is not predicted as a whole unless asked for


@dataclass(frozen=True, slots=True)
class _Waiting:
    act: Callable[[Plane | None], object]
    needs_answer: bool
    pairing: Pairing
    plane: Plane | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the worker brings back."""

    prompt: Prompt
    prediction: Prediction
    readings: int
    notices: tuple[str, ...]


class Answers:
    """Has prompts answered, and keeps what the user does in the order in which it was done.

    Accepting needs the answer to all the clicks before it. While it waits, what comes after it
    waits too: the next object's first click must not become part of this object.
    """

    def __init__(self, context: Context, status: Status) -> None:
        self._context, self._state, self._status = context, context.state, status
        self._waiting: deque[_Waiting] = deque()
        self._resuming = False

    # ---- what waits

    def in_turn(self, pairing: Pairing, act: Callable[[], object]) -> None:
        """Act now, or after what the user did before and is still waiting.

        Nothing happens if the pairing is closed before that.
        """
        self._enqueue(_Waiting(lambda _: act(), False, pairing, None))

    def when_answered(
        self, pairing: Pairing, plane: Plane, act: Callable[[Plane, Choice], object]
    ) -> None:
        """Act now, or as soon as the clicks made so far are answered.

        Nothing happens if the user goes to another plane or image before that. Where something
        that waited before it leads to another plane, `act` is about that one: who presses a key
        twice need not wait for what the first one does. What is chosen now is handed to `act`:
        whoever chooses another class meanwhile means the next object.
        """
        choice = self._state.choice

        def answered(at: Plane | None) -> None:
            if at is not None:
                act(at, choice)

        self._enqueue(_Waiting(answered, True, pairing, plane))

    def take_back(self) -> bool:
        """Forget the last thing that waits or is being begun; return whether there was one."""
        if self._waiting:
            self._waiting.pop()
            return True
        if self._context.runner.active("take_up"):
            self._context.runner.cancel("take_up")
            return True
        return False

    def forget(self) -> None:
        """Forget what waits, and what is being worked on, as another image is shown."""
        self._waiting.clear()
        self._context.runner.cancel("take_up")
        self._context.runner.cancel("predict")

    def go_on(self) -> None:
        """Do what has waited long enough."""
        if self._resuming:
            return
        self._resuming = True
        try:
            while self._waiting and not self._has_to_wait(self._waiting[0]):
                first = self._waiting.popleft()
                if self._is_here(first):
                    before = self._context.plane
                    first.act(first.plane)
                    self._lead_on(first.pairing, before)
        finally:
            self._resuming = False

    def _lead_on(self, pairing: Pairing, before: Plane | None) -> None:
        """Have what waits follow where the one before it has led to."""
        now = self._context.plane
        if before is None or now == before or pairing is not self._context.pairing:
            return
        self._waiting = deque(
            replace(one, plane=now) if one.pairing is pairing and one.plane == before else one
            for one in self._waiting
        )

    def _enqueue(self, one: _Waiting) -> None:
        self._waiting.append(one)
        self.go_on()

    def _has_to_wait(self, one: _Waiting) -> bool:
        context, runner = self._context, self._context.runner
        if runner.active("take_up") or one.pairing.is_writing:
            return True
        pairing, plane = context.pairing, context.plane
        if not one.needs_answer or pairing is None or plane is None:
            return False
        if not (pairing.scene.prompt(plane) or self.unasked(pairing, plane)):
            return False
        loading = self._state.model_status == "loading"
        return loading or runner.active("predict") or runner.active(pairing.survey)

    def _is_here(self, one: _Waiting) -> bool:
        context = self._context
        if not one.needs_answer:
            return context.pairings.get(one.pairing.image) is one.pairing
        if one.pairing is context.pairing and one.plane == context.plane:
            return True
        self._state.message = "You went elsewhere before the answer came, so nothing was accepted."
        return False

    # ---- asking

    def request(self) -> None:
        """Have the displayed plane's prompt answered; the latest request wins."""
        context = self._context
        self._status.show_counts()
        if context.pairing is not None:
            self._ask(context.pairing, context.plane, context.prompt())
        self.go_on()

    def unasked(self, pairing: Pairing, plane: Plane) -> bool:
        """Whether the model answers before the first click, on a plane that nobody worked on."""
        segmenter = self._context.segmenter
        if segmenter is None or not segmenter.card.automatic or math.prod(plane.shape) > _LARGE:
            return False
        if pairing.under_review:  # what a model finds on its own is there already
            return False
        return pairing.scene.untouched(plane)

    def opener(self, pairing: Pairing, plane: Plane) -> Callable[[], Session]:
        """Return what gives the session of a plane; that is to be called on the worker thread."""
        start, sessions = self.starter(pairing, plane), pairing.sessions
        return lambda: sessions.get(plane, start)

    def starter(self, pairing: Pairing, plane: Plane) -> Callable[[], Session]:
        """Return what begins another session of a plane, on whatever thread.

        All that it needs of layers is read here, on the main thread.
        """
        segmenter, image = self._context.segmenter, pairing.image
        if segmenter is None:
            raise RuntimeError("The model is not loaded.")
        limits = None
        if self._state.contrast_from_layer and not image.rgb:
            limits = (float(image.contrast_limits[0]), float(image.contrast_limits[1]))
        levels, rgb = plane_data(image, plane, pairing.channel_axis), bool(image.rgb)

        def start() -> Session:
            return segmenter.start(levels, rgb=rgb, contrast_limits=limits)

        return start

    def _ask(self, pairing: Pairing, plane: Plane | None, prompt: Prompt) -> None:
        # From a click to the mask:
        # 1. The click became a step of the scene; what the scene has on the plane is the prompt.
        # 2. The request takes the place of the one before it: a click's answer is the latest's.
        # 3. The worker has the plane's session answer the prompt (`work`).
        # 4. The response comes back to the main thread, if no newer request was made (`done`).
        # 5. If its plane is still displayed, the prediction layer shows it; what waited goes on.
        context, state = self._context, self._state
        if plane is None or not (prompt or self.unasked(pairing, plane)):
            context.runner.cancel("predict")
            pairing.display.show_nothing()
            state.busy = False
            state.reading, state.readings = 0, 1
            return
        if context.segmenter is None:
            state.busy = state.model_status == "loading"
            return
        state.busy = True
        refinement, session_of = context.refinement(), self.opener(pairing, plane)

        def work(stop: Stop) -> _Answer:
            session = session_of()
            prediction = session.evaluate(prompt, refinement, stop=stop)
            notices = (*session.notices, *session.zoom_notices)
            return _Answer(prompt, prediction, session.readings_of(prompt), notices)

        def done(answer: _Answer) -> None:
            self._answered(pairing, plane, answer)

        context.runner.submit("predict", work, done, self.failed)

    def _answered(self, pairing: Pairing, plane: Plane, answer: _Answer) -> None:
        context = self._context
        if pairing is not context.pairing or plane != context.plane:
            return
        pairing.display.show(self._state, plane, answer.prompt, answer.prediction)
        self._state.readings = answer.readings
        self._state.reading = answer.prompt.reading % answer.readings
        self._status.show_layers()
        self._state.busy = False
        self._status.model_works()
        if answer.notices and not self._state.message:
            self._state.message = " ".join(answer.notices)
        self.go_on()

    def failed(self, error: Exception) -> None:
        """Say that the clicks could not be answered; they stay, and nothing is accepted."""
        self._state.busy = False
        self._waiting = deque(one for one in self._waiting if not one.needs_answer)
        self._status.report(error)
        self.go_on()
