"""Allora's inference synthesis and incentives, one module per part of the white paper (equations 1-58).

Every logarithm of a loss is base 10; natural logarithms appear only in equations 6, 35 and 38. An absent value is NaN.
"""
