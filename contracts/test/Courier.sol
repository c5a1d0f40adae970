// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Calls what it is told to: a contract between somebody and the ledger, and the code of an account that delegates (EIP-7702).
contract Courier {
    function carry(address to, bytes calldata data) external {
        (bool done, bytes memory answer) = to.call(data);
        if (done) return;
        assembly ("memory-safe") {
            revert(add(answer, 32), mload(answer))
        }
    }
}
