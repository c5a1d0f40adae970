// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Strings} from "@openzeppelin/contracts/utils/Strings.sol";
import {Domain} from "./Domain.sol";
import {IDue, ILedger, ILedgerOfToken} from "./Interfaces.sol";
import {Keys} from "./Keys.sol";
import {LTFT} from "./LTFT.sol";
import {
    Behind,
    Claimed,
    Funds,
    Identity,
    Malformed,
    Misdeployed,
    NoAccount,
    Nonce,
    NotAllowed,
    Registered,
    ReportsOpen,
    Signature,
    WrongClaim
} from "./Refusals.sol";
import {Stacked} from "./Stacked.sol";
import {Text} from "./Text.sol";

/// @title Ledger: accounts, their money and stakes, and the one order of all events
/// @notice The rules are those of docs/spec/ledger.md, to the wei. An event is signed by its author, who is also whom it is
/// about, and brought by anybody; or brought by its author, without a signature. Nobody owns this contract, and nothing
/// in it can be changed. Money inside is LTFT that this contract holds; the account of the token's own address stands for
/// all LTFT outside, so a transfer to it takes money out, and {enter} brings it in.
/// @dev Modules are the two contracts deployed with it. They call back on their caller's behalf and are trusted with it.
contract Ledger is ILedger, ILedgerOfToken {
    using SafeERC20 for IERC20;

    /// @notice Somebody, in one slot; `claimed` is what was paid to it under HEADs so far.
    struct Account {
        uint96 balance;
        uint32 nonce;
        uint24 openReports;
        bool known;
        uint96 claimed;
    }

    struct Unstaking {
        address account;
        uint64 due;
        uint96 amount;
    }

    /// What nearly every event reads or writes, in one slot: rewards not claimed yet, the voting stake of all validators, number of
    /// the last record, when the next thing falls due.
    struct Hot {
        uint96 owed;
        uint96 stake;
        uint32 height;
        uint32 due;
    }

    /// The rest, in one slot: money that belongs to nobody, rewards not earned yet, how many validators there are, and the first of
    /// {_unstakes} that is not paid.
    struct Cold {
        uint96 pool;
        uint96 deposited;
        uint32 validators;
        uint32 nextUnstake;
    }

    struct Terms {
        uint96 welcome;
        uint96 minStake;
        uint96 reportPenalty;
        uint64 unstakeDelay;
    }

    struct First {
        address account;
        uint96 balance;
        uint96 stake;
    }

    /// @notice The text of record 0, whose sha256 is {salt}: it names this contract, the chain, parameters and accounts.
    event Genesis(string text);
    /// @notice An event was recorded. `body` is the ABI encoding of its fields, `signature` is empty if its author brought it.
    event Recorded(
        uint64 indexed height,
        bytes32 indexed kind,
        address indexed author,
        uint256 nonce,
        bytes body,
        bytes signature
    );

    /// What is due is worked through with the next event, as long as it is not more than this.
    uint256 private constant STEPS = 64;
    /// Nothing waits. Times of the ledger end here, in 2106.
    uint32 private constant NEVER = type(uint32).max;
    bytes32 private constant REGISTER = keccak256(
        "Register(address author,uint256 nonce,string name,string public_key,string cosmos_address,string cosmos_signature)"
    );
    bytes32 private constant TRANSFER = keccak256("Transfer(address author,uint256 nonce,address to,uint256 amount)");
    bytes32 private constant STAKE = keccak256("Stake(address author,uint256 nonce,uint256 amount)");
    bytes32 private constant UNSTAKE = keccak256("Unstake(address author,uint256 nonce,uint256 amount)");
    bytes32 private constant DEPOSIT = keccak256("Deposit(address author,uint256 nonce,uint256 amount)");
    bytes32 private constant BURN = keccak256("Burn(address author,uint256 nonce,uint256 amount)");
    bytes32 private constant REDEEM = keccak256("Redeem(address author,uint256 nonce,uint256 amount)");
    bytes32 private constant TICK = keccak256("Tick(address author,uint256 nonce)");

    LTFT public immutable token;
    address public immutable registry;
    address public immutable heads;
    bytes32 public immutable salt;
    uint256 private immutable _chain;
    bytes32 private immutable _domain;
    uint96 public immutable welcome;
    uint96 public immutable minStake;
    uint96 public immutable reportPenalty;
    uint64 public immutable unstakeDelay;
    /// @notice Timestamp of the block that {Genesis} was logged in, so that readers of a long chain find it.
    uint64 public immutable born;

    Hot private _hot;
    Cold private _cold;
    mapping(address account => Account) public accounts;
    mapping(address account => uint256) public stakeOf;
    Unstaking[] private _unstakes;

    modifier onlyHeads() {
        if (msg.sender != heads) revert NotAllowed();
        _;
    }

    modifier onlyModule() {
        if (msg.sender != registry && msg.sender != heads) revert NotAllowed();
        _;
    }

    /// @param genesisTail What follows the author's address in the JSON of record 0.
    constructor(
        string memory genesisTail,
        LTFT token_,
        address registry_,
        address heads_,
        uint96 pool_,
        Terms memory terms,
        First[] memory first
    ) {
        string memory text =
            string.concat('{"event":{"author":"', Strings.toChecksumHexString(address(this)), genesisTail);
        salt = sha256(bytes(text));
        (_chain, _domain) = (block.chainid, Domain.separator(salt));
        born = uint64(block.timestamp);
        emit Genesis(text);
        (token, registry, heads) = (token_, registry_, heads_);
        (welcome, minStake) = (terms.welcome, terms.minStake);
        (reportPenalty, unstakeDelay) = (terms.reportPenalty, terms.unstakeDelay);
        accounts[address(token_)].known = true;
        uint256 inside = pool_;
        uint96 stakes = 0;
        uint32 count = 0;
        for (uint256 i = 0; i < first.length; i++) {
            First memory one = first[i];
            if (accounts[one.account].known || (one.stake > 0 && one.stake < terms.minStake)) revert Misdeployed();
            accounts[one.account] = Account(one.balance, 0, 0, true, 0);
            if (one.stake > 0) {
                stakeOf[one.account] = one.stake;
                stakes += one.stake;
                count++;
            }
            inside += uint256(one.balance) + one.stake;
        }
        _hot = Hot(0, stakes, 0, NEVER);
        _cold = Cold(pool_, 0, count, 0);
        if (token_.ledger() != address(this) || token_.balanceOf(address(this)) < inside) revert Misdeployed();
        if (terms.minStake == 0 || registry_ == address(0) || heads_ == address(0)) revert Misdeployed();
    }

    // ---------------------------------------------------------------------------------------------------------- events

    /// @notice Open an account for the author and welcome it from the pool.
    /// @param publicKey The author's compressed key, 33 bytes.
    /// @param cosmosSignature The key's signature of `longtail register SALT AUTHOR` as Cosmos signs, 64 bytes.
    function register(
        address author,
        uint256 nonce,
        string calldata name,
        bytes calldata publicKey,
        bytes calldata cosmosSignature,
        bytes calldata signature
    ) external {
        if (!Text.isSlug(name)) revert Malformed();
        string memory cosmos = Keys.cosmos(publicKey);
        bytes32 structHash = keccak256(
            abi.encode(
                REGISTER,
                author,
                nonce,
                keccak256(bytes(name)),
                keccak256(Text.hexBytes(publicKey)),
                keccak256(bytes(cosmos)),
                keccak256(Text.hexBytes(cosmosSignature))
            )
        );
        _advance();
        _checkSigner(author, msg.sender, structHash, signature);
        Account storage account = accounts[author];
        if (nonce != account.nonce) revert Nonce(account.nonce);
        if (account.known) revert Registered();
        (bytes32 high, bytes32 low) = Text.hexWord(salt);
        bytes memory message =
            bytes.concat("longtail register ", high, low, " ", bytes(Strings.toChecksumHexString(author)));
        if (Keys.addressOf(publicKey) != author || !Keys.signed(author, message, cosmosSignature)) {
            revert Identity();
        }
        uint96 gift = welcome < _cold.pool ? welcome : _cold.pool;
        _cold.pool -= gift;
        accounts[author] = Account(gift, 1, 0, true, 0);
        _log("register", author, nonce, abi.encode(name, publicKey, cosmos, cosmosSignature), signature);
    }

    /// @notice Move money from the author to an account; to the token's own address: out of the ledger, to the author.
    function transfer(address author, uint256 nonce, address to, uint256 amount, bytes calldata signature) external {
        _open(author, nonce, keccak256(abi.encode(TRANSFER, author, nonce, to, amount)), amount, signature);
        if (!accounts[to].known) revert NoAccount(to);
        _charge(author, amount);
        _log("transfer", author, nonce, abi.encode(to, amount), signature);
        if (to == address(token)) IERC20(address(token)).safeTransfer(author, amount);
        else accounts[to].balance += uint96(amount);
    }

    /// @notice Move money from the author's balance to its stake.
    function stake(address author, uint256 nonce, uint256 amount, bytes calldata signature) external {
        _openSimple("stake", STAKE, author, nonce, amount, signature);
        _charge(author, amount);
        _setStake(author, stakeOf[author] + amount);
    }

    /// @notice Take money out of the author's stake; it is balance after {unstakeDelay}.
    function unstake(address author, uint256 nonce, uint256 amount, bytes calldata signature) external {
        _openSimple("unstake", UNSTAKE, author, nonce, amount, signature);
        if (accounts[author].openReports != 0) revert ReportsOpen();
        if (stakeOf[author] < amount) revert Funds();
        _setStake(author, stakeOf[author] - amount);
        uint64 due = uint64(block.timestamp) + unstakeDelay;
        _unstakes.push(Unstaking(author, due, uint96(amount)));
        _remind(due);
    }

    /// @notice Move money of the author to the rewards of the next HEADs.
    function deposit(address author, uint256 nonce, uint256 amount, bytes calldata signature) external {
        _openSimple("deposit", DEPOSIT, author, nonce, amount, signature);
        _charge(author, amount);
        _cold.deposited += uint96(amount);
    }

    /// @notice Destroy money of the author.
    function burn(address author, uint256 nonce, uint256 amount, bytes calldata signature) external {
        _openSimple("burn", BURN, author, nonce, amount, signature);
        _charge(author, amount);
        token.burn(amount);
    }

    /// @notice Destroy money of the author for its share of the fund's treasury, which the fund pays with its next HEAD.
    function redeem(address author, uint256 nonce, uint256 amount, bytes calldata signature) external {
        _openSimple("redeem", REDEEM, author, nonce, amount, signature);
        _charge(author, amount);
        token.redeem(amount);
    }

    /// @notice Let time pass.
    function tick(address author, uint256 nonce, bytes calldata signature) external {
        _open(author, nonce, keccak256(abi.encode(TICK, author, nonce)), 1, signature);
        _log("tick", author, nonce, "", signature);
    }

    // ---------------------------------------------------------------------------------------------- money from outside

    /// @notice Bring own LTFT in as balance of an account.
    function enter(address to, uint256 amount) external {
        _advance();
        if (amount == 0) revert Malformed();
        if (!accounts[to].known || to == address(token)) revert NoAccount(to);
        accounts[to].balance += uint96(amount);
        _outside("transfer", abi.encode(to, amount));
        IERC20(address(token)).safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Give own LTFT to the rewards of the next HEADs: what a buyback bought.
    function give(uint256 amount) external {
        _advance();
        if (amount == 0) revert Malformed();
        _cold.deposited += uint96(amount);
        _outside("deposit", abi.encode(amount));
        IERC20(address(token)).safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc ILedgerOfToken
    function outside(bytes32 kind, uint256 amount) external {
        if (msg.sender != address(token)) revert NotAllowed();
        _advance();
        _outside(kind, abi.encode(amount));
    }

    // ------------------------------------------------------------------------------------------------------------ time

    /// @notice Do at most `steps` of what fell due, for when that is too much for one event. Anybody may.
    function advance(uint256 steps) external {
        _advance(steps);
    }

    // --------------------------------------------------------------------------------------------------------- modules

    /// @inheritdoc ILedger
    function record(
        bytes32 kind,
        address author,
        uint256 nonce,
        address sender,
        bytes32 structHash,
        bytes calldata body,
        bytes calldata signature
    ) external onlyModule returns (uint64) {
        _advance();
        _check(author, nonce, sender, structHash, signature);
        return _log(kind, author, nonce, body, signature);
    }

    /// @inheritdoc ILedger
    function recordClaim(
        address author,
        uint256 nonce,
        address sender,
        bytes32 structHash,
        uint256 total,
        bool proven,
        bytes calldata body,
        bytes calldata signature
    ) external onlyHeads {
        _advance();
        _check(author, nonce, sender, structHash, signature);
        if (!proven || total > type(uint96).max) revert WrongClaim();
        Account storage account = accounts[author];
        uint96 before = account.claimed;
        if (total < before) revert WrongClaim();
        if (total == before) revert Claimed();
        uint96 earned = uint96(total) - before;
        account.balance += earned;
        account.claimed = uint96(total);
        _hot.owed -= earned;
        _log("claim", author, nonce, body, signature);
    }

    /// @inheritdoc ILedger
    function recordStamp(
        address author,
        uint256 nonce,
        bytes32 structHash,
        bytes calldata body,
        bytes calldata signatures
    ) external onlyHeads returns (uint256 number, bool quorum) {
        _advance();
        _checkNonce(author, nonce);
        quorum = _isQuorum(_votes(structHash, signatures));
        uint64 next = ++_hot.height;
        emit Recorded(next, "stamp", author, nonce, body, "");
        number = next;
    }

    /// @inheritdoc ILedger
    function charge(address account, uint256 amount) external onlyModule {
        _charge(account, amount);
    }

    /// @inheritdoc ILedger
    function pay(address account, uint256 amount) external onlyModule {
        accounts[account].balance += uint96(amount);
    }

    /// @inheritdoc ILedger
    function toPool(uint256 amount) external onlyModule {
        _cold.pool += uint96(amount);
    }

    /// @inheritdoc ILedger
    function owe(address account) external onlyModule {
        accounts[account].openReports += 1;
    }

    /// @inheritdoc ILedger
    function settle(address account) external onlyModule {
        accounts[account].openReports -= 1;
    }

    /// @inheritdoc ILedger
    function fine(address account) external onlyModule {
        uint256 has = stakeOf[account];
        uint256 amount = has < reportPenalty ? has : reportPenalty;
        _setStake(account, has - amount);
        _cold.pool += uint96(amount);
        accounts[account].openReports -= 1;
    }

    /// @inheritdoc ILedger
    function remind(uint64 time) external onlyModule {
        _remind(time);
    }

    /// @inheritdoc ILedger
    function reward(uint256 period, uint256 amount) external onlyHeads {
        uint96 deposited = _cold.deposited;
        uint256 spent = amount < deposited ? amount : deposited;
        if (spent > 0) _cold.deposited = deposited - uint96(spent);
        if (amount > spent) token.mint(period, amount - spent);
        _hot.owed += uint96(amount); // it is there: deposited, or the token has found room for it under its cap
    }

    // ----------------------------------------------------------------------------------------------------------- views

    /// @inheritdoc ILedger
    function votesOf(address[] calldata list) external view returns (uint256[] memory stakes) {
        stakes = new uint256[](list.length);
        for (uint256 i = 0; i < list.length; i++) {
            uint256 has = stakeOf[list[i]];
            if (has >= minStake) stakes[i] = has;
        }
    }

    /// @inheritdoc ILedger
    function votes() external view returns (uint256, uint256) {
        return (_hot.stake, _cold.validators);
    }

    /// @notice Rewards that no HEAD has paid for yet, and those that nobody has claimed yet.
    function rewards() external view returns (uint256 deposited, uint256 owed) {
        return (_cold.deposited, _hot.owed);
    }

    /// @notice Wei paid to an account out of rewards so far.
    function claimed(address account) external view returns (uint256) {
        return accounts[account].claimed;
    }

    /// @inheritdoc ILedger
    function height() external view returns (uint64) {
        return _hot.height;
    }

    /// @notice Wei that belong to nobody: welcomes are paid from it; fees, lost bonds and fines flow into it.
    function pool() external view returns (uint256) {
        return _cold.pool;
    }

    /// @notice When the next thing falls due; in 2106 if nothing waits.
    function nextDue() external view returns (uint64) {
        return _hot.due;
    }

    /// @notice Stake on its way back to balances, from the first that is not paid yet.
    function unstaking() external view returns (Unstaking[] memory waiting) {
        uint256 start = _cold.nextUnstake;
        waiting = new Unstaking[](_unstakes.length - start);
        for (uint256 i = 0; i < waiting.length; i++) {
            waiting[i] = _unstakes[start + i];
        }
    }

    /// @notice The domain of all signatures: this chain, as it calls itself now, and this ledger.
    function domainSeparator() external view returns (bytes32) {
        return Domain.separator(salt);
    }

    /// @inheritdoc ILedger
    function isQuorum(bytes32 structHash, bytes calldata signatures) external view returns (bool) {
        return _isQuorum(_votes(structHash, signatures));
    }

    // --------------------------------------------------------------------------------------------------------- private

    function _openSimple(
        bytes32 kind,
        bytes32 type_,
        address author,
        uint256 nonce,
        uint256 amount,
        bytes calldata signature
    ) private {
        _open(author, nonce, keccak256(abi.encode(type_, author, nonce, amount)), amount, signature);
        _log(kind, author, nonce, abi.encode(amount), signature);
    }

    function _open(address author, uint256 nonce, bytes32 structHash, uint256 amount, bytes calldata signature) private {
        if (amount == 0) revert Malformed();
        _advance();
        _check(author, nonce, msg.sender, structHash, signature);
    }

    function _check(address author, uint256 nonce, address sender, bytes32 structHash, bytes calldata signature) private {
        _checkSigner(author, sender, structHash, signature);
        _checkNonce(author, nonce);
    }

    function _checkNonce(address author, uint256 nonce) private {
        Account storage account = accounts[author];
        if (!account.known) revert NoAccount(author);
        uint32 expected = account.nonce;
        if (nonce != expected) revert Nonce(expected);
        account.nonce = expected + 1;
    }

    /// Length 65, v 27 or 28, s in the lower half (OpenZeppelin's ECDSA), and by the author; or brought by the author.
    function _checkSigner(address author, address sender, bytes32 structHash, bytes calldata signature) private view {
        if (signature.length == 0) {
            if (sender != author) revert Signature();
            return;
        }
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecoverCalldata(_digest(structHash), signature);
        if (problem != ECDSA.RecoverError.NoError || signer != author) revert Signature();
    }

    /// What is signed for a struct; a chain that split off and took another id has another domain.
    function _digest(bytes32 structHash) private view returns (bytes32) {
        return Domain.digest(block.chainid == _chain ? _domain : Domain.separator(salt), structHash);
    }

    /// The voting stake of those who signed a struct.
    function _votes(bytes32 structHash, bytes calldata signatures) private view returns (uint256 stake_) {
        bytes32 digest = _digest(structHash);
        uint256 count = Stacked.count(signatures);
        address last = address(0);
        for (uint256 i = 0; i < count; i++) {
            address signer = Stacked.signer(digest, signatures, i);
            if (signer <= last) revert Signature();
            last = signer;
            uint256 has = stakeOf[signer];
            unchecked {
                if (has >= minStake) stake_ += has; // together less than 2 ** 96
            }
        }
    }

    function _isQuorum(uint256 stake_) private view returns (bool) {
        unchecked {
            return stake_ * 3 > uint256(_hot.stake) * 2; // both are less than 2 ** 96
        }
    }

    function _outside(bytes32 kind, bytes memory body) private {
        Account storage gate = accounts[address(token)];
        uint32 nonce = gate.nonce;
        gate.nonce = nonce + 1;
        uint64 number = ++_hot.height;
        emit Recorded(number, kind, address(token), nonce, body, "");
    }

    function _log(bytes32 kind, address author, uint256 nonce, bytes memory body, bytes calldata signature)
        private
        returns (uint64 number)
    {
        number = ++_hot.height;
        emit Recorded(number, kind, author, nonce, body, signature);
    }

    function _charge(address author, uint256 amount) private {
        Account storage account = accounts[author];
        uint96 balance = account.balance;
        if (balance < amount) revert Funds();
        account.balance = balance - uint96(amount);
    }

    function _setStake(address account, uint256 amount) private {
        uint256 before = stakeOf[account];
        stakeOf[account] = amount;
        bool was = before >= minStake;
        bool is_ = amount >= minStake;
        _hot.stake = _hot.stake - uint96(was ? before : 0) + uint96(is_ ? amount : 0);
        if (was && !is_) _cold.validators -= 1;
        if (is_ && !was) _cold.validators += 1;
    }

    function _remind(uint64 time) private {
        if (time < _hot.due) _hot.due = uint32(time);
    }

    function _advance() private {
        if (block.timestamp < _hot.due) return;
        _advance(STEPS);
        if (block.timestamp >= _hot.due) revert Behind();
    }

    /// Stake that is paid back touches nothing that other deadlines look at, so the two queues may be worked through in turn.
    function _advance(uint256 steps) private {
        if (block.timestamp < _hot.due) return;
        uint256 i = _cold.nextUnstake;
        uint256 end = _unstakes.length;
        for (; steps > 0 && i < end && _unstakes[i].due <= block.timestamp; i++) {
            Unstaking storage one = _unstakes[i];
            accounts[one.account].balance += one.amount;
            steps--;
        }
        _cold.nextUnstake = uint32(i);
        (, uint64 next) = IDue(registry).fallDue(steps);
        if (i < end && _unstakes[i].due < next) next = _unstakes[i].due;
        _hot.due = next < NEVER ? uint32(next) : NEVER;
    }
}
