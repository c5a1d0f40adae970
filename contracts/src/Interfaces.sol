// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @title What the ledger does for the contracts that were deployed with it, and for readers
interface ILedger {
    /// @notice Check an event's signature, account and nonce, let time pass first, number it and log it. Modules only.
    /// @param sender Who called the module; without a signature it must be the author.
    function record(
        bytes32 kind,
        address author,
        uint256 nonce,
        address sender,
        bytes32 structHash,
        bytes calldata body,
        bytes calldata signature
    ) external returns (uint64 number);

    /// @notice The same for a claim of `total` since the genesis, and pay what is not paid yet. Modules only.
    /// @param proven Whether the total is under the newest HEAD.
    function recordClaim(
        address author,
        uint256 nonce,
        address sender,
        bytes32 structHash,
        uint256 total,
        bool proven,
        bytes calldata body,
        bytes calldata signature
    ) external;

    /// @notice The same for a HEAD, which its author brings, and whether a quorum has signed the struct. Modules only.
    function recordStamp(
        address author,
        uint256 nonce,
        bytes32 structHash,
        bytes calldata body,
        bytes calldata signatures
    ) external returns (uint256 number, bool quorum);

    /// @notice Take from, or add to, a balance. Modules only.
    function charge(address account, uint256 amount) external;
    function pay(address account, uint256 amount) external;
    function toPool(uint256 amount) external;

    /// @notice Count reports that an account committed to and has not revealed. Modules only.
    function owe(address account) external;
    function settle(address account) external;

    /// @notice Take the penalty for a report that was not revealed out of a stake. Modules only.
    function fine(address account) external;

    /// @notice Something falls due at `time`. Modules only.
    function remind(uint64 time) external;

    /// @notice Let deposits, then new money, stand for what a HEAD pays. Modules only.
    function reward(uint256 period, uint256 amount) external;

    /// @notice Voting stake of each account, 0 for those that are no validators.
    function votesOf(address[] calldata accounts) external view returns (uint256[] memory);

    /// @notice Voting stake of all validators, and how many they are.
    function votes() external view returns (uint256 stake, uint256 count);

    /// @notice Whether validators with more than two thirds of the stake have signed a struct in the ledger's domain.
    /// @param signatures 500 at most, 65 bytes each: r, s in the lower half of the group order, v 27 or 28; in ascending order of the
    /// signers' addresses, so that nobody counts twice. Those without voting stake count nothing.
    function isQuorum(bytes32 structHash, bytes calldata signatures) external view returns (bool);

    /// @notice The hash of the genesis, which names the ledger.
    function salt() external view returns (bytes32);

    /// @notice Number of the last record.
    function height() external view returns (uint64);
}

/// @title What time alone does in a module
interface IDue {
    /// @notice Do what fell due, at most `steps` of it; ledger only.
    /// @return left Steps not used.
    /// @return next When the next thing falls due.
    function fallDue(uint256 steps) external returns (uint256 left, uint64 next);
}

/// @title What the token tells the ledger and takes from it
interface ILedgerOfToken {
    /// @notice LTFT outside of the ledger was given up.
    function outside(bytes32 kind, uint256 amount) external;
}
