"""Amounts of every size, and what no amount may be."""

import numpy as np
from hypothesis import strategies as st

#: Not whole numbers of wei, whatever their value.
NOT_WHOLE = [1.0, True, None, "1", np.int64(1), -1, float("nan")]


def amounts(bits, least=1):
    """As many of one size as of any other, from `least` up to 2**bits - 1."""
    sizes = st.integers(max(least, 1).bit_length(), bits)
    return sizes.flatmap(lambda size: st.integers(max(least, 1 << size - 1), (1 << size) - 1))
