# SPDX-License-Identifier: Apache-2.0
"""The compute side: swap, fit, evaluation, service, command line. No bpy."""

import os

# Threads that wait for the next kernel spin for a while by default. On a machine whose cores are shared with a render
# or another job that stretches a fit three times over; a short spin costs nothing measurable where the cores are free.
# The OpenMP runtime reads this once, when Numba loads it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
