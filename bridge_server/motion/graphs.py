# SPDX-License-Identifier: Apache-2.0
"""Decoding steps recorded once for each shape and played again: CUDA graphs.

A step of the networks is some two hundred small kernels, and to start them takes a GPU's host longer than the GPU takes to run
them. Recorded, a step is one call. Recording by hand rather than ``torch.compile``, since the worker's cancel is a hook on every module,
at each of which a compiler would break off. What cannot be recorded is run as it is, and said once.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

__all__ = ["Graphs", "player_for"]

LOGGER = logging.getLogger("understudy.graphs")
_MOST: Final = 24
"""Shapes that are kept; each holds its inputs and what its step works with."""
_WARM: Final = 2
"""Runs before a recording, in which libraries choose their kernels."""

Record = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]
"""Records a function; gives what plays it again, and where its result then lies."""


@dataclass
class _Recorded:
    inputs: list[Tensor]
    play: Callable[[], None]
    output: Tensor
    last: list[Tensor] = field(default_factory=list)


class Graphs:
    """Plays steps; see :class:`.decoding.Player`. Belongs to one set of networks on one device.

    :param record: how to record.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._recorded: OrderedDict[tuple[object, ...], _Recorded] = OrderedDict()
        self.works = True

    def __call__(self, key: tuple[object, ...], function: Callable[[Sequence[Tensor]], Tensor], inputs: Sequence[Tensor]) -> Tensor:
        """``function(inputs)``, by playing it where a call with this key was recorded."""
        if not self.works:
            return function(inputs)
        found = self._recorded.get(key)
        if found is None:
            try:
                found = self._recorded[key] = self._new(function, inputs)
            except RuntimeError as error:
                LOGGER.warning("decoding steps cannot be recorded here and run one by one, which is slower: %s", str(error).splitlines()[0])
                self.works = False
                self._recorded.clear()
                return function(inputs)
            while len(self._recorded) > _MOST:
                self._recorded.popitem(last=False)
        self._recorded.move_to_end(key)
        # what is the same in all steps of a window lies there already
        before = found.last or [None] * len(inputs)
        for to, x, last in zip(found.inputs, inputs, before, strict=True):
            if x is not last:
                to.copy_(x, non_blocking=True)
        found.last = list(inputs)
        found.play()
        return found.output.clone()

    def _new(self, function: Callable[[Sequence[Tensor]], Tensor], inputs: Sequence[Tensor]) -> _Recorded:
        own = [x.clone(memory_format=torch.contiguous_format) for x in inputs]
        return _Recorded(own, *self._record(lambda: function(own)))


def _cuda(device: torch.device) -> Record:
    pools: list[Any] = []

    def record(run: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        with torch.cuda.device(device):
            side, here = torch.cuda.Stream(), torch.cuda.current_stream()
            side.wait_stream(here)
            with torch.cuda.stream(side):
                for _ in range(_WARM):
                    run()
            here.wait_stream(side)
            if not pools:
                pools.append(torch.cuda.graph_pool_handle())
            graph = torch.cuda.CUDAGraph()
            # one pool for all: they are played one after the other, and each result is copied out at once
            with torch.cuda.graph(graph, pool=pools[0]):
                output = run()
        return graph.replay, output

    return record


def player_for(device: str) -> Graphs | None:
    """What plays steps on a device; None where to record them gains nothing."""
    where = torch.device(device)
    return Graphs(_cuda(where)) if where.type == "cuda" else None
