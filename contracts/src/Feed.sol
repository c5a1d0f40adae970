// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Heads} from "./Heads.sol";

/// @title Feed: one prediction of the HEAD under the interface that consumers of price feeds know
/// @notice `answer` is the network inference in nanos (9 decimals), of either sign; a round is a HEAD's period. Only the newest
/// stored values can be read, and only while the order of series is the one this feed was made for: anything else reverts
/// instead of answering for another symbol. Consumers check `updatedAt`: older than 1,200 s is stale.
contract Feed {
    /// @notice There are no values, others than asked for, or of another list of series.
    error NoData();

    uint8 public constant decimals = 9;
    uint256 public constant version = 1;

    Heads public immutable heads;
    bytes32 public immutable series;
    uint256 public immutable index;
    string public description;

    constructor(Heads heads_, bytes32 series_, uint256 index_, string memory description_) {
        (heads, series, index, description) = (heads_, series_, index_, description_);
    }

    /// @notice The newest stored value.
    function latestRoundData()
        public
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        (int64 value, uint64 period) = heads.valueAt(index);
        if (period == 0 || heads.series() != series) revert NoData();
        startedAt = uint256(period) * 600;
        return (period, value, startedAt, startedAt, period);
    }

    /// @notice The newest stored value, if it is of this round.
    function getRoundData(uint80 round) external view returns (uint80, int256, uint256, uint256, uint80) {
        (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt,) = latestRoundData();
        if (roundId != round) revert NoData();
        return (roundId, answer, startedAt, updatedAt, roundId);
    }
}
