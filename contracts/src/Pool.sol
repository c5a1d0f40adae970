// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title Pool: the market of LTFT, a constant product with a time-weighted average
/// @notice docs/spec/token.md, section 4, to the wei. All of what is paid in stays; the product of the reserves never falls.
/// Liquidity is put in once and cannot be taken out. Tokens sent here without a trade belong to nobody and change no price.
/// Both tokens must move exactly what they are asked to: no fee on transfer, no rebase.
contract Pool is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice The trade would fetch less than asked for, or nothing.
    error TooLittle(uint256 out);
    /// @notice An amount or reserve leaves 1 to 2**112 - 1, or the ratio of the reserves 2**-88 to 2**88.
    error OutOfRange();
    /// @notice It is later than the trader wanted.
    error Expired();
    /// @notice There is liquidity already, or none yet.
    error Opened();
    /// @notice The average does not cover its window yet.
    error NoAverage();

    event Traded(address indexed trader, int256 ltft, int256 quote);

    uint256 private constant PPM = 1e6;
    uint256 private constant MAX = type(uint112).max;
    uint256 private constant PLACES = 112;

    IERC20 public immutable ltft;
    IERC20 public immutable quote;
    uint256 public immutable feePpm;
    uint256 public immutable window;
    /// @notice Points kept. There is no average while as many trades, each in another second, fit into a window.
    uint256 public immutable ring;

    struct Reserves {
        uint112 ltft;
        uint112 quote;
        uint32 points;
    }

    Reserves public reserves;
    /// Time in the upper 40 bits, sum of LTFT per quote times seconds in the rest, which may wrap.
    mapping(uint256 place => uint256) private _points;

    constructor(IERC20 ltft_, IERC20 quote_, uint256 feePpm_, uint256 window_, uint256 ring_) {
        if (feePpm_ >= PPM || window_ == 0 || ring_ < 2 || ring_ > type(uint32).max || address(ltft_) == address(quote_)) revert OutOfRange();
        (ltft, quote, feePpm, window, ring) = (ltft_, quote_, feePpm_, window_, ring_);
    }

    /// @notice Put in the liquidity, once. Whoever does gets nothing for it.
    function open(uint256 ltftIn, uint256 quoteIn) external nonReentrant {
        if (reserves.points != 0) revert Opened();
        if (ltftIn == 0 || quoteIn == 0) revert OutOfRange();
        reserves = _checked(ltftIn, quoteIn, 1);
        _points[0] = block.timestamp << 216;
        ltft.safeTransferFrom(msg.sender, address(this), ltftIn);
        quote.safeTransferFrom(msg.sender, address(this), quoteIn);
        emit Traded(msg.sender, int256(ltftIn), int256(quoteIn));
    }

    /// @notice Pay quote for LTFT.
    function buy(uint256 quoteIn, uint256 minimumOut, address to, uint256 deadline)
        external
        nonReentrant
        returns (uint256 out)
    {
        Reserves memory now_ = reserves;
        out = amountOut(quoteIn, now_.quote, now_.ltft);
        _trade(now_, now_.ltft - out, now_.quote + quoteIn, out, minimumOut, deadline);
        quote.safeTransferFrom(msg.sender, address(this), quoteIn);
        ltft.safeTransfer(to, out);
        emit Traded(msg.sender, -int256(out), int256(quoteIn));
    }

    /// @notice Pay LTFT for quote.
    function sell(uint256 ltftIn, uint256 minimumOut, address to, uint256 deadline)
        external
        nonReentrant
        returns (uint256 out)
    {
        Reserves memory now_ = reserves;
        out = amountOut(ltftIn, now_.ltft, now_.quote);
        _trade(now_, now_.ltft + ltftIn, now_.quote - out, out, minimumOut, deadline);
        ltft.safeTransferFrom(msg.sender, address(this), ltftIn);
        quote.safeTransfer(to, out);
        emit Traded(msg.sender, int256(ltftIn), -int256(out));
    }

    /// @notice What the pool gives for an amount, rounded down.
    function amountOut(uint256 amountIn, uint256 reserveIn, uint256 reserveOut) public view returns (uint256) {
        if (amountIn == 0 || amountIn > MAX || reserveIn == 0 || reserveIn > MAX || reserveOut == 0 || reserveOut > MAX) {
            revert OutOfRange();
        }
        uint256 kept = amountIn * (PPM - feePpm);
        return kept * reserveOut / (reserveIn * PPM + kept);
    }

    /// @notice LTFT per quote over the window that ends now, times 2**112, rounded down.
    function mean() external view returns (uint256) {
        (bool covered, uint256 value) = tryMean();
        if (!covered) revert NoAverage();
        return value;
    }

    /// @notice The same, and whether the points reach back a whole window.
    function tryMean() public view returns (bool covered, uint256 value) {
        Reserves memory now_ = reserves;
        if (now_.points == 0) return (false, 0);
        uint256 start = block.timestamp - window;
        uint256 last = now_.points - 1;
        uint256 oldest = now_.points > ring ? now_.points - ring : 0;
        (uint256 time, uint256 sum) = _point(oldest);
        if (time > start) return (false, 0);
        (uint256 lastTime, uint256 lastSum) = _point(last);
        uint256 ratio = (uint256(now_.ltft) << PLACES) / now_.quote;
        uint256 begun;
        unchecked {
            if (lastTime <= start) {
                begun = lastSum + ratio * (start - lastTime);
            } else {
                (uint256 low, uint256 high) = (oldest, last);
                while (high - low > 1) {
                    uint256 middle = (low + high) / 2;
                    (time,) = _point(middle);
                    if (time <= start) low = middle;
                    else high = middle;
                }
                (time, begun) = _point(low);
                (uint256 next, uint256 nextSum) = _point(high);
                begun += ((nextSum - begun) & ((1 << 216) - 1)) / (next - time) * (start - time);
            }
            sum = lastSum + ratio * (block.timestamp - lastTime);
            return (true, ((sum - begun) & ((1 << 216) - 1)) / window);
        }
    }

    function _trade(
        Reserves memory now_,
        uint256 ltftAfter,
        uint256 quoteAfter,
        uint256 out,
        uint256 minimumOut,
        uint256 deadline
    ) private {
        if (block.timestamp > deadline) revert Expired();
        if (out == 0 || out < minimumOut) revert TooLittle(out);
        uint256 last = now_.points - 1;
        (uint256 time, uint256 sum) = _point(last);
        uint256 count = now_.points;
        if (block.timestamp > time) {
            unchecked {
                sum += ((uint256(now_.ltft) << PLACES) / now_.quote) * (block.timestamp - time);
            }
            _points[count % ring] = (block.timestamp << 216) | (sum & ((1 << 216) - 1));
            count++;
        }
        reserves = _checked(ltftAfter, quoteAfter, count);
    }

    function _checked(uint256 ltft_, uint256 quote_, uint256 points) private pure returns (Reserves memory) {
        if (ltft_ == 0 || quote_ == 0 || ltft_ > MAX || quote_ > MAX) revert OutOfRange();
        if (ltft_ >> 88 >= quote_ || quote_ >> 88 >= ltft_) revert OutOfRange();
        return Reserves(uint112(ltft_), uint112(quote_), uint32(points));
    }

    function _point(uint256 number) private view returns (uint256 time, uint256 sum) {
        uint256 word = _points[number % ring];
        return (word >> 216, word & ((1 << 216) - 1));
    }
}
