# SPDX-License-Identifier: Apache-2.0
"""The performer's eye colour on the avatar's eyes: find the avatar's irises, measure the performer's, carry it over."""

from .exchange import EyeExchange
from .making import MadeEyes, make_eyes

__all__ = ["EyeExchange", "MadeEyes", "make_eyes"]
