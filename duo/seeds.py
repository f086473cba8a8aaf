"""Random streams: one seed for an experiment, an independent stream for every purpose in it."""

import zlib

import numpy as np


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator that depends on the seed and on the words of its purpose, and on nothing else.

    stream(1, "oracle", 4) and stream(1, "oracle", 5) are independent; each is the same in every process.
    """
    words = [zlib.crc32(str(word).encode()) for word in purpose]
    return np.random.default_rng([seed, *words])
