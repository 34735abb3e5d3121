"""The theft test's controls: one for each attack, each fits the sources; and all of them, in a long run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from devnet.home import Home
from scripts.forge import prepare
from scripts.guards import apply, copy_of_the_contracts
from scripts.theft import attacks, prove, read
from tests.conftest import quiet

FEWEST_ATTACKS = 33


def test_every_attack_has_one_control() -> None:
    assert len(attacks()) >= FEWEST_ATTACKS
    assert Counter(attacks().keys()) == Counter(number for control in read() for number in control.attacks)


def test_every_control_fits_the_sources_and_can_be_taken_back() -> None:
    with copy_of_the_contracts() as folder:
        for control in read():
            apply(control.guard, folder)
            apply(control.guard, folder, "--reverse")


@pytest.mark.parametrize("text", ["", "Removes: x\n", "Removes: x\nLets: \n", "Lets: T01\nRemoves: x\n"])
def test_a_control_that_does_not_say_what_it_lets_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.patch").write_text(text)
    with pytest.raises(ValueError, match=r"odd\.patch"):
        read(tmp_path)


@pytest.mark.long
@pytest.mark.forge
@pytest.mark.timeout(5400)
async def test_without_its_guard_every_attack_succeeds(home: Home) -> None:
    forge = await prepare(home, quiet)
    outcomes = list(prove(forge, read()))
    assert outcomes[0][1].failed == attacks().keys()
    for control, outcome in outcomes[1:]:
        assert control is not None
        assert set(control.attacks) == outcome.succeeded
        assert outcome.failed == attacks().keys() - outcome.succeeded, "no other attack needs this guard alone"
