# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work as state machines: a timer steps them in the window, a loop without one."""
