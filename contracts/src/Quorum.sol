// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Domain} from "./Domain.sol";
import {ILedger} from "./Interfaces.sol";
import {Signature} from "./Refusals.sol";

/// @title Quorum: who signed a struct in the ledger's domain
abstract contract Quorum {
    uint256 private constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    ILedger public immutable ledger;
    bytes32 internal immutable salt;

    constructor(ILedger ledger_) {
        ledger = ledger_;
        salt = ledger_.salt();
    }

    /// @notice The signers of a struct.
    /// @param signatures 65 bytes each: r, s in the lower half of the group order, v 27 or 28; in ascending order of the
    /// signers' addresses, so that nobody counts twice.
    function _signers(bytes32 structHash, bytes calldata signatures) internal view returns (address[] memory signers) {
        bytes32 digest = Domain.digest(salt, structHash);
        uint256 count = signatures.length / 65;
        if (signatures.length != 65 * count) revert Signature();
        signers = new address[](count);
        address last = address(0);
        for (uint256 i = 0; i < count; i++) {
            bytes32 r;
            bytes32 s;
            uint256 v;
            assembly ("memory-safe") {
                let place := add(signatures.offset, mul(65, i)) // within: the length is 65 times the count
                r := calldataload(place)
                s := calldataload(add(place, 32))
                v := byte(0, calldataload(add(place, 64)))
            }
            if (uint256(s) > HALF_ORDER) revert Signature();
            address signer = ecrecover(digest, uint8(v), r, s);
            if (signer <= last) revert Signature();
            signers[i] = last = signer;
        }
    }
}
