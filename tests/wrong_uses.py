"""Every way in which somebody may hold an operator's command wrongly, and what of the right use the answer names."""

from __future__ import annotations

from typing import Final

SAFE: Final = "0x" + "11" * 20
TOKEN: Final = "0x" + "22" * 20
WORD: Final = "0x" + "33" * 32
PEER: Final = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
_JOIN: Final = ("--stake", "5000 HFT", "--hot-keystore", "hot.json", "--peer-id", PEER)
_ADDRESS: Final = "0x and 40 hex digits"
_WHOSE: Final = ((), "--keystore FILE")
_OPERATOR: Final = (
    ((), "Missing option '--operator'"),
    (("--operator", "alice"), _ADDRESS),
    (("--operator", "0x52908400098527886E0F7030069857D2E4169Ee7"), "checksum"),
)
_PROPOSAL: Final = (
    ((), "Missing argument 'PROPOSAL'"),
    (("seven",), "`hftnode gov list` shows them"),
    (("0",), "`hftnode gov list` shows them"),
)
_CREATE: Final = ("--safe", SAFE, "--hot-key", SAFE, "--executor", SAFE)
_ONE_CHANGE: Final = 'say one change: --bid-cap "0.5 ether"'
_CHANGE: Final = (
    ((), "Missing option '--safe'"),
    (("--safe", SAFE), _ONE_CHANGE),
    (("--safe", SAFE, "--unpin", TOKEN, "--bid-cap", "1 ether"), _ONE_CHANGE),
    (("--safe", SAFE, "--bid-cap", "1"), '"0.5 ether"'),
    (("--safe", SAFE, "--draw", TOKEN), "requires 2 arguments"),
    (("--safe", SAFE, "--loss-band", "half"), '"0.5 %"'),
    (("--safe", SAFE, "--loss-band", "101 %"), '"0.5 %"'),
    (("--safe", SAFE, "--feed", TOKEN, TOKEN, "soon"), '"3600 seconds"'),
    (("--safe", SAFE, "--max-loss", TOKEN), "requires 2 arguments"),
)

