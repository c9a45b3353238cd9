# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting any character ready for a capture: its parts, what is wrong with them, landmarks, the face region."""
