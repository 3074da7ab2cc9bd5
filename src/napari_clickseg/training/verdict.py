"""Whether a training helped, in a sentence, and what to do next: from figures in pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_clickseg.util.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

Kind = Literal["better", "worse", "same", "unsure", "alone", "unmeasured"]

MOST_CLICKS = 20.0  # that an object is given, and that one counts which never gets there
_CHANCE = 0.05  # of a difference at least as large between two models that are equally good
_FEWEST = 6  # groups: with five, one of 16 comparisons of equals has all differences on one side
_SMALL = {"clicks": 0.25, "dice": 0.01, "pq": 0.01}  # differences that nobody would notice
_QUALITY = {"dice": "Dice", "pq": "panoptic quality"}
_MOST_ADVICE = 3
_OFTEN = 0.1  # share of the objects that is worth a word
_WORSE_CLICKS, _WORSE_DICE = 1.5, 0.05  # by which a class or an image stands out


@dataclass(frozen=True, slots=True)
class Measured:
    """An object that was clicked on, or an image that was predicted, before and after.

    Parameters
    ----------
    after : float
        Clicks to an IoU of 0.85, or Dice.
    before : float, optional
        None where nothing was measured before.
    group : str
        Those of one group (such as a patient's) are alike; empty: of its image.
    kind : str
        Its class; empty where there are none.
    """

    image: str
    after: float
    before: float | None = None
    group: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured before and after a training.

    Parameters
    ----------
    of : {"clicks", "dice", "pq"}
    each : tuple of Measured
        Objects where it is clicks, images where it is Dice or panoptic quality.
    why_alone : str
        Why nothing was measured before.
    by_class : tuple of (str, float)
        Classes and their figure after the training.
    start : str
        What the training began with.
    findings : tuple of str
        What is wrong with the images, a line each.
    """

    of: Literal["clicks", "dice", "pq"]
    each: tuple[Measured, ...]
    why_alone: str = ""
    by_class: tuple[tuple[str, float], ...] = ()
    start: str = ""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it helped.

    Parameters
    ----------
    kind : str
        "better" and "worse" are said only where chance is an unlikely reason.
    text : str
        A sentence or two.
    advice : tuple of str
        What to do next, a sentence each.
    """

    kind: Kind
    text: str
    advice: tuple[str, ...] = ()


def judged(measured: Measurement) -> Verdict:
    """Judge what was measured, and say what to do next."""
    if not measured.each:
        return Verdict(
            "unmeasured",
            "Whether it helped was not measured: no validation image holds an object.",
            ("Label objects on the validation images, and train again.",),
        )
    if any(one.before is None for one in measured.each):
        text = f"There is nothing to compare with, as {measured.why_alone}: {_level(measured)}"
        return Verdict("alone", f"{text} ({_extent(measured)}).", _advice(measured, "alone"))
    gains = _gains(measured)
    interval = gain_interval(*gains)
    kind = _kind(measured.of, *gains, interval)
    return Verdict(kind, _sentence(measured, kind, gains, interval), _advice(measured, kind))


def gain_interval(
    totals: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean gain, resampling groups.

    Parameters
    ----------
    totals, counts : float (G,)
        Of each group, the sum of the gains of its objects and how many these are.
    """
    from scipy.stats import bootstrap

    if len(totals) < 2:
        return -np.inf, np.inf
    resampled = bootstrap(
        (totals, counts),
        lambda total, count, axis=-1: total.sum(axis=axis) / count.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return float(resampled.low), float(resampled.high)


def keep_verdict(model: Path, verdict: Verdict) -> None:
    """Write into a model's card whether its training helped: it is known wherever the file goes."""
    from napari_clickseg.models.checkpoint import load_network, save_model

    network, card = load_network(model)
    training = card.training | {"helped": verdict.kind, "verdict": verdict.text}
    save_model(model, network.state_dict(), card.model_copy(update={"training": training}))


def _gains(measured: Measurement) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the sum of the gains of each group, and how many there are; more is better."""
    sign = -1 if measured.of == "clicks" else 1
    groups: dict[str, list[float]] = {}
    for one in measured.each:
        assert one.before is not None
        groups.setdefault(one.group or one.image, []).append(sign * (one.after - one.before))
    counts = np.array([len(some) for some in groups.values()], float)
    return np.array([sum(some) for some in groups.values()], float), counts


def _kind(
    of: str,
    totals: npt.NDArray[np.float64],
    counts: npt.NDArray[np.float64],
    interval: tuple[float, float],
) -> Kind:
    low, high = interval
    if len(totals) < _FEWEST:
        return "unsure"
    if low > 0 and _by_chance(totals) <= _CHANCE:
        return "better"
    if high < 0 and _by_chance(totals) <= _CHANCE:
        return "worse"
    return "same" if max(abs(low), abs(high)) < _SMALL[of] else "unsure"


def _by_chance(totals: npt.NDArray[np.float64]) -> float:
    """Return how often equally good models differ as much: the sign of each group is a coin."""
    from scipy.stats import permutation_test

    test = permutation_test(
        (totals, np.zeros_like(totals)),
        lambda one, other, axis=-1: (one - other).sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        random_state=np.random.default_rng(0),
    )
    return float(test.pvalue)


# ---- the sentence


def _sentence(
    measured: Measurement,
    kind: Kind,
    gains: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
    interval: tuple[float, float],
) -> str:
    totals, counts = gains
    gain = float(totals.sum() / counts.sum())
    before = float(np.mean([one.before for one in measured.each if one.before is not None]))
    instead = f"{_level(measured)} instead of {_figure(measured.of, before)}"
    change, sure = (
        _change(measured.of, gain),
        f"95 % interval: {_range(measured.of, *interval)}",
    )
    match kind:
        case "better":
            return f"It helped: {instead}, {change} ({_extent(measured)}; {sure})."
        case "worse":
            return f"It did not help: {instead}, {change} ({_extent(measured)}; {sure})."
        case "same":
            return f"It changed hardly anything: {instead} ({_extent(measured)}; {sure})."
    if len(totals) < _FEWEST:
        return (
            f"Whether it helped is not sure: {instead}, but {_extent(measured)} are too few to "
            "tell that from chance."
        )
    return (
        f"Whether it helped is not sure: {instead}, which may be chance "
        f"({_extent(measured)}; {sure})."
    )


def _level(measured: Measurement) -> str:
    mean = _figure(measured.of, float(np.mean([one.after for one in measured.each])))
    if measured.of == "clicks":
        return f"an object takes {mean} clicks to an IoU of 0.85"
    return f"the {_QUALITY[measured.of]} of an image is {mean}"


def _extent(measured: Measurement) -> str:
    images = {one.image for one in measured.each}
    groups = {one.group or one.image for one in measured.each}
    text = counted(len(images), "image")
    if measured.of == "clicks":
        text = f"{counted(len(measured.each), 'object')} in {text}"
    return f"{text} of {counted(len(groups), 'group')}" if len(groups) < len(images) else text


def _change(of: str, gain: float) -> str:
    words = ("fewer", "more") if of == "clicks" else ("better", "worse")
    return f"{_figure(of, abs(gain))} {words[gain < 0]}"


def _range(of: str, low: float, high: float) -> str:
    if low < 0 < high:
        return f"from {_change(of, low)} to {_change(of, high)}"
    ends = sorted((abs(low), abs(high)))
    words = _change(of, high if low >= 0 else low).split()[-1]
    return f"{_figure(of, ends[0])} to {_figure(of, ends[1])} {words}"


def _figure(of: str, value: float) -> str:
    """Return a figure as exact as is of use, and never a nought that is none."""
    usual = f"{value:.1f}" if of == "clicks" else f"{value:.3f}"
    return f"{value:.2g}" if value and not float(usual) else usual


# ---- what to do next


def _advice(measured: Measurement, kind: Kind) -> tuple[str, ...]:
    lines = []
    if kind == "worse":
        start = f" ({measured.start})" if measured.start else ""
        lines.append(f"Go on with the model from before{start}.")
    if measured.findings:
        more = f" (and {len(measured.findings) - 1} more)" if len(measured.findings) > 1 else ""
        lines.append(f"Mend what Check found: {measured.findings[0]}{more}")
    lines += filter(None, (_missed(measured), _weak_class(measured), _weak_image(measured)))
    groups = len({one.group or one.image for one in measured.each})
    if groups < _FEWEST:
        what = "groups" if groups < len({one.image for one in measured.each}) else "images"
        lines.append(
            f"Annotate more {what}: to be sure, at least {_FEWEST} have to be validated on, and "
            f"{groups} {'is' if groups == 1 else 'are'}."
        )
    if not lines:
        lines.append(_LAST[kind])
    return tuple(lines[:_MOST_ADVICE])


_LAST: dict[Kind, str] = {
    "better": "Use it to annotate the next images, and train again with them.",
    "alone": "Use it to annotate the next images, and train again with them.",
    "same": "Annotate images of a kind that the project has not got yet; more of these change "
    "little.",
    "unsure": "Annotate more images, and train again.",
    "worse": "Annotate more images, and train again.",
}


def _missed(measured: Measurement) -> str:
    """Say where clicks do not help."""
    if measured.of != "clicks":
        return ""
    never = [one for one in measured.each if one.after >= MOST_CLICKS]
    if len(never) < _OFTEN * len(measured.each) or not never:
        return ""
    images = [one.image for one in never]
    worst = max(dict.fromkeys(images), key=images.count)
    return (
        f"{counted(len(never), 'object')} of {len(measured.each)} took {MOST_CLICKS:.0f} clicks: "
        f"open images like {worst} in Annotate, click where the model misses, accept, train again."
    )


def _weak_class(measured: Measurement) -> str:
    """Name the class that stands out, if one does."""
    by_class = dict(measured.by_class) or _means(measured, "kind")
    by_class.pop("", None)
    name = _standing_out(measured.of, by_class)
    if name is None:
        return ""
    return f"Annotate more of the class “{name}”: {_compared(measured.of, by_class, name)}."


def _weak_image(measured: Measurement) -> str:
    """Name the image that stands out, if one does."""
    by_image = _means(measured, "image")
    name = _standing_out(measured.of, by_image)
    if name is None:
        return ""
    return f"Annotate more images like {name}: {_compared(measured.of, by_image, name)}."


def _means(measured: Measurement, by: Literal["image", "kind"]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for one in measured.each:
        values.setdefault(one.image if by == "image" else one.kind, []).append(one.after)
    return {name: float(np.mean(some)) for name, some in values.items()}


def _standing_out(of: str, means: dict[str, float]) -> str | None:
    if len(means) < 2:
        return None
    worst = (max if of == "clicks" else min)(means, key=means.__getitem__)
    rest = _rest(means, worst)
    clear = (
        means[worst] - rest >= _WORSE_CLICKS
        if of == "clicks"
        else rest - means[worst] >= _WORSE_DICE
    )
    return worst if clear else None


def _rest(means: dict[str, float], name: str) -> float:
    return float(np.mean([value for other, value in means.items() if other != name]))


def _compared(of: str, means: dict[str, float], name: str) -> str:
    own, rest = _figure(of, means[name]), _figure(of, _rest(means, name))
    if of == "clicks":
        return f"an object takes {own} clicks there, {rest} elsewhere"
    return f"the {_QUALITY[of]} is {own} there, {rest} elsewhere"
