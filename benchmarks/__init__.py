# SPDX-License-Identifier: Apache-2.0
"""One command for each figure that we quote: `python -m benchmarks NAME --json FILE`."""
