"""Average the weights of a model with those of the model that its run started from.

From the top of the repository, ``python -m default_model.average START RUN/model.safetensors
--out MODEL``; then `default_model.fit_scouting`, as after a run. The mean of two models of one
ancestor is often better than either (Wortsman et al., Model soups, ICML 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file

from napari_clickseg.models.checkpoint import read_card, save_model, sha256


def main() -> None:
    """Read the arguments and average."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("start", type=Path, help="what the run started from")
    parser.add_argument("model", type=Path, help="what came of it")
    parser.add_argument("--share", type=float, default=0.5, help="of the second one")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    start, trained, card = load_file(args.start), load_file(args.model), read_card(args.model)
    if start.keys() != trained.keys():
        parser.error(f"{args.start} is of another architecture than {args.model}.")
    mean = {
        name: start[name].float().lerp(weights.float(), args.share)
        for name, weights in trained.items()
    }
    averaged = {"share": args.share, "with": sha256(args.start)}
    training = card.training | {"averaged": averaged}
    save_model(args.out, mean, card.model_copy(update={"training": training}))


if __name__ == "__main__":
    main()
