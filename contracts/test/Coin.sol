// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

interface ITarget {
    function call(bytes calldata data) external;
}

/// A quote currency for tests: anybody may make it; it can be told to call back on every transfer, as a hostile token would.
contract Coin is ERC20 {
    address public target;
    bytes public attack;
    bool public refused;

    constructor() ERC20("test coin", "COIN") {}

    function make(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function arm(address target_, bytes calldata attack_) external {
        (target, attack) = (target_, attack_);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (target != address(0)) {
            (bool done,) = target.call(attack);
            refused = !done;
        }
    }
}
