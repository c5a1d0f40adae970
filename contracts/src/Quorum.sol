// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ILedger} from "./Interfaces.sol";
import {NoQuorum, Signature} from "./Refusals.sol";

/// @title Quorum: more than two thirds of the validators' stake signed the same digest
abstract contract Quorum {
    ILedger public immutable ledger;

    constructor(ILedger ledger_) {
        ledger = ledger_;
    }

    /// @notice Refuse a digest unless validators with more than two thirds of the stake signed it.
    /// @param signatures 65 bytes each, in ascending order of the signers' addresses, so that nobody counts twice.
    function _checkQuorum(bytes32 digest, bytes calldata signatures) internal view {
        if (signatures.length % 65 != 0) revert Signature();
        uint256 count = signatures.length / 65;
        address[] memory signers = new address[](count);
        address last = address(0);
        for (uint256 i = 0; i < count; i++) {
            bytes calldata one = signatures[65 * i:65 * (i + 1)];
            (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecoverCalldata(digest, one);
            if (problem != ECDSA.RecoverError.NoError || signer <= last) revert Signature();
            signers[i] = last = signer;
        }
        uint256[] memory stakes = ledger.votesOf(signers);
        (uint256 all,) = ledger.votes();
        uint256 stake = 0;
        for (uint256 i = 0; i < count; i++) {
            stake += stakes[i];
        }
        if (stake * 3 <= all * 2) revert NoQuorum();
    }
}