WRONG_USES: Final[dict[str, tuple[tuple[tuple[str, ...], str], ...]]] = {
    "join": (
        ((), "Missing option"),
        (("--stake", "5000", *_JOIN[2:]), '"100 HFT"'),
        (("--stake", "5000 ETH", *_JOIN[2:]), "wanted is HFT"),
        ((*_JOIN[:4], "--peer-id", "0OIl"), "12D3KooW"),
        (_JOIN, "--keystore FILE"),
    ),
    "stake add": (
        ((), "AMOUNT"),
        (("100",), '"100 HFT"'),
        (("-5 HFT",), "No such option"),
        (("5 HFT",), "--keystore"),
        (("5 HFT", "--remote-signer", "http://127.0.0.1:9"), "--account ADDRESS"),
        (("5 HFT", "--remote-signer", "127.0.0.1", "--account", SAFE), "such as http://127.0.0.1:9000"),
        (("5 HFT", "--remote-signer", "http://x", "--account", SAFE, "--keystore", "k"), "without --keystore"),
    ),
    "stake exit": (
        ((), '"100 HFT", or --all'),
        (("5 HFT", "--all"), '"100 HFT", or --all'),
        (("all",), '"100 HFT"'),
    ),
    "stake withdraw": (_WHOSE, (("5 HFT",), "Usage: hftnode stake withdraw"), (("--deadline", "0"), "1<=x<=86400")),
    "stake check-in": (_WHOSE, (("7",), "Usage: hftnode stake check-in"), (("--deadline", "x"), "not a valid float")),
    "stake roll": (_WHOSE, (("--epoch", "0"), "x>=1"), (("7",), "Usage: hftnode stake roll")),
    "stake rotate": (
        ((), "Missing option '--hot-keystore'"),
        (("--hot-keystore", "hot.json"), "--keystore FILE"),
        (("--hot-keystore",), "requires an argument"),
    ),
    "stake status": _OPERATOR,
    "rewards show": _OPERATOR,
    "rewards explain": _OPERATOR,
    "rewards claim": (_WHOSE, (("--operator", "bob"), _ADDRESS), (("--rolls",), "--roll")),
    "gov list": (
        (("--every",), "Usage: hftnode gov list"),
        (("open",), "Usage: hftnode gov list"),
        (("--al",), "--all"),
    ),
    "gov show": _PROPOSAL,
    "gov vote": (
        ((), "Missing argument 'PROPOSAL'"),
        (("7",), "Missing argument '{against|for|abstain}'"),
        (("7", "yes"), "'against', 'for', 'abstain'"),
        (("7", "for"), "--keystore FILE"),
    ),
    "gov delegate": (((), "Missing option '--to'"), (("--to", "bob"), _ADDRESS), (("--to", SAFE), "--keystore FILE")),
    "gov queue": _PROPOSAL,
    "gov execute": _PROPOSAL,
    "gov propose set": (
        ((), "{min-stake|protocol-fee-bps|alert-quorum-bps}"),
        (("min-stake", "2000", "--why", "x"), '"100 HFT"'),
        (("protocol-fee-bps", "50", "--why", "x"), '"0.5 %"'),
        (("protocol-fee-bps", "0.005 %", "--why", "x"), '"0.5 %"'),
        (("protocol-fee-bps", "6 %", "--why", "x"), "between 0 % and 5 %"),
        (("min-stake", "2000 HFT"), "Missing option '--why'"),
    ),
    "gov propose remove": (
        ((), "Missing argument 'SUBJECT'"),
        (("uniswap", "--why", "x"), _ADDRESS),
        ((TOKEN,), "Missing option '--why'"),
    ),
    "gov propose fund-stream": (
        ((), "Missing argument 'AMOUNT'"),
        (("1 WETH",), "Missing option '--why'"),
        (("1 WETH", "2", "--why", "x"), "Usage: hftnode gov propose fund-stream"),
    ),
    "gov propose fund-work": (
        ((), "Missing argument 'AMOUNT'"),
        (("5000", "--why", "x"), '"100 HFT"'),
        (("5000 HFT",), "Missing option '--why'"),
    ),
    "gov propose cancel-slash": (
        ((), "Missing argument 'OFFENCE'"),
        (("0x12", "--why", "x"), "0x and 64"),
        ((WORD,), "Missing option '--why'"),
    ),
    "gov propose release-brake": (
        ((), "Missing option '--why'"),
        (("--why", "x", "--subject", "pool"), _ADDRESS),
        (("--why", "x"), "--keystore FILE"),
    ),
    "gov propose set-executor": (
        ((), "Missing argument 'EXECUTOR'"),
        ((SAFE, "maybe", "--why", "x"), "'on', 'off'"),
        ((SAFE, "on"), "Missing option '--why'"),
    ),
    "brake status": (
        (("--subject", "pool"), _ADDRESS),
        (("now",), "Usage: hftnode brake status"),
        (("--subject",), "requires an argument"),
    ),
    "brake trip": (
        ((), "--subject 0x…, or --all, or --guardian"),
        (("--all", "--guardian"), "--subject 0x…, or --all, or --guardian"),
        (("--subject", "0x00"), _ADDRESS),
        (("--all",), "--keystore FILE"),
    ),
    "brake release": (_WHOSE, (("--all",), "Usage: hftnode brake release"), (("--deadline", "0"), "1<=x<=86400")),
    "vault status": (
        ((), "Missing option '--safe'"),
        (("--safe", "mine"), _ADDRESS),
        ((SAFE,), "Missing option '--safe'"),
    ),
    "vault limits": (
        ((), "Missing option '--safe'"),
        (("--safe", "mine"), _ADDRESS),
        ((SAFE,), "Missing option '--safe'"),
    ),
    "vault deposit": (
        (("--safe", SAFE), "Missing argument 'TOKEN'"),
        (("--safe", SAFE, "WETH", "1 WETH"), _ADDRESS),
        (("--safe", SAFE, TOKEN), "Missing argument 'AMOUNT'"),
        ((TOKEN, "1 WETH"), "Missing option '--safe'"),
    ),
    "vault withdraw": (
        (("--safe", SAFE, TOKEN, "1 WETH"), "Missing option '--to'"),
        (("--safe", SAFE, "WETH", "1 WETH"), _ADDRESS),
        (("--safe", SAFE, TOKEN, "1 WETH", "--to", SAFE), "Missing option '--out'"),
    ),
    "vault create": (
        (("--safe", SAFE), "Missing option '--hot-key'"),
        ((*_CREATE, "--bid-cap", "1"), '"0.5 ether"'),
        ((*_CREATE, "--bid-cap", "1 ether"), "Missing option '--out'"),
    ),
    "vault pause": (
        ((), "Missing option '--safe'"),
        (("--safe", "mine"), _ADDRESS),
        (("--safe", SAFE), "--keystore FILE"),
    ),
    "vault tighten": _CHANGE,
    "vault loosen": (((), "Missing option '--safe'"), (("--safe", SAFE), "Missing option '--out'"), *_CHANGE[4:5]),
    "vault enact": _CHANGE,
    "vault show": (
        ((), "Missing argument 'PLAN'"),
        (("nothing.json",), "nothing.json: No such file"),
        (("a", "b"), "Usage: hftnode vault show"),
    ),
    "vault sign": (
        ((), "Missing argument 'PLAN'"),
        (("plan.json",), "Missing option '--keystore'"),
        (("nothing.json", "--keystore", "k"), "nothing.json: No such file"),
    ),
    "vault collect": (
        ((), "Missing argument 'PLAN'"),
        (("plan.json",), "Missing argument 'OTHERS...'"),
        (("nothing.json", "b"), "nothing.json: No such file"),
    ),
    "vault export": (
        ((), "Missing argument 'PLAN'"),
        (("plan.json",), "Missing option '--out'"),
        (("nothing.json", "--out", "b"), "nothing.json: No such file"),
    ),
    "vault execute": (
        ((), "Missing argument 'PLAN'"),
        (("nothing.json",), "nothing.json: No such file"),
        (("a", "b"), "Usage: hftnode vault execute"),
    ),
}
