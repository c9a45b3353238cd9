# SPDX-License-Identifier: Apache-2.0
"""Views that were swapped one by one, made into one skin that all of them show.

    views ─ swapper ─▶ swapped ─ observations ─▶ texels ─ alignment, colours, fusion ─▶ one skin ─ views.py ─▶ new views

per_view: runs the swapper and keeps its pictures. observations: what each says about the skin's texels, by the known
depth. alignment: moves each view's skin to where all agree. colours: one gain and bias a view. fusion: a robust mean,
detail from the best view. stage: all of it in order.
"""
