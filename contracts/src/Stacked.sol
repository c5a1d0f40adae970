// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Malformed, Signature} from "./Refusals.sol";

/// @title Stacked: several signatures of one struct, one behind the other
/// @dev 65 bytes each: r, s in the lower half of the group order, v 27 or 28.
library Stacked {
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    /// As many as an event of the ledger may have.
    uint256 private constant MOST = 500;

    /// @notice How many there are.
    function count(bytes calldata signatures) internal pure returns (uint256 number) {
        if (signatures.length % 65 != 0) revert Signature();
        number = signatures.length / 65;
        if (number > MOST) revert Malformed();
    }

    /// @notice Who made signature `i`, which must be there; 0 if nobody can have made it.
    function signer(bytes32 digest, bytes calldata signatures, uint256 i) internal pure returns (address) {
        bytes32 r;
        bytes32 s;
        uint256 v;
        assembly ("memory-safe") {
            let place := add(signatures.offset, mul(65, i))
            r := calldataload(place)
            s := calldataload(add(place, 32))
            v := byte(0, calldataload(add(place, 64)))
        }
        return uint256(s) > HALF_ORDER ? address(0) : ecrecover(digest, uint8(v), r, s);
    }
}
