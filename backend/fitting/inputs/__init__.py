# SPDX-License-Identifier: Apache-2.0
"""What can be fitted: one reader a format, and the choice among them. All give a `Dataset`."""

from .choose import LONGEST, check_own_files, load_cameras, load_input

__all__ = ["LONGEST", "check_own_files", "load_cameras", "load_input"]
