// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Domain: where a signature is valid: one chain, as it calls itself now, and one ledger
library Domain {
    bytes32 private constant TYPE = keccak256("EIP712Domain(string name,string version,uint256 chainId,bytes32 salt)");

    /// @notice The separator of the domain of EIP-712.
    function separator(bytes32 salt) internal view returns (bytes32) {
        return keccak256(abi.encode(TYPE, keccak256("longtail"), keccak256("1"), block.chainid, salt));
    }

    /// @notice What is signed for a struct in a domain.
    function digest(bytes32 domain, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }
}
