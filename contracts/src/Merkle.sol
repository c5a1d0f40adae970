// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title Merkle: proofs in the tree of RFC 9162, section 2.1, over SHA-256; docs/spec/head.md, section 4
/// @dev A leaf is hashed behind 0x00 and a node behind 0x01, so a 64-byte node never passes for a leaf. The size published
/// with a root is part of what is checked.
library Merkle {
    /// Root of no leaves: SHA-256 of nothing.
    bytes32 internal constant EMPTY = 0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855;

    /// @notice Whether `data` is leaf `index` of the tree of `size` leaves with this root.
    function verify(bytes32 root, uint256 size, bytes memory data, uint256 index, bytes32[] calldata path)
        internal
        view
        returns (bool)
    {
        (bool fits, bytes32 found) = rootOf(size, data, index, path);
        return fits && found == root;
    }

    /// @notice The root of the tree of `size` leaves in which `data` is leaf `index` with the siblings `path`, and whether the path
    /// is as long as it must be there.
    function rootOf(uint256 size, bytes memory data, uint256 index, bytes32[] calldata path)
        internal
        view
        returns (bool fits, bytes32 digest)
    {
        if (index >= size) return (false, 0);
        unchecked {
            uint256 last = size - 1;
            digest = sha256(bytes.concat(hex"00", data));
            for (uint256 i = 0; i < path.length; i++) {
                if (last == 0) return (false, 0);
                bytes32 left = _sibling(path, i);
                bytes32 right = digest;
                if (index & 1 == 0) {
                    if (index != last) {
                        (left, right) = (right, left);
                    } else {
                        do {
                            index >>= 1; // last moves up without a sibling; it is not 0
                            last >>= 1;
                        } while (index & 1 == 0);
                    }
                }
                digest = _node(left, right);
                index >>= 1;
                last >>= 1;
            }
            fits = last == 0;
        }
    }

    /// The part of a path at `i`, which must be there.
    function _sibling(bytes32[] calldata path, uint256 i) private pure returns (bytes32 sibling) {
        assembly ("memory-safe") {
            sibling := calldataload(add(path.offset, shl(5, i)))
        }
    }

    /// sha256(0x01 ‖ left ‖ right), by the precompile without taking new memory.
    function _node(bytes32 left, bytes32 right) private view returns (bytes32 digest) {
        assembly ("memory-safe") {
            let place := mload(0x40)
            mstore8(place, 1)
            mstore(add(place, 1), left)
            mstore(add(place, 33), right)
            if iszero(staticcall(gas(), 2, place, 65, 0, 32)) { revert(0, 0) }
            digest := mload(0)
        }
    }
}
