// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Fixed: exponential and logarithm with 128 binary places, the same digits as docs/spec/token.md, section 1
library Fixed {
    uint256 internal constant ONE = 1 << 128;
    /// floor(ln 2 * 2**224)
    int256 private constant LN2 = 0xB17217F7D1CF79ABC9E3B39803F2F6AF40F343267298B62D8A0D175B;

    /// @notice e**-x = mantissa / 2**128 / 2**shift, for x of at most 2**144.
    function expNegative(uint256 x) internal pure returns (uint256 mantissa, uint256 shift) {
        unchecked {
            int256 scaled = -(int256(x) << 96);
            int256 k = scaled / LN2;
            if (k * LN2 != scaled && scaled < 0) k--;
            uint256 r = uint256(-int256(x) - ((k * LN2) >> 96));
            uint256 term = ONE;
            for (uint256 n = 1; term != 0; n++) {
                mantissa += term;
                term = term * r / (n << 128);
            }
            return (mantissa, uint256(-k));
        }
    }

    /// @notice ln(above / 2**128) for `above` from 2**128 to 2**129, with 128 binary places.
    function ln(uint256 above) internal pure returns (uint256) {
        unchecked {
            uint256 base = above >> 129 == 0 ? ONE : ONE << 1;
            uint256 power = ((above - base) << 128) / (above + base);
            uint256 square = (power * power) >> 128;
            uint256 total = 0;
            for (uint256 n = 1; power != 0; n += 2) {
                total += power / n;
                power = (power * square) >> 128;
            }
            return 2 * total + (base == ONE ? 0 : uint256(LN2) >> 96);
        }
    }

    /// @notice ln(1 + e**x) for x = size or, if `negative`, -size.
    function softplus(bool negative, uint256 size) internal pure returns (uint256) {
        (uint256 mantissa, uint256 shift) = expNegative(size < 128 * ONE ? size : 128 * ONE);
        uint256 tail = ln(ONE + (mantissa >> shift));
        return negative ? tail : size + tail;
    }
}
