// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Fixed} from "./Fixed.sol";

/// @title Sale: sells a reserved allocation of LTFT along a sigmoid, and takes it back
/// @notice docs/spec/token.md, section 5, to the wei. The reserve covers what all that was sold could be sold back for, at every
/// step. The multiplier raises what buyers pay and never what sellers get. What the curve sells lies here from the start, so
/// the capped emission is not touched. What no claim needs can be swept to the treasury, by anybody.
contract Sale is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice A number is out of range.
    error OutOfRange();
    /// @notice It would cost more than the buyer's maximum.
    error TooDear(uint256 cost);
    /// @notice It would fetch less than the seller's minimum, or nothing.
    error TooLittle(uint256 out);

    event Sold(address indexed buyer, uint256 tokens, uint256 cost);
    event TakenBack(address indexed seller, uint256 tokens, uint256 paid);
    event Swept(uint256 surplus);

    struct Curve {
        uint256 price;
        uint256 rate;
        uint256 middle;
        uint256 maximum;
        uint256 multiplier;
    }

    uint256 private constant WAD = 1e18;
    uint256 private constant MAX = type(uint112).max;
    uint256 private constant MARGIN = 2;

    IERC20 public immutable ltft;
    IERC20 public immutable quote;
    address public immutable treasury;
    uint256 public immutable price;
    uint256 public immutable rate;
    uint256 public immutable middle;
    uint256 public immutable maximum;
    uint256 public immutable multiplier;
    uint256 private immutable _begin;

    /// @notice Wei of LTFT sold, less what was taken back.
    uint256 public sold;
    /// @notice Wei of quote held for it.
    uint256 public reserve;

    /// @param curve The asymptote in wei of quote per LTFT, the rate per 10**18 tokens, the supply at half of the price; the
    /// allocation; the success multiplier times 10**18.
    constructor(IERC20 ltft_, IERC20 quote_, address treasury_, Curve memory curve) {
        if (curve.price == 0 || curve.price > MAX || curve.rate == 0 || curve.rate > MAX || curve.middle > MAX) {
            revert OutOfRange();
        }
        if (curve.price * WAD / curve.rate > MAX || curve.maximum > MAX || treasury_ == address(0)) revert OutOfRange();
        if (curve.multiplier < WAD || curve.multiplier > 2 * WAD || address(ltft_) == address(quote_)) revert OutOfRange();
        (ltft, quote, treasury) = (ltft_, quote_, treasury_);
        (price, rate, middle) = (curve.price, curve.rate, curve.middle);
        (maximum, multiplier) = (curve.maximum, curve.multiplier);
        _begin = Fixed.softplus(true, _exponent(curve.rate, curve.middle));
    }

    /// @notice Wei of quote that all that was sold would fetch at most.
    function claims() public view returns (uint256) {
        return area(sold);
    }

    /// @notice Area under the price from 0 to a supply: wei of quote, rounded down.
    function area(uint256 supply) public view returns (uint256) {
        if (supply > MAX) revert OutOfRange();
        bool below = supply < middle;
        uint256 height = Fixed.softplus(below, _exponent(rate, below ? middle - supply : supply - middle)) - _begin;
        return Math.mulDiv(price * WAD, height, rate << 128);
    }

    /// @notice What `tokens` wei cost now.
    function cost(uint256 tokens) public view returns (uint256) {
        if (tokens == 0 || tokens > maximum - sold) revert OutOfRange();
        uint256 before = claims();
        uint256 after_ = area(sold + tokens);
        return Math.mulDiv((after_ > before ? after_ - before : 0) + MARGIN, multiplier, WAD, Math.Rounding.Ceil);
    }

    /// @notice What `tokens` wei fetch now.
    function refund(uint256 tokens) public view returns (uint256) {
        if (tokens == 0 || tokens > sold) revert OutOfRange();
        uint256 before = claims();
        uint256 after_ = area(sold - tokens) + MARGIN;
        return before > after_ ? before - after_ : 0;
    }

    /// @notice Buy `tokens` wei of the allocation.
    function buy(uint256 tokens, uint256 maximumCost) external nonReentrant returns (uint256 paid) {
        paid = cost(tokens);
        if (paid > maximumCost) revert TooDear(paid);
        if (reserve + paid > MAX) revert OutOfRange();
        sold += tokens;
        reserve += paid;
        quote.safeTransferFrom(msg.sender, address(this), paid);
        ltft.safeTransfer(msg.sender, tokens);
        emit Sold(msg.sender, tokens, paid);
    }

    /// @notice Sell `tokens` wei back to the allocation.
    function sell(uint256 tokens, uint256 minimumOut) external nonReentrant returns (uint256 paid) {
        paid = refund(tokens);
        if (paid == 0 || paid < minimumOut) revert TooLittle(paid);
        sold -= tokens;
        reserve -= paid;
        ltft.safeTransferFrom(msg.sender, address(this), tokens);
        quote.safeTransfer(msg.sender, paid);
        emit TakenBack(msg.sender, tokens, paid);
    }

    /// @notice Send what no claim needs to the treasury.
    function sweep() external nonReentrant returns (uint256 surplus) {
        uint256 needed = claims();
        surplus = reserve - needed;
        reserve = needed;
        quote.safeTransfer(treasury, surplus);
        emit Swept(surplus);
    }

    function _exponent(uint256 rate_, uint256 tokens) private pure returns (uint256) {
        return Math.mulDiv(rate_ << 128, tokens, WAD * WAD);
    }
}
