# SPDX-License-Identifier: GPL-3.0-or-later
"""One operator a file; every file in here whose name does not begin with an underscore gets registered."""
