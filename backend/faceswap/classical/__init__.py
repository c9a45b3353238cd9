# SPDX-License-Identifier: Apache-2.0
"""The classical swap, view by view: landmarks, a warp, a colour transfer, a pyramid paste. No weights, no learning.

What everybody did before networks, as a baseline and as an input of the consistency stage; better than most in one
thing: its landmarks come from the mesh, so that it never loses a face.
"""
