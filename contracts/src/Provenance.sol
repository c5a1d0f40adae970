// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC2981} from "@openzeppelin/contracts/token/common/ERC2981.sol";
import {ILedger} from "./Interfaces.sol";
import {NoQuorum} from "./Refusals.sol";

/// @title Provenance: who brought which data, how good it was, what it improved, and what it was made of
/// @notice One token per data hash, minted once validators with more than two thirds of the stake signed its record. The royalty
/// (ERC-2981) is a signal that markets may ignore; what data earns is paid through the rewards of the HEAD.
contract Provenance is ERC721, ERC2981 {
    /// @notice The data has its token already.
    error Minted(uint256 token);
    /// @notice A parent does not exist or is named twice, the royalty is above 10 %, or the data has no hash.
    error WrongRecord();

    /// @param quality,improvement Billionths.
    struct Record {
        address to;
        bytes32 data;
        uint64 quality;
        int64 improvement;
        uint16 royaltyBps;
        uint256[] parents;
    }

    struct Origin {
        bytes32 data;
        uint64 quality;
        int64 improvement;
        uint64 time;
    }

    event Recorded(uint256 indexed token, bytes32 indexed data, uint64 quality, int64 improvement, uint256[] parents);

    bytes32 private constant PROVENANCE = keccak256(
        "Provenance(address to,bytes32 data,uint256 quality,int256 improvement,uint256 royalty,bytes32 parents)"
    );
    uint256 private constant MAX_PARENTS = 32;

    ILedger public immutable ledger;

    /// @notice What is known of a token's data.
    mapping(uint256 token => Origin) public origins;
    /// @notice The token of a data hash, 0 if there is none.
    mapping(bytes32 data => uint256 token) public tokenOf;
    mapping(uint256 token => uint256[]) private _parents;
    uint256 public count;

    constructor(ILedger ledger_) ERC721("longtail provenance", "LTP") {
        ledger = ledger_;
    }

    /// @notice Mint the token of a record. Anybody may bring it.
    /// @param signatures Of `Provenance(to, data, quality, improvement, royalty, keccak256(abi.encodePacked(parents)))`, as
    /// {ILedger-isQuorum} wants them.
    function mint(Record calldata record, bytes calldata signatures) external returns (uint256 token) {
        if (tokenOf[record.data] != 0) revert Minted(tokenOf[record.data]);
        if (record.data == 0 || record.royaltyBps > 1000 || record.parents.length > MAX_PARENTS) revert WrongRecord();
        uint256 last = 0;
        for (uint256 i = 0; i < record.parents.length; i++) {
            if (record.parents[i] <= last || record.parents[i] > count) revert WrongRecord();
            last = record.parents[i];
        }
        bytes32 structHash = keccak256(
            abi.encode(
                PROVENANCE,
                record.to,
                record.data,
                record.quality,
                record.improvement,
                record.royaltyBps,
                keccak256(abi.encodePacked(record.parents))
            )
        );
        if (!ledger.isQuorum(structHash, signatures)) revert NoQuorum();
        token = ++count;
        tokenOf[record.data] = token;
        origins[token] = Origin(record.data, record.quality, record.improvement, uint64(block.timestamp));
        _parents[token] = record.parents;
        if (record.royaltyBps > 0) _setTokenRoyalty(token, record.to, record.royaltyBps);
        emit Recorded(token, record.data, record.quality, record.improvement, record.parents);
        _mint(record.to, token);
    }

    /// @notice What a token's data was made of, ascending.
    function parentsOf(uint256 token) external view returns (uint256[] memory) {
        return _parents[token];
    }

    /// @inheritdoc ERC721
    function supportsInterface(bytes4 id) public view override(ERC721, ERC2981) returns (bool) {
        return super.supportsInterface(id);
    }
}
