# SPDX-License-Identifier: Apache-2.0
"""The report of a double: one HTML file that opens by double click and needs nothing else."""

from .write import write_report

__all__ = ["write_report"]
