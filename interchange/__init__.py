# SPDX-License-Identifier: Apache-2.0
"""What the Blender side and the compute side agree on. Imports neither of them."""
