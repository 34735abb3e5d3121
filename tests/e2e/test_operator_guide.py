"""docs/operator-guide.md works by copy and paste: its commands, in order, against `hftnode devnet up`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.tree import ROOT
from tests.e2e.test_devnet_command import devnet_up, own_home

__all__ = ["own_home"]

pytestmark = pytest.mark.anvil

GUIDE = ROOT / "docs" / "operator-guide.md"
SECONDS = 1_000.0


def commands() -> list[str]:
    """Every line that a reader is asked to type."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.timeout(1_100)
def test_the_guides_commands_work_as_they_stand(own_home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    typed = commands()
    assert len(typed) > 40
    folder = tmp_path_factory.mktemp("guide")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HFTNODE_")}
    environ |= {"HFTNODE_HOME": str(own_home), "PATH": path}
    script = "set -euo pipefail\n" + "\n".join(f"echo '$ {line}'\n{line}" for line in typed)
    with devnet_up(own_home, "--block-time", "1", "--no-actors"):
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4_000:]
    assert (folder / "me" / "password").read_text().strip() not in done.stdout
    assert "withdraw 80,500 HFT that have left" in done.stdout
    assert "holds      100,000 HFT" in done.stdout


def test_the_guide_names_every_group_of_commands() -> None:
    text = GUIDE.read_text()
    for group in ("join", "stake", "rewards", "vault", "gov", "brake"):
        assert f"hftnode {group} " in text
    assert json.dumps(commands()).count("--yes") > 20
