# SPDX-License-Identifier: Apache-2.0
"""Two keys as six words, to be compared by eye or over the telephone: both sides of a pairing show the same.

The words stand for the first 48 bits of BLAKE2b (personalised) over the server's and the device's public keys. Whoever
wants to get between the two must find a key of his own with the same words, 2^48 tries, while the pairing waits.
"""

from __future__ import annotations

import hashlib

WORDS = 6

_LIST = """
acorn actor agate album alley almond anchor ankle apple apron arch arrow aspen atlas attic badge bagel baker
balcony bamboo banjo barley basil basket beach beaver beetle bell bicycle birch biscuit blanket boat bonfire
book bottle boulder bracelet brass bread brick bridge brush bucket butter cabin cable cactus camel candle canoe
canyon carpet carrot castle cedar cellar chalk cherry chimney cider cinema circus clay clock cloud clover cobalt
coconut comet copper coral corner cotton cradle crater cricket crystal cushion daisy dance delta desert diamond
dolphin donkey dragon drum eagle easel echo elbow elephant ember engine fabric falcon feather fennel fern ferry
fiddle flag flame flask flower flute forest fossil garden garlic ginger giraffe glacier glass glove goblet
granite grape guitar hammer harbour harp hazel hedge helmet heron hill honey horizon horse hotel igloo island
ivory jacket jaguar jasmine jelly jigsaw jungle kayak kettle kitchen kite koala ladder lagoon lake lantern lemon
library lilac lizard lobster lotus magnet mango maple marble meadow melon mirror monsoon mosaic mountain muffin
museum mustard nectar needle nest nickel novel nutmeg oasis ocean octopus olive onion opal orange orchid otter
oven oyster palace panda paper pebble pelican pencil pepper piano pillow planet plum pony poppy potato prairie
pumpkin puzzle quartz quilt rabbit radio raft rainbow raven ribbon river robin rocket saddle saffron sail salmon
sandal satin saturn shadow shell silver sketch spider spoon squash statue summer taxi teapot temple thistle
thunder ticket tiger toast tomato topaz torch trumpet tulip tunnel turtle umbrella vanilla vase velvet violin
volcano waffle walnut whale winter zebra
"""
WORD_LIST = tuple(_LIST.split())
"""256 plain English words of four letters or more; no two begin with the same four, or differ in one letter only."""


def fingerprint(server_key: str, device_key: str) -> str:
    """Six words for two public keys (Z85 text)."""
    text = f"{server_key} {device_key}".encode("ascii")
    digest = hashlib.blake2b(text, digest_size=WORDS, person=b"dd-fingerprint").digest()
    return " ".join(WORD_LIST[byte] for byte in digest)
