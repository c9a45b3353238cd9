# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of the service is made of."""
