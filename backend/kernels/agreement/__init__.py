# SPDX-License-Identifier: Apache-2.0
"""How a picture and a render agree, pixel by pixel: what a change of colours is solved from, and residuals. Each kernel
runs on one thread without the interpreter's lock, so that threads can take a view each. `reference`: in plain numpy.
"""

from .cpu import affine_sums, count_bits, matched, residual

__all__ = ["affine_sums", "count_bits", "matched", "residual"]
