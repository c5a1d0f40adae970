// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Text} from "./Text.sol";

/// @title Keys: that a public key, a Cosmos address and two signatures belong to one account
library Keys {
    uint256 private constant FIELD = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F;
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    bytes private constant SIGNS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

    /// @notice The address of a compressed public key; 0 if it is no point of secp256k1.
    function addressOf(bytes calldata key) internal view returns (address) {
        if (key.length != 33 || (key[0] != 0x02 && key[0] != 0x03)) return address(0);
        uint256 x = uint256(bytes32(key[1:]));
        if (x >= FIELD) return address(0);
        uint256 square = addmod(mulmod(mulmod(x, x, FIELD), x, FIELD), 7, FIELD);
        uint256 y = _power(square, (FIELD + 1) / 4);
        if (mulmod(y, y, FIELD) != square) return address(0);
        if (y & 1 != uint8(key[0]) & 1) y = FIELD - y;
        return address(uint160(uint256(keccak256(abi.encode(x, y)))));
    }

    /// @notice Whether the owner of `account` signed the SHA-256 of `message` as Cosmos does: r and s, s in the lower half.
    function signed(address account, bytes memory message, bytes calldata signature) internal pure returns (bool) {
        if (signature.length != 64) return false;
        bytes32 r = bytes32(signature[:32]);
        bytes32 s = bytes32(signature[32:]);
        if (uint256(s) > HALF_ORDER) return false;
        bytes32 digest = sha256(message);
        return ecrecover(digest, 27, r, s) == account || ecrecover(digest, 28, r, s) == account;
    }

    /// @notice The Cosmos address of a compressed key: bech32 of ripemd160(sha256(key)) under `cosmos`.
    function cosmos(bytes calldata key) internal pure returns (string memory) {
        bytes20 data = ripemd160(bytes.concat(sha256(key)));
        bytes memory text = bytes.concat("cosmos1", new bytes(38));
        bytes memory prefix = "cosmos";
        uint256 check = 1;
        for (uint256 i = 0; i < 6; i++) {
            check = _step(check, uint8(prefix[i]) >> 5);
        }
        check = _step(check, 0);
        for (uint256 i = 0; i < 6; i++) {
            check = _step(check, uint8(prefix[i]) & 31);
        }
        for (uint256 i = 0; i < 32; i++) {
            uint256 word = (uint160(data) >> (155 - 5 * i)) & 31;
            check = _step(check, word);
            text[7 + i] = SIGNS[word];
        }
        for (uint256 i = 0; i < 6; i++) {
            check = _step(check, 0);
        }
        check ^= 1;
        for (uint256 i = 0; i < 6; i++) {
            text[39 + i] = SIGNS[(check >> (25 - 5 * i)) & 31];
        }
        return string(text);
    }

    function _step(uint256 check, uint256 word) private pure returns (uint256) {
        uint256 top = check >> 25;
        check = ((check & 0x1FFFFFF) << 5) ^ word;
        if (top & 1 != 0) check ^= 0x3B6A57B2;
        if (top & 2 != 0) check ^= 0x26508E6D;
        if (top & 4 != 0) check ^= 0x1EA119FA;
        if (top & 8 != 0) check ^= 0x3D4233DD;
        if (top & 16 != 0) check ^= 0x2A1462B3;
        return check;
    }

    /// base ** exponent modulo the field, by the precompile of EIP-198.
    function _power(uint256 base, uint256 exponent) private view returns (uint256) {
        (bool done, bytes memory result) =
            address(5).staticcall(abi.encode(uint256(32), uint256(32), uint256(32), base, exponent, FIELD));
        return done ? abi.decode(result, (uint256)) : 0;
    }
}
