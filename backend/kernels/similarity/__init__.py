# SPDX-License-Identifier: Apache-2.0
"""SSIM (Wang et al. 2004) of two pictures for measuring, not for training: `cpu` for use, `reference` for tests."""

from .cpu import similarity_sums

__all__ = ["similarity_sums"]
