// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// What the ledger refuses. A name is the code of docs/spec/ledger.md, section 10, in capitals: NoAccount is `no-account`.
// Whoever sees a revert turns its selector into the code; tests compare them with the Python ledger's.

error Malformed();
error Oversized();
error Signature();
error NoAccount(address account);
error Nonce(uint256 expected);
error Registered();
error Identity();
error Funds();
error ReportsOpen();
error CommitmentUsed();
error NoCommitment();
error WrongOpening();
error WrongTopic();
error Duplicate();
error NotValidator();
error NoSubject();
error Closed();
error TooEarly();
error AlreadyCommitted();
error CommitsClosed();
error NotCommitted();
error AlreadyRevealed();
error WrongNumber();
error WrongParent();
error WrongPeriod();
error NoQuorum();
error WrongRewards();
error WrongClaim();
error Claimed();

// Of the chain alone.

/// More fell due than one transaction may work through: call `advance` first.
error Behind();
/// The caller may not do this: it is not the contract, or for a HEAD no account without code, that may.
error NotAllowed();
/// The contracts do not fit each other: deploy them together.
error Misdeployed();
