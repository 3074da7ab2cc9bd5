"""Optimizers without torch's compiler, which nothing here uses.

Those of torch load `torch._dynamo` with their first group of parameters and with their first step,
to mark what the compiler is to leave alone: seconds at the start of every training.
"""

from __future__ import annotations

from inspect import unwrap

import torch
from torch.optim import Optimizer


class Uncompiled(Optimizer):
    """The base of optimizers, its methods not marked for the compiler."""

    add_param_group = unwrap(Optimizer.add_param_group)
    load_state_dict = unwrap(Optimizer.load_state_dict)
    state_dict = unwrap(Optimizer.state_dict)
    zero_grad = unwrap(Optimizer.zero_grad)


class AdamW(Uncompiled, torch.optim.AdamW):
    """torch's AdamW, its step not marked either."""

    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))
