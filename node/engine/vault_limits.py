"""What our Safes let the hot keys use, read at each block: which profit tokens are pinned, and how much may be drawn.

A draw is bound by the owners' limit and by what the Safe has, and is none where the Safe has not enabled the module.
All is one call of Multicall3; what has not changed is not told again. Source: `VaultModule.limitOf`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from node.engine.multicall import Multicall, View, number_at
from node.pipeline.amm.units import TokenAmount
from node.pipeline.events import VaultRead
from protocol.ethereum.abi import encode_call
from protocol.units import Address, Hash32, address_to_hex

_WORD: Final = 32
_Key = tuple[Address, Address]


class VaultLimits:
    """See the module. `safes`: by hot key; `tokens`: in which profit is taken."""

    def __init__(
        self, multicall: Multicall, module: Address, safes: Mapping[Address, Address], tokens: Sequence[Address]
    ) -> None:
        self._multicall, self._module = multicall, module
        self._safes, self._tokens = dict(safes), tuple(tokens)
        self._told: dict[_Key, TokenAmount | None] = {}

    def replace(self, former: Address, present: Address) -> None:
        """A vault executes for another hot key from now on."""
        safe = self._safes.pop(former, None)
        if safe is not None:
            self._safes[present] = safe
        self._told = {key: told for key, told in self._told.items() if key[0] != former}

    async def read(self, block_hash: Hash32) -> list[VaultRead]:
        """Read what is news at a block; what cannot be read stays as it was. Raises RpcError."""
        if not self._safes:
            return []
        views = [view for safe in self._safes.values() for view in self._views(safe)]
        answers = iter(await self._multicall.read(views, block_hash))
        news: list[VaultRead] = []
        for sender in self._safes:
            is_enabled = _number(next(answers), 0) == 1
            for token in self._tokens:
                limit, held = next(answers), next(answers)
                pinned, most, has = _number(limit, 0), _number(limit, 1), _number(held, 0)
                if pinned is None or most is None or has is None:
                    continue
                drawable = None if not pinned else TokenAmount(min(most, has) if is_enabled else 0)
                if self._told.get((sender, token), -1) != drawable:
                    self._told[sender, token] = drawable
                    news.append(VaultRead(sender, token, drawable))
        return news

    def _views(self, safe: Address) -> list[View]:
        of = address_to_hex(safe)
        views = [View(safe, encode_call("isModuleEnabled(address)", address_to_hex(self._module)))]
        for token in self._tokens:
            limit = encode_call("limitOf(address,address)", of, address_to_hex(token))
            views += [View(self._module, limit), View(token, encode_call("balanceOf(address)", of))]
        return views


def _number(answer: bytes | None, place: int) -> int | None:
    """A word of an answer; None where there is none."""
    if answer is None or len(answer) < (place + 1) * _WORD:
        return None
    return number_at(answer, place * _WORD)
