# SPDX-License-Identifier: Apache-2.0
"""What pictures say about points in space: `cpu` and `sums` for use, `reference` (numpy) for tests, same names."""

from .cpu import look_up
from .sums import add_colours, add_equations, sum_neighbours

__all__ = ["add_colours", "add_equations", "look_up", "sum_neighbours"]
