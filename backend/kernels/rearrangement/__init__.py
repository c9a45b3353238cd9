# SPDX-License-Identifier: Apache-2.0
"""Splats added, dropped, copied and put in another order: what a new column does not bring comes from an old one."""

from .cpu import check_source, fill

__all__ = ["check_source", "fill"]
