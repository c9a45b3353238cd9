# SPDX-License-Identifier: Apache-2.0
"""What is done to splats between steps, each by itself and without a gradient: decay, the turn towards the surface that
a splat was born on, and noise. `cpu` is the compiled kernel, `reference` the same in plain numpy.
"""

from .cpu import DEAD_OPACITY, align, columns_on, decay, wander

__all__ = ["DEAD_OPACITY", "align", "columns_on", "decay", "wander"]
