"""How often one way to begin is worse than another, object by object.

    clickseg evaluate DATA... --objects 1 --clicks 5 --limit 4 --first box --json box.json
    clickseg evaluate DATA... --objects 1 --clicks 5 --limit 4 --jitter --json click.json
    python benchmarks/object_by_object.py box.json click.json [--after 1] [--least 0.01]
        [--without SET ...]

Objects that both files hold are compared by their IoU after the first N gestures, each the mean of
its repeats. Prints in how many the first file's is lower by more than `--least`, and by how much.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean

Key = tuple[str, str, int]


def read(path: Path, after: int, without: list[str]) -> dict[Key, float]:
    """Return the IoU of each object."""
    values: dict[Key, list[float]] = defaultdict(list)
    for one in json.loads(path.read_text(encoding="utf-8"))["each"]:
        if one["set"] not in without:
            key = one["set"], one["image"], one["object"]
            values[key].append(one["iou"][after - 1])
    return {key: fmean(ious) for key, ious in values.items()}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--after", type=int, default=1, help="gestures")
    parser.add_argument("--least", type=float, default=0.01, help="of the IoU")
    parser.add_argument("--without", nargs="*", default=[], metavar="SET")
    args = parser.parse_args()
    one, other = (read(path, args.after, args.without) for path in (args.one, args.other))
    gains = {key: one[key] - other[key] for key in one if key in other}
    if not gains:
        parser.error("the two files hold no object in common")
    worse = {key: -gain for key, gain in gains.items() if -gain > args.least}
    print(
        f"{len(worse)} of {len(gains)} objects ({len(worse) / len(gains):.0%}) are worse by more "
        f"than {args.least}; {fmean(gains.values()):+.3f} in the mean."
    )
    by_set: dict[str, list[float]] = defaultdict(list)
    for (name, _, _), loss in worse.items():
        by_set[name].append(loss)
    for name, losses in sorted(by_set.items(), key=lambda item: -sum(item[1])):
        print(f"  {name}: {len(losses)}, by {fmean(losses):.3f}")


if __name__ == "__main__":
    main()
