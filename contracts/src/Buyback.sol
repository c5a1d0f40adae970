// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Ledger} from "./Ledger.sol";
import {LTFT} from "./LTFT.sol";
import {Pool} from "./Pool.sol";

/// @title Buyback: buys LTFT in slices that are not worth a sandwich, for the rewards of the next HEADs
/// @notice docs/spec/token.md, section 9, to the wei. Anybody may fund it and anybody may take the next step; nobody can take
/// anything out.
contract Buyback is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    enum Reason {
        Bought,
        NothingLeft,
        TooEarly,
        NoAverage,
        AboveAverage,
        Dust
    }

    /// @notice A term is out of range.
    error OutOfRange();

    event Funded(address indexed from, uint256 quote);
    event Stepped(Reason reason, uint256 spent, uint256 rewarded, uint256 burned);

    uint256 private constant PPM = 1e6;
    uint256 private constant MAX_SLICE = 3000;

    Ledger public immutable ledger;
    LTFT public immutable ltft;
    Pool public immutable pool;
    IERC20 public immutable quote;
    uint256 public immutable slicePpm;
    uint256 public immutable tolerancePpm;
    uint256 public immutable interval;
    uint256 public immutable burnPpm;

    uint256 public budget;
    uint256 public nextTime;

    constructor(
        Ledger ledger_,
        Pool pool_,
        uint256 slicePpm_,
        uint256 tolerancePpm_,
        uint256 interval_,
        uint256 burnPpm_
    ) {
        if (slicePpm_ == 0 || slicePpm_ > MAX_SLICE || tolerancePpm_ >= PPM || interval_ == 0 || burnPpm_ > PPM) {
            revert OutOfRange();
        }
        (ledger, pool, ltft, quote) = (ledger_, pool_, ledger_.token(), pool_.quote());
        if (address(ltft) != address(pool_.ltft())) revert OutOfRange();
        (slicePpm, tolerancePpm, interval, burnPpm) = (slicePpm_, tolerancePpm_, interval_, burnPpm_);
    }

    /// @notice Give quote to be spent.
    function fund(uint256 amount) external nonReentrant {
        budget += amount;
        quote.safeTransferFrom(msg.sender, address(this), amount);
        emit Funded(msg.sender, amount);
    }

    /// @notice Buy the slice that is due, if there is one and the price is right. Anybody may.
    function step() external nonReentrant returns (Reason reason, uint256 spent, uint256 bought) {
        if (budget == 0) return (Reason.NothingLeft, 0, 0);
        if (block.timestamp < nextTime) return (Reason.TooEarly, 0, 0);
        nextTime = block.timestamp + interval;
        uint256 minimum;
        (reason, spent, bought, minimum) = _look();
        if (reason != Reason.Bought) {
            emit Stepped(reason, 0, 0, 0);
            return (reason, 0, 0);
        }
        budget -= spent;
        quote.forceApprove(address(pool), spent);
        bought = pool.buy(spent, minimum, address(this), block.timestamp);
        uint256 burned = bought * burnPpm / PPM;
        uint256 rewarded = bought - burned;
        emit Stepped(Reason.Bought, spent, rewarded, burned);
        if (burned > 0) ltft.burn(burned);
        if (rewarded > 0) {
            IERC20(address(ltft)).forceApprove(address(ledger), rewarded);
            ledger.give(rewarded);
        }
    }

    /// @notice The slice that would be bought now, what it would fetch and the least it may.
    function look() external view returns (Reason reason, uint256 slice, uint256 out, uint256 minimum) {
        if (budget == 0) return (Reason.NothingLeft, 0, 0, 0);
        if (block.timestamp < nextTime) return (Reason.TooEarly, 0, 0, 0);
        return _look();
    }

    function _look() private view returns (Reason, uint256 slice, uint256 out, uint256 minimum) {
        (bool covered, uint256 mean) = pool.tryMean();
        if (!covered) return (Reason.NoAverage, 0, 0, 0);
        (uint112 ltftReserve, uint112 quoteReserve,) = pool.reserves();
        uint256 depth = quoteReserve;
        (uint256 high, uint256 low) = Math.mul512(uint256(ltftReserve) * quoteReserve, 1 << 112);
        // from high = mean on the quotient has more than 256 bits, its root more than any reserve
        if (high < mean) {
            uint256 atMean = Math.sqrt(high == 0 ? low / mean : Math.mulDiv(uint256(ltftReserve) * quoteReserve, 1 << 112, mean));
            if (atMean < depth) depth = atMean;
        }
        uint256 limit = depth * (slicePpm < pool.feePpm() ? slicePpm : pool.feePpm()) / PPM;
        slice = budget < limit ? budget : limit;
        if (slice == 0) return (Reason.Dust, 0, 0, 0);
        out = pool.amountOut(slice, quoteReserve, ltftReserve);
        if (out == 0) return (Reason.Dust, 0, 0, 0);
        minimum = Math.mulDiv(slice * (PPM - tolerancePpm), mean, PPM << 112, Math.Rounding.Ceil);
        if (out < minimum) return (Reason.AboveAverage, 0, 0, 0);
        return (Reason.Bought, slice, out, minimum);
    }
}
