# SPDX-License-Identifier: Apache-2.0
"""Adam (Kingma & Ba 2015), fused into the projection's backward pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import kernel
from ..simd import get, load, select, square_root, store

BETA1 = np.float32(0.9)
BETA2 = np.float32(0.999)
EPSILON = np.float32(1e-15)
_ONE = np.float32(1)


@kernel
def adam_update(
    values: Any, first: Any, second: Any, index: int, gradient: Any, rate: Any, corrections: Any, mask: Any
) -> None:
    """One step for the vector of values at `index`, in the lanes of `mask`; the others keep value and moments.

    corrections: 1 / (1 - BETA1^t) and 1 / (1 - BETA2^t), t the iteration from 1.
    """
    value, m, v = load(values, index), load(first, index), load(second, index)
    new_m = m * BETA1 + gradient * (_ONE - BETA1)
    new_v = v * BETA2 + gradient * gradient * (_ONE - BETA2)
    step = new_m * (rate * get(corrections, 0)) / (square_root(new_v * get(corrections, 1)) + EPSILON)
    store(values, index, select(mask, value - step, value))
    store(first, index, select(mask, new_m, m))
    store(second, index, select(mask, new_v, v))
