"""Keys and passwords are in no argument, no output, no error and no core dump of the commands that use them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devnet.accounts import account
from governance.reading import network_to_json
from node.keyfile import Password, write_keystore
from tests.unit.test_wrong_uses import NETWORK

PASSWORD = "correct horse battery staple 7"
HFTNODE = str(Path(sys.executable).parent / "hftnode")
OWNER = account("rival-0")
LISTENING = "http://127.0.0.1:9"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_keystore(tmp_path / "key.json", OWNER.secret, Password(PASSWORD), 2**4)
    (tmp_path / "network.json").write_bytes(network_to_json(NETWORK))
    for name, text in (("password", PASSWORD), ("wrong", PASSWORD + "x")):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "open").write_text(PASSWORD + "\n")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "broken.json").write_text('{"version": 3, "crypto": "' + OWNER.secret.hex() + '"}')
    return tmp_path


@pytest.mark.parametrize(
    ("keystore", "password", "said"),
    [
        ("key.json", "password", "no connection"),
        ("key.json", "wrong", "wrong password"),
        ("key.json", "open", "others can read it"),
        ("broken.json", "password", "not a keystore"),
        ("network.json", "password", "not a keystore"),
    ],
)
@pytest.mark.parametrize("debug", ["", "1"])
def test_what_goes_wrong_tells_neither_key_nor_password(
    folder: Path, keystore: str, password: str, said: str, debug: str
) -> None:
    words = ["stake", "add", "5 HFT", "--keystore", keystore, "--password-file", password, "--yes", "--json"]
    environ = os.environ | {"HFTNODE_DEBUG": debug, "HFTNODE_NETWORK_FILE": "network.json"}
    done = subprocess.run(
        [HFTNODE, *words, "--rpc", LISTENING],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert said in done.stderr
    for secret in (PASSWORD, OWNER.secret.hex(), str(int.from_bytes(OWNER.secret, "big"))):
        assert secret not in done.stdout + done.stderr


def test_no_command_takes_a_key_or_a_password_as_an_argument() -> None:
    done = subprocess.run([sys.executable, "-c", _LIST_OPTIONS], capture_output=True, text=True, timeout=60, check=True)
    options = done.stdout.split()
    assert "--password-file" in options
    assert "--keystore" in options
    assert not {"--password", "--private-key", "--secret", "--key", "--mnemonic"} & set(options)


_LIST_OPTIONS = """
from node.cli.main import main
from scripts.gen_command_docs import leaves
for _, command in leaves(main, ("hftnode",)):
    for parameter in command.params:
        print(*parameter.opts)
"""


def test_a_process_that_opened_a_key_leaves_no_core(folder: Path) -> None:
    """It asks to be killed with a core, after it opened the key, in a folder that would take one."""
    script = """
import os, resource, signal
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
from node.core_dumps import forbid_core_dumps
forbid_core_dumps()
import ctypes
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
os.kill(os.getpid(), signal.SIGABRT)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert done.stdout.split("\n")[0] in ("(0, 0) 0", "(0, 0) -1"), "no core, and on Linux not dumpable"
    assert not list(folder.glob("core*"))


def test_a_process_of_a_node_leaves_no_core_and_none_with_its_memory(folder: Path) -> None:
    """Its children, which the supervisor starts, inherit both."""
    script = """
import subprocess, sys
from node.core_dumps import empty_core_dumps
empty_core_dumps()
child = "import resource; print(resource.getrlimit(resource.RLIMIT_CORE), open('/proc/self/coredump_filter').read())"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split("\n")[0] == "(0, 0) 00000000"
