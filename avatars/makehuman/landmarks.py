# SPDX-License-Identifier: Apache-2.0
"""Where the 68 iBUG / Multi-PIE landmarks lie on the HM08 base mesh, as vertex ids.

Chosen on wireframes of the neutral head: eyes on the lids' outer rims, lips on the vermilion border (the ring where
the data's own lip mask falls to one half) and on the seam, jaw along the lower jaw's edge. Left and right mirror.
"""

from __future__ import annotations

BASE_LANDMARKS = (
    5402, 868, 869, 5241, 893, 3697, 922, 5292, 5225,  # jaw, from the character's right ear to the chin
    11898, 7624, 10365, 7595, 11850, 7574, 7573, 12001,  # chin to the left ear
    207, 206, 204, 205, 209, 6984, 6980, 6979, 6981, 6982,  # right brow from outside, left brow from inside
    133, 131, 201, 297, 358, 314, 343, 7077, 7119,  # nose
    21, 0, 54, 67, 47, 36, 6851, 6838, 6784, 6805, 6820, 6831,  # right eye, left eye
    425, 410, 450, 455, 7210, 7170, 7185, 7166, 7241, 492, 486, 406,  # lips, outer outline
    3733, 470, 474, 7226, 10401, 7236, 493, 481,  # lips, seam
)  # fmt: skip
"""68 vertex ids of the base mesh; landmark 0 is the jaw at the character's right ear (left in the picture)."""
