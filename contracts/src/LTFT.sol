// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ILedgerOfToken} from "./Interfaces.sol";
import {Malformed, Misdeployed, NotAllowed, WrongRewards} from "./Refusals.sol";

/// @title LTFT: the token. What accounts of the ledger have lies in the ledger's balance here; everybody else is outside
/// @notice supply = initial + minted - burned - redeemed. Only the ledger mints, never more than the halving schedule allows
/// up to a HEAD's period, and never more than the cap in all. Anybody may burn or redeem what is theirs.
/// @dev docs/spec/token.md, sections 2 and 3.
contract LTFT is ERC20, ERC20Permit {
    address public immutable ledger;
    /// @notice Wei per period at first, periods until it halves, wei that are ever minted, the first period.
    uint256 public immutable first;
    uint256 public immutable era;
    uint256 public immutable cap;
    uint256 public immutable firstPeriod;
    uint256 public immutable initial;

    uint128 public minted;
    uint128 public burned;
    uint128 public redeemed;

    constructor(
        address ledger_,
        uint256 first_,
        uint256 era_,
        uint256 cap_,
        uint256 firstPeriod_,
        address[] memory holders,
        uint256[] memory amounts
    ) ERC20("longtail", "LTFT") ERC20Permit("longtail") {
        if (ledger_ == address(0) || era_ == 0 || holders.length != amounts.length) revert Misdeployed();
        (ledger, first, era, cap, firstPeriod) = (ledger_, first_, era_, cap_, firstPeriod_);
        for (uint256 i = 0; i < holders.length; i++) {
            _mint(holders[i], amounts[i]);
        }
        initial = totalSupply();
        if (initial + cap > type(uint96).max || first > type(uint96).max || era > type(uint64).max) revert Misdeployed();
    }

    /// @notice Make `amount` wei for the ledger, within what emission allows up to and including a HEAD's period. Ledger only.
    function mint(uint256 period, uint256 amount) external {
        if (msg.sender != ledger) revert NotAllowed();
        uint256 sum = minted + amount;
        if (sum > until(period - firstPeriod + 1)) revert WrongRewards();
        minted = uint128(sum);
        _mint(ledger, amount);
    }

    /// @notice Destroy own wei for nothing.
    function burn(uint256 amount) external {
        _give(amount);
        burned += uint128(amount);
        if (msg.sender != ledger) ILedgerOfToken(ledger).outside("burn", amount);
    }

    /// @notice Destroy own wei for what the caller gets for it elsewhere: a share of a treasury.
    function redeem(uint256 amount) external {
        _give(amount);
        redeemed += uint128(amount);
        if (msg.sender != ledger) ILedgerOfToken(ledger).outside("redeem", amount);
    }

    /// @notice Wei emitted in the first `periods` periods: the closed form of docs/spec/token.md, section 3.
    function until(uint256 periods) public view returns (uint256) {
        uint256 eras = periods / era;
        uint256 present = eras < 256 ? first >> eras : 0;
        uint256 halved = 2 * (first - present) + _ones(present) - _ones(first);
        uint256 sum = era * halved + (periods % era) * present;
        return sum < cap ? sum : cap;
    }

    function _give(uint256 amount) private {
        if (amount == 0) revert Malformed();
        _burn(msg.sender, amount);
    }

    /// Ones in the binary digits of a number below 2**128.
    function _ones(uint256 x) private pure returns (uint256 count) {
        unchecked {
            x -= (x >> 1) & 0x55555555555555555555555555555555;
            x = (x & 0x33333333333333333333333333333333) + ((x >> 2) & 0x33333333333333333333333333333333);
            x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F0F;
            // up to 128 fits a byte: the product's byte 15 is the sum of all
            count = ((x * 0x01010101010101010101010101010101) >> 120) & 0xFF;
        }
    }
}
