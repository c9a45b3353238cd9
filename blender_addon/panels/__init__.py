# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar tab "Digidouble", one panel a file, in the order of the work: `order` in _base.py."""
