# SPDX-License-Identifier: Apache-2.0
"""SSIM (Wang et al. 2004) of two pictures for measuring, not for training: `cpu` for use, `reference` for tests."""

from .cpu import box_of_content, similarity_sums

__all__ = ["box_of_content", "similarity_sums"]
