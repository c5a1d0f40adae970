// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {LTFT} from "./LTFT.sol";

/// @title Treasury: what stands behind LTFT; who gives up tokens gets a pro-rata share in kind
/// @notice docs/spec/token.md, section 8. Assets arrive as gifts, simply sent here, and leave by redemption only. A share is
/// rounded down, so what stands behind a token left never falls; the last holder takes all that is left.
contract Treasury is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice The tokens are none, or worth nothing of everything.
    error Dust();
    /// @notice An asset would pay less than the redeemer asked for.
    error TooLittle(address asset, uint256 out);
    /// @notice An asset is named twice, is LTFT, or they are none or too many.
    error WrongAssets();

    event Redeemed(address indexed holder, uint256 tokens, uint256 supply, uint256[] paid);

    LTFT public immutable ltft;
    IERC20[] private _assets;

    constructor(LTFT ltft_, IERC20[] memory assets_) {
        if (assets_.length == 0 || assets_.length > 8) revert WrongAssets();
        for (uint256 i = 0; i < assets_.length; i++) {
            if (address(assets_[i]) == address(ltft_)) revert WrongAssets();
            for (uint256 j = 0; j < i; j++) {
                if (address(assets_[i]) == address(assets_[j])) revert WrongAssets();
            }
            _assets.push(assets_[i]);
        }
        ltft = ltft_;
    }

    /// @notice The assets, in the order of shares and minimums.
    function assets() external view returns (IERC20[] memory) {
        return _assets;
    }

    /// @notice What `tokens` wei would fetch of each asset now: of all LTFT there is, whoever holds it.
    function share(uint256 tokens) public view returns (uint256[] memory paid) {
        uint256 supply = ltft.totalSupply();
        paid = new uint256[](_assets.length);
        for (uint256 i = 0; i < paid.length; i++) {
            paid[i] = Math.mulDiv(_assets[i].balanceOf(address(this)), tokens, supply);
        }
    }

    /// @notice Destroy own LTFT for its share; refused if any asset pays less than its minimum.
    function redeem(uint256 tokens, uint256[] calldata minimums) external nonReentrant returns (uint256[] memory paid) {
        uint256 supply = ltft.totalSupply();
        if (tokens == 0 || tokens > supply || minimums.length != _assets.length) revert Dust();
        paid = share(tokens);
        uint256 any = 0;
        for (uint256 i = 0; i < paid.length; i++) {
            if (paid[i] < minimums[i]) revert TooLittle(address(_assets[i]), paid[i]);
            any |= paid[i];
        }
        if (any == 0) revert Dust();
        emit Redeemed(msg.sender, tokens, supply, paid);
        IERC20(address(ltft)).safeTransferFrom(msg.sender, address(this), tokens);
        ltft.redeem(tokens);
        for (uint256 i = 0; i < paid.length; i++) {
            if (paid[i] > 0) _assets[i].safeTransfer(msg.sender, paid[i]);
        }
    }
}
