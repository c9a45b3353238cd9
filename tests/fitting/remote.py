# SPDX-License-Identifier: Apache-2.0
"""The CPU's engine behind glass, as a GPU's is: what the host holds is spoiled by each step, until it pulls."""

import numpy as np

from backend.kernels.buffers import aligned_copy
from backend.kernels.engine import CpuEngine
from backend.kernels.parameters import AdamState


def device_copy(parameters, adam):
    return parameters.copy(), AdamState(aligned_copy(adam.first), aligned_copy(adam.second))


class RemoteSession:
    """A CpuSession on copies."""

    def __init__(self, engine, parameters, adam, targets, weights, statistics):
        self.host = parameters, adam
        self.device = device_copy(parameters, adam)
        self.inner = engine.begin(*self.device, targets, weights, statistics)
        self.render, self.statistics, self.close = self.inner.render, self.inner.statistics, self.inner.close
        self.retarget = self.inner.retarget

    def _newer_there(self):
        for array in (self.host[0].block, self.host[1].first, self.host[1].second):
            array[:] = np.nan

    def run(self, steps):
        self._newer_there()
        return self.inner.run(steps)

    def decay(self, *arguments):
        self._newer_there()
        self.inner.decay(*arguments)

    def align(self, *arguments):
        self._newer_there()
        self.inner.align(*arguments)

    def wander(self, *arguments):
        self._newer_there()
        self.inner.wander(*arguments)

    def _copy(self, source, target):
        target[0].block[:] = source[0].block
        target[1].first[:], target[1].second[:] = source[1].first, source[1].second

    def pull(self):
        self._copy(self.device, self.host)

    def push(self):
        self._copy(self.host, self.device)

    def pull_shapes(self):
        self.host[0].block[:11] = self.device[0].block[:11]

    def rearrange(self, parameters, adam, source, rested):
        self.host, self.device = (parameters, adam), device_copy(parameters, adam)
        self.inner.rearrange(*self.device, source, rested)
        parameters.block[11:] = np.nan
        adam.first[:] = adam.second[:] = np.nan

    def replace(self, parameters, adam):
        self.host, self.device = (parameters, adam), device_copy(parameters, adam)
        self.inner.replace(*self.device)


class RemoteEngine:
    """Takes steps in groups of seven."""

    name, steps_at_once = "cpu", 7

    def __init__(self, *arguments):
        self.inner = CpuEngine(*arguments)
        self.render, self.describe = self.inner.render, self.inner.describe

    def begin(self, parameters, adam, targets, weights, statistics=False):
        return RemoteSession(self.inner, parameters, adam, targets, weights, statistics)
