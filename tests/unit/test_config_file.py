"""The configuration: what a file and the environment may say, and how everything that is wrong is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from node.config import AlertAction, BrakeSupport, Config, LockstepConfig, Mode, PolicyConfig, RelayConfig, WatchedAlert
from node.config_errors import ConfigError
from node.config_file import load_config
from node.config_rules import broken_rules
from node.config_template import field_meanings, write_commented
from node.pipeline.events import TokenVerdict
from node.pipeline.plans import LenderKind
from protocol.units import ZERO_ADDRESS
from tests.config_factories import WETH, config_in, network_in, numbered

STOP = PolicyConfig(kind=WatchedAlert.SANDWICH_SEEN, action=AlertAction.STOP_ALL)
BRAKE_FEED = PolicyConfig(kind=WatchedAlert.ORACLE_DEVIATES, action=AlertAction.LOG, brake=BrakeSupport.SUBJECT)
BRAKE_RELAY = PolicyConfig(kind=WatchedAlert.RELAY_LIES, action=AlertAction.LOG, brake=BrakeSupport.ALL)
BRAKE_PEER = PolicyConfig(kind=WatchedAlert.PEER_MISBEHAVES, action=AlertAction.LOG, brake=BrakeSupport.SUBJECT)
STOP_FEED = PolicyConfig(kind=WatchedAlert.ORACLE_DEVIATES, action=AlertAction.STOP_SUBJECT)


PEER = "/ip4/203.0.113.7/tcp/4711/p2p/12D3KooWEyeHQ9wpoqANjAmqF8UktQvrQgsyFHY2dNXpUofgwNRL"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A file with a configuration that is right."""
    path = tmp_path / "hftnode.toml"
    write_commented(config_in(tmp_path), path)
    return path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def problems(path: Path, **environ: str) -> dict[str, str]:
    """Key to what is wrong with it."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ)
    assert str(caught.value).count("\n") == len(caught.value.problems) - 1
    return {problem.key: f"{problem.expected} -> {problem.nearest}" for problem in caught.value.problems}


@pytest.mark.parametrize("mode", list(Mode))
def test_what_was_written_is_read_back(tmp_path: Path, mode: Mode) -> None:
    config = msgspec.structs.replace(
        config_in(tmp_path, mode), lockstep=LockstepConfig(participant="alice", admin_url="http://127.0.0.1:1/admin")
    )
    write_commented(config, tmp_path / "a" / "hftnode.toml")

    assert load_config(tmp_path / "a" / "hftnode.toml", {}) == config


def test_the_written_file_explains_every_key_once(written: Path) -> None:
    text = written.read_text()

    assert text.count("# Whose contracts its pools are.") == 1
    assert '# max_bid = "1 ether"' in text
    assert '# max_head_age_ns = "30 s"' in text
    assert 'max_input = "100e18"' in text
    assert 'data_folder = "data"' in text
    assert "None" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_configuration_is_never_written_over(written: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: File exists"):
        write_commented(config_in(tmp_path), written)


def test_every_key_has_a_meaning() -> None:
    def shapes(shape: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
        inner = [kind for field in msgspec.structs.fields(shape) for kind in _kinds(field.type)]
        return [shape, *(found for kind in inner for found in shapes(kind))]

    for shape in shapes(Config):
        for field in msgspec.structs.fields(shape):
            assert _kinds(field.type) or field_meanings(shape)[field.name].endswith((".", "…")), (shape, field.name)


def _kinds(kind: object) -> list[type[msgspec.Struct]]:
    parts = [kind, *getattr(kind, "__args__", ())]
    return [part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)]


def test_relative_paths_count_from_the_file(written: Path, tmp_path: Path) -> None:
    change(written, 'data_folder = "data"', 'data_folder = "~/hft"')

    config = load_config(written, {"HFTNODE_DESK__PORT": "1"})

    assert config.data_folder == Path("~/hft").expanduser()
    assert config.execution.vaults[0].keystore == tmp_path / "keys" / "hot.json"
    assert config.desk.port == 1


def test_everything_that_is_wrong_is_told_at_once_with_the_nearest_key(written: Path) -> None:
    change(written, 'mode = "live"', 'mode = "lives"\nnmae = 1')
    change(written, "block_seconds = 2.0", "block_second = 2.0")
    change(written, "id = 31337", 'id = "one"')
    change(written, "[limits]", '[limits]\nmax_bidd = "1 ether"\nmax_gas_share = 10001\nmax_daily_spend = "3 eter"')

    found = problems(written)

    assert found["mode"] == "expected one of live, shadow, got 'lives' -> live"
    assert found["nmae"] == "unknown key -> name"
    assert found["chain.block_second"] == "unknown key -> block_seconds"
    assert found["chain.block_seconds"] == "is missing: a number above 0 -> "
    assert found["chain.id"].startswith("expected a whole number")
    assert found["limits.max_bidd"] == "unknown key -> max_bid"
    assert found["limits.max_gas_share"].startswith("expected basis points")
    assert "got the unit 'eter' -> ether" in found["limits.max_daily_spend"]
    assert len(found) == 8


@pytest.mark.parametrize(
    ("old", "new", "key", "told"),
    [
        ('name = "alice"', 'name = "../alice"', "name", "letters, digits"),
        ('name = "alice"', "name = 7", "name", "expected a line of text"),
        ('data_folder = "data"', f'data_folder = "{"d" * 120}"', "data_folder", "too long"),
        ("port = 0", "port = 70000", "desk.port", "0 to 65535"),
        ("id = 31337", "id = 0", "chain.id", "above 0"),
        ("block_seconds = 2.0", "block_seconds = 0", "chain.block_seconds", "above 0"),
        ("ws://127.0.0.1:8545", "http://127.0.0.1:8545", "chain.rpcs[0].websocket", "ws://"),
        ("http://127.0.0.1:8545/relay", "http://127.0.0.1:port", "relays[0].url", "https://"),
        ('kind = "uniswap_v3"', 'kind = "aave_v3"', "protocols.lenders[1].address", "is missing"),
        ('kind = "balancer_v2"', 'kind = "vault"', "protocols.lenders[0].address", "leave it out"),
        ("# fee_pips = 3000", "fee_pips = 1000000", "protocols.factories[0].fee_pips", "below 1000000"),
        (
            "# pool_factories = []",
            'pool_factories = ["0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"]',
            "protocols.factories[0].pool_factories",
            "only for a family at Balancer's vault",
        ),
        ("[[protocols.factories]]", "[[protocols.factory]]", "protocols.factories", "is missing: a list of tables"),
        ("# breaker_failures = 10", "breaker_failures = 21", "limits.breaker_failures", "never opens"),
        ("# breaker_window = 20", "breaker_window = 0", "limits.breaker_window", "at least 1"),
        ("# finalists = 8", "finalists = 0", "bounds.finalists", "at least 1"),
        ("# simulate = true", 'simulate = "yes"', "execution.simulate", "true or false"),
        ("# trusted = []", 'trusted = "all"', "tokens.trusted", "expected a list"),
        ("# accepted = [", 'accepted = ["palin"] # [', "tokens.accepted[0]", "expected one of plain"),
        ("[desk]", "[[desk]]", "desk", "expected a table"),
        ("0xC02aaA39b", "0xC02aaA39B", "tokens.profit[0].address", "checksum"),
        ("0xC02aaA39b", "C02aaA39b", "tokens.profit[0].address", "40 hex digits"),
        ('"0x0000000000000000000000000000000000000006"', "6", "execution.vaults[0].safe", "40 hex digits"),
        ("000000000005", "000000000000", "execution.vault_module", "vault module"),
        ('max_input = "100e18"', 'max_input = "1.5"', "tokens.profit[0].max_input", "no whole number"),
        ('max_input = "100e18"', 'max_input = "9e77"', "tokens.profit[0].max_input", "below 2^256"),
        ('max_input = "100e18"', "max_input = 1e20", "tokens.profit[0].max_input", "expected a whole number"),
        ("# max_head_age_ns", 'max_head_age_ns = "3 sec" #', "limits.max_head_age_ns", "a time"),
    ],
)
def test_one_wrong_value_is_told_with_its_key(written: Path, old: str, new: str, key: str, told: str) -> None:
    change(written, old, new)

    assert told in problems(written)[key]


def test_rules_that_span_the_configuration(tmp_path: Path) -> None:
    base = config_in(tmp_path)
    execution = msgspec.structs.replace(base.execution, vaults=())
    config = msgspec.structs.replace(
        base,
        chain=msgspec.structs.replace(base.chain, rpcs=()),
        protocols=msgspec.structs.replace(base.protocols, factories=(), routers=base.protocols.routers * 2),
        tokens=msgspec.structs.replace(
            base.tokens, trusted=(numbered(9),), refused=(numbered(9), WETH), accepted=(TokenVerdict.PLAIN,)
        ),
        execution=execution,
        relays=(),
    )
    write_commented(config, tmp_path / "broken.toml")
    change(tmp_path / "broken.toml", "block_seconds = 2.0", "block_seconds = 2.0\nrpcs = []")
    change(tmp_path / "broken.toml", "[protocols]", "[protocols]\nfactories = []")

    found = problems(tmp_path / "broken.toml")

    assert set(found) == {
        "chain.rpcs", "protocols.factories", "protocols.routers", "tokens.refused", "execution.vaults", "relays"
    }  # fmt: skip


def test_a_profit_token_is_needed_and_named_once(tmp_path: Path) -> None:
    base = config_in(tmp_path)
    twice = msgspec.structs.replace(base.tokens, profit=base.tokens.profit * 2)
    write_commented(msgspec.structs.replace(base, tokens=twice), tmp_path / "twice.toml")

    assert "stands there 2 times" in problems(tmp_path / "twice.toml")["tokens.profit"]
    assert "at least one token" in problems(tmp_path / "twice.toml", HFTNODE_TOKENS__PROFIT="[]")["tokens.profit"]


def test_shadow_mode_needs_no_vault_and_no_relay(tmp_path: Path) -> None:
    base = config_in(tmp_path, Mode.SHADOW)
    execution = msgspec.structs.replace(base.execution, vaults=(), vault_module=numbered(0))
    config = msgspec.structs.replace(base, execution=execution, relays=())
    write_commented(config, tmp_path / "hftnode.toml")

    assert load_config(tmp_path / "hftnode.toml", {}) == config


def test_the_environment_goes_over_the_file(written: Path) -> None:
    config = load_config(
        written,
        {
            "HFTNODE_MODE": "shadow",
            "HFTNODE_CHAIN__ID": "1",
            "HFTNODE_CHAIN__RPCS__0__HTTP": "https://rpc.example/key",
            "HFTNODE_LIMITS__MAX_BID": "0.25 ether",
            "HFTNODE_LIMITS__MAX_HEAD_AGE_NS": "250 ms",
            "HFTNODE_BOUNDS__FINALISTS": "9",
            "HFTNODE_EXECUTION__SIMULATE": "false",
            "HFTNODE_RELAYS": '[{ name = "a", url = "http://a" }, { name = "b", url = "http://b" }]',
            "HFTNODE_RELAYS__1__NAME": "c",
            "HFTNODE_HOME": "/elsewhere",
            "HFTNODE_DEBUG": "1",
            "PATH": "/bin",
        },
    )

    assert config.mode is Mode.SHADOW
    assert config.chain.id == 1
    assert config.chain.rpcs[0].http == "https://rpc.example/key"
    assert config.limits.max_bid == 25 * 10**16
    assert config.limits.max_head_age_ns == 250_000_000
    assert config.bounds.finalists == 9
    assert not config.execution.simulate
    assert config.relays == (RelayConfig(name="a", url="http://a"), RelayConfig(name="c", url="http://b"))


def test_a_wrong_variable_is_told_by_its_name(written: Path) -> None:
    found = problems(
        written,
        HFTNODE_CHAIN__ID="one",
        HFTNODE_CHAIN__RPCS__4__HTTP="http://a",
        HFTNODE_NAME__FIRST="x",
        HFTNODE_MODEE="shadow",
        HFTNODE_CHAIN__RPCS__0__HTP="http://a",
        HFTNODE_KEYSTORE_PASSWORD="s3cret",
    )

    assert "expected a whole number" in found["HFTNODE_CHAIN__ID"]
    assert "no place chain.rpcs.4.http" in found["HFTNODE_CHAIN__RPCS__4__HTTP"]
    assert "no place name.first" in found["HFTNODE_NAME__FIRST"]
    assert found["HFTNODE_MODEE"] == "unknown key -> mode"
    assert found["HFTNODE_CHAIN__RPCS__0__HTP"] == "unknown key -> http"
    assert "passwords are not taken from here" in found["HFTNODE_KEYSTORE_PASSWORD"]
    assert "s3cret" not in str(found)


def test_an_error_never_shows_the_key_in_a_url(written: Path) -> None:
    change(written, "http://127.0.0.1:8545/relay", "ftp://relay.example/my-secret-key")

    assert "my-secret-key" not in str(problems(written))


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "hftnode.toml"

    assert "`hftnode init` writes one" in problems(path)[""]
    path.write_text("name = ")
    assert "not TOML" in problems(path)[""]
    path.write_bytes(b"\xff\xfe")
    assert "not TOML" in problems(path)[""]
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    assert "more than 1048576 bytes" in problems(path)[""]
    path.unlink()
    path.mkdir()
    assert "Is a directory" in problems(path)[""]


def test_an_empty_file_is_told_everything_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "hftnode.toml"
    path.touch()

    found = problems(path)

    assert set(found) == {"name", "mode", "data_folder", "chain", "protocols", "tokens", "execution"}
    assert "is missing: one of live, shadow" in found["mode"]
    assert "is missing: a path" in found["data_folder"]
    path.write_text("[tokens]\n[[tokens.profit]]\n[chain]\n[protocols]\n[execution]")
    deeper = problems(path)
    assert "is missing: an amount in smallest units" in deeper["tokens.profit[0].max_input"]
    assert "is missing: an address" in deeper["execution.vault_module"]


def test_an_amount_may_have_every_unit(written: Path) -> None:
    for told, wei in {"7": 7, "7 wei": 7, "30 gwei": 30 * 10**9, "1_000": 1000, "2e3 gwei": 2 * 10**12}.items():
        assert load_config(written, {"HFTNODE_LIMITS__MAX_BID": told}).limits.max_bid == wei


def test_the_lender_without_an_address_is_read(written: Path) -> None:
    assert [lender.kind for lender in load_config(written, {}).protocols.lenders] == [
        LenderKind.BALANCER_V2, LenderKind.UNISWAP_V3
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"operator": ZERO_ADDRESS}, "network.operator"),
        ({"listen": ()}, "network.listen"),
        ({"policies": (STOP, STOP)}, "network.policies"),
        ({"policies": (STOP_FEED,)}, "network.policies[0].action"),
        ({"policies": (BRAKE_FEED,)}, "network.policies[0].brake"),
        ({"policies": (BRAKE_RELAY,)}, "network.policies[0].brake"),
        ({"policies": (BRAKE_PEER,)}, "network.policies[0].brake"),
        ({"announce": ("/dns4/example.org/tcp/4711",)}, "network.announce[0]"),
        ({"announce": ("/ip4/203.0.113.7/tcp/4711",) * 5}, "network.announce"),
        ({"announce": ("/ip4/203.0.113.7/tcp/99999",)}, "network.announce[0]"),
        ({"announce": ("/ip4/203.0.113.700/tcp/4711",)}, "network.announce[0]"),
        ({"listen": ("/ip4/0.0.0.0/tcp/65536",)}, "network.listen[0]"),
        ({"listen": ("/ip6/0.0.0.0/tcp/4711",)}, "network.listen[0]"),
        ({"bootstrap": (PEER.replace("/tcp/4711/", "/tcp/99999/"),)}, "network.bootstrap[0]"),
        ({"bootstrap": (PEER,) * 65}, "network.bootstrap"),
        ({"listen": ("127.0.0.1:4711",)}, "network.listen[0]"),
        ({"bootstrap": ("/ip4/127.0.0.1/tcp/4711",)}, "network.bootstrap[0]"),
    ],
)
def test_a_network_that_cannot_work_is_named(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    network = msgspec.structs.replace(network_in(tmp_path), **changes)
    config = msgspec.structs.replace(config_in(tmp_path), network=network)

    assert [broken for broken, _ in broken_rules(config)] == [key]
    sound = msgspec.structs.replace(config, network=msgspec.structs.replace(network_in(tmp_path), policies=(STOP,)))
    write_commented(sound, tmp_path / "a" / "hftnode.toml")
    assert load_config(tmp_path / "a" / "hftnode.toml", {}).network == sound.network
