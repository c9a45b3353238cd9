# SPDX-License-Identifier: Apache-2.0
"""What a picture says about points in space: `cpu` for use, `reference` (numpy) for tests, same names."""

from .cpu import look_up

__all__ = ["look_up"]
