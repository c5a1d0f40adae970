"""`ltfund chain` against anvil: deployed, looked at and checked from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_ledgers import START, made_genesis

from fund.cli import main
from infra.keystore import keystore_path, save_key
from infra.network import open_network, register, send
from infra.settings import load_settings
from protocol.errors import ConfigError
from protocol.keys import Key

web3_chain = pytest.importorskip("web3_chain")
pytestmark = pytest.mark.filterwarnings("ignore")
#: The first of the accounts that anvil makes rich; everybody knows its key.
RICH = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


@pytest.mark.skipif(bool(web3_chain.anvil_missing()), reason=web3_chain.anvil_missing() or "-")
def test_a_ledger_is_deployed_shown_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGTAIL_HOME", str(tmp_path / "home"))
    secret, genesis = tmp_path / "password", tmp_path / "genesis.json"
    secret.write_text("longtail\n", encoding="utf-8")
    key = Key.from_secret(bytes.fromhex(RICH))
    save_key(keystore_path("fund"), key, "longtail", iterations=1_024)
    genesis.write_text(json.dumps(made_genesis().to_dict()), encoding="utf-8")
    anvil = web3_chain.Anvil(tmp_path)
    try:
        run = CliRunner().invoke
        asked = ["chain", "deploy", anvil.url, "--genesis", str(genesis), "--password-file", str(secret), "--json"]
        done = run(main, [*asked, "--outside", f"{key.address}=7"])
        assert done.exit_code == 0, done.output
        made = json.loads(done.stdout)
        shown = json.loads(run(main, ["chain", "status", anvil.url, made["ledger"], "--json"]).stdout)
        assert (shown["height"], shown["accounts"], shown["time"]) == (0, 7, START)
        checked = run(main, ["chain", "verify", anvil.url, made["ledger"], "--json"])
        assert checked.exit_code == 0
        assert json.loads(checked.stdout)["problems"] == []
        settings = load_settings(ledger=f"{anvil.url}#{made['ledger']}")
        with open_network(settings) as ledger:
            register(ledger, key, "rich")
            send(ledger, key, "tick", {})
        with open_network(settings) as again:
            assert again.tip().height == 2
            assert again.state().accounts[key.address].name == "rich"
        for place in ("", "#0x12", f"#{made['token']}"):
            with pytest.raises(ConfigError):
                open_network(load_settings(ledger=anvil.url + place))
        wrong = run(main, ["chain", "status", anvil.url, made["token"]])
        assert wrong.exit_code == 3
        bad = run(main, [*asked, "--outside", "nobody"])
        assert bad.exit_code == 3
    finally:
        anvil.close()
