// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";

/// @title Text: the canonical JSON of the ledger's bodies, so that contracts and Python hash the same bytes
library Text {
    /// The highest bit of each byte.
    uint256 private constant HIGH = 0x8080808080808080808080808080808080808080808080808080808080808080;

    /// @notice The 64 lower-case hex digits of a word, in two words.
    function hexWord(bytes32 word) internal pure returns (bytes32 high, bytes32 low) {
        high = _digits(uint256(word) >> 128);
        low = _digits(uint256(word) & type(uint128).max);
    }

    /// @notice The lower-case hex digits of some bytes, without 0x.
    function hexBytes(bytes memory data) internal pure returns (bytes memory text) {
        bytes16 digits = "0123456789abcdef";
        text = new bytes(2 * data.length);
        for (uint256 i = 0; i < data.length; i++) {
            text[2 * i] = digits[uint8(data[i]) >> 4];
            text[2 * i + 1] = digits[uint8(data[i]) & 15];
        }
    }

    /// @notice keccak256 of a part of the call's data, which is copied to where the next memory begins and no further.
    function keccak(bytes calldata data) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            let place := mload(0x40)
            calldatacopy(place, data.offset, data.length)
            digest := keccak256(place, data.length)
        }
    }

    /// @notice A word as a JSON text: 64 hex digits between quotes.
    function quoted(bytes32 word) internal pure returns (bytes memory) {
        (bytes32 high, bytes32 low) = hexWord(word);
        return bytes.concat('"', high, low, '"');
    }

    /// @notice A number of either sign as JSON.
    function number(int256 value) internal pure returns (bytes memory) {
        return bytes(Strings.toStringSigned(value));
    }

    /// @notice A number as JSON.
    function number(uint256 value) internal pure returns (bytes memory text) {
        // digits from the right into 96 fresh bytes behind a word for the length, which then is put before the first digit
        assembly ("memory-safe") {
            let end := add(mload(0x40), 128)
            let place := end
            for {} 1 {} {
                place := sub(place, 1)
                mstore8(place, add(48, mod(value, 10)))
                value := div(value, 10)
                if iszero(value) { break }
            }
            text := sub(place, 32)
            mstore(text, sub(end, place))
            mstore(0x40, end)
        }
    }

    /// @notice Where a text is written from; the functions below write and say where they ended. It must have been made longer than
    /// all that is written, by 160 bytes at least.
    function start(bytes memory text) internal pure returns (uint256 place) {
        assembly ("memory-safe") {
            place := add(text, 32)
        }
    }

    /// @notice Cut a text where it was written to.
    function cut(bytes memory text, uint256 place) internal pure {
        assembly ("memory-safe") {
            mstore(text, sub(sub(place, text), 32))
        }
    }

    /// @notice Write the first `length` bytes of a word.
    function put(uint256 place, bytes32 word, uint256 length) internal pure returns (uint256) {
        assembly ("memory-safe") {
            mstore(place, word)
        }
        unchecked {
            return place + length;
        }
    }

    /// @notice Write the 64 digits of a word.
    function putHex(uint256 place, bytes32 word) internal pure returns (uint256) {
        (bytes32 high, bytes32 low) = hexWord(word);
        assembly ("memory-safe") {
            mstore(place, high)
            mstore(add(place, 32), low)
        }
        unchecked {
            return place + 64;
        }
    }

    /// @notice Write a number.
    function putNumber(uint256 place, uint256 value) internal pure returns (uint256) {
        // digits from the right into the room ahead, then moved to their place
        assembly ("memory-safe") {
            let last := add(place, 160)
            let digit := last
            for {} 1 {} {
                digit := sub(digit, 1)
                mstore8(digit, add(48, mod(value, 10)))
                value := div(value, 10)
                if iszero(value) { break }
            }
            let width := sub(last, digit)
            mcopy(place, digit, width)
            place := add(place, width)
        }
        return place;
    }

    /// @notice Write a text as it is.
    function putText(uint256 place, string calldata text) internal pure returns (uint256) {
        assembly ("memory-safe") {
            calldatacopy(place, text.offset, text.length)
        }
        unchecked {
            return place + bytes(text).length;
        }
    }

    /// @notice The JSON of a Merkle proof, as a claim signs it.
    function proof(uint256 index, uint256 size, bytes32[] calldata path) internal pure returns (bytes memory text) {
        text = bytes.concat('{"index":', number(index), ',"path":[');
        for (uint256 i = 0; i < path.length; i++) {
            text = i == 0 ? bytes.concat(text, quoted(path[i])) : bytes.concat(text, ",", quoted(path[i]));
        }
        text = bytes.concat(text, '],"size":', number(size), "}");
    }

    /// @notice Whether a text is a slug: a-z, 0-9 and '-', at most 63, not beginning with '-'.
    function isSlug(string calldata text) internal pure returns (bool) {
        bytes calldata signs = bytes(text);
        if (signs.length == 0 || signs.length > 63 || signs[0] == "-") return false;
        for (uint256 i = 0; i < signs.length; i++) {
            bytes1 sign = signs[i];
            if (!((sign >= "a" && sign <= "z") || (sign >= "0" && sign <= "9") || sign == "-")) return false;
        }
        return true;
    }

    /// @notice Whether bytes are UTF-8: table 3-7 of the Unicode standard, so neither longer than need be nor a surrogate.
    function isUtf8(bytes calldata text) internal pure returns (bool) {
        unchecked {
            uint256 i = 0;
            while (i < text.length) {
                uint256 word = _word(text, i);
                if (word & HIGH == 0) {
                    i += 32; // ASCII, and so is what may lie behind the end
                    continue;
                }
                if (word >> 248 < 0x80) {
                    i += 1;
                    continue;
                }
                if (word >> 248 < 0xE0) {
                    uint256 two = word >> 240;
                    if (two & 0xC0 != 0x80 || two < 0xC280) return false;
                    i += 2;
                } else if (word >> 248 < 0xF0) {
                    uint256 three = word >> 232;
                    if (three & 0xC0C0 != 0x8080 || three < 0xE0A080) return false;
                    if (three >= 0xEDA080 && three < 0xEE8080) return false;
                    i += 3;
                } else {
                    uint256 four = word >> 224;
                    if (four & 0xC0C0C0 != 0x808080 || four < 0xF0908080 || four > 0xF48FBFBF) return false;
                    i += 4;
                }
                if (i > text.length) return false;
            }
            return true;
        }
    }

    /// The 32 bytes from `i` on; behind the end, whatever follows.
    function _word(bytes calldata data, uint256 i) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(data.offset, i))
        }
    }

    /// Sixteen bytes become 32 digits: spread the nibbles over the bytes, then add '0', and 39 more from ten on.
    function _digits(uint256 x) private pure returns (bytes32) {
        unchecked {
            x = (x | (x << 64)) & 0x0000000000000000FFFFFFFFFFFFFFFF0000000000000000FFFFFFFFFFFFFFFF;
            x = (x | (x << 32)) & 0x00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF00000000FFFFFFFF;
            x = (x | (x << 16)) & 0x0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF0000FFFF;
            x = (x | (x << 8)) & 0x00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF00FF;
            x = (x | (x << 4)) & 0x0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F;
            uint256 letters = (x + 0x0606060606060606060606060606060606060606060606060606060606060606) >> 4;
            letters &= 0x0101010101010101010101010101010101010101010101010101010101010101;
            return bytes32(x + 0x3030303030303030303030303030303030303030303030303030303030303030 + 39 * letters);
        }
    }
}
