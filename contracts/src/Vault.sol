// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";

/// @title Vault: shares of the fund for those who put money into it (ERC-4626)
/// @notice docs/spec/token.md, section 8. The share is not LTFT, whose emission would dilute depositors. Six more decimals than
/// the asset has stand against inflation of the share price: who gives money away before another's deposit loses it to shares
/// that nobody holds. Gains arrive as the asset, sent here; nobody can take anything out but for shares.
contract Vault is ERC4626 {
    /// @notice The deposit is worth no share, or the shares are worth nothing.
    error Dust();

    constructor(IERC20 asset_) ERC20("longtail fund share", "LTFS") ERC4626(asset_) {}

    function _decimalsOffset() internal pure override returns (uint8) {
        return 6;
    }

    function _deposit(address caller, address receiver, uint256 assets, uint256 shares) internal override {
        if (assets == 0 || shares == 0) revert Dust();
        super._deposit(caller, receiver, assets, shares);
    }

    function _withdraw(address caller, address receiver, address owner, uint256 assets, uint256 shares) internal override {
        if (assets == 0 || shares == 0) revert Dust();
        super._withdraw(caller, receiver, owner, assets, shares);
    }
}
