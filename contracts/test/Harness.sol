// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Fixed} from "../src/Fixed.sol";
import {Keys} from "../src/Keys.sol";
import {Merkle} from "../src/Merkle.sol";
import {Text} from "../src/Text.sol";

/// The libraries, callable, for tests.
contract Harness {
    function hexWord(bytes32 word) external pure returns (bytes memory) {
        (bytes32 high, bytes32 low) = Text.hexWord(word);
        return bytes.concat(high, low);
    }

    function isSlug(string calldata text) external pure returns (bool) {
        return Text.isSlug(text);
    }

    function isUtf8(bytes calldata text) external pure returns (bool) {
        return Text.isUtf8(text);
    }

    function proof(uint256 index, uint256 size, bytes32[] calldata path) external pure returns (string memory) {
        return string(Text.proof(index, size, path));
    }

    function verify(bytes32 root, uint256 size, bytes calldata data, uint256 index, bytes32[] calldata path)
        external
        view
        returns (bool)
    {
        return Merkle.verify(root, size, data, index, path);
    }

    function expNegative(uint256 x) external pure returns (uint256, uint256) {
        return Fixed.expNegative(x);
    }

    function ln(uint256 above) external pure returns (uint256) {
        return Fixed.ln(above);
    }

    function softplus(bool negative, uint256 size) external pure returns (uint256) {
        return Fixed.softplus(negative, size);
    }

    function addressOf(bytes calldata key) external view returns (address) {
        return Keys.addressOf(key);
    }

    function cosmos(bytes calldata key) external pure returns (string memory) {
        return Keys.cosmos(key);
    }

    function signed(address account, bytes calldata message, bytes calldata signature) external pure returns (bool) {
        return Keys.signed(account, message, signature);
    }
}
