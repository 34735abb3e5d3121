"""What our Safes let the hot keys use, read at each block: which profit tokens are pinned, and how much may be drawn.

A draw is bound by the owners' limit and by what the Safe has, and is none where the Safe has not enabled the module;
where nothing is drawn, neither is read. All is one call of Multicall3, one at a time: blocks that come meanwhile are
left out. What has not changed is not told again. Source: `VaultModule.limitOf`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from node.engine.multicall import Multicall, View, number_at
from node.engine.view_answers import number_of, present
from node.pipeline.amm.units import TokenAmount
from node.pipeline.events import VaultRead
from protocol.ethereum.abi import encode_call
from protocol.units import Address, Hash32, address_to_hex

_WORD: Final = 32
_Key = tuple[Address, Address]


class VaultLimits:
    """See the module. `safes`: by hot key; `tokens`: in which profit is taken; `is_drawn_on`: whether anything is."""

    def __init__(
        self,
        multicall: Multicall,
        module: Address,
        safes: Mapping[Address, Address],
        tokens: Sequence[Address],
        *,
        is_drawn_on: bool = True,
    ) -> None:
        self._multicall, self._module, self._is_drawn_on, self._is_reading = multicall, module, is_drawn_on, False
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
        if not self._safes or self._is_reading:
            return []
        self._is_reading, safes = True, dict(self._safes)
        try:
            views = [view for safe in safes.values() for view in self._views(safe)]
            answers = iter(await self._multicall.read(views, block_hash))
        finally:
            self._is_reading = False
        news: list[VaultRead] = []
        for sender in safes:
            is_enabled = self._is_drawn_on and _is_enabled(next(answers))
            for token in self._tokens:
                limit, held = next(answers), next(answers) if self._is_drawn_on else None
                try:
                    drawable = _drawable(limit, held, is_enabled)
                except ValueError:
                    continue
                key = sender, token
                if sender in self._safes and (key not in self._told or self._told[key] != drawable):
                    self._told[key] = drawable
                    news.append(VaultRead(sender, token, drawable))
        return news

    def _views(self, safe: Address) -> list[View]:
        of = address_to_hex(safe)
        views: list[View] = []
        if self._is_drawn_on:
            views.append(View(safe, encode_call("isModuleEnabled(address)", address_to_hex(self._module))))
        for token in self._tokens:
            limit = encode_call("limitOf(address,address)", of, address_to_hex(token))
            views.append(View(self._module, limit))
            if self._is_drawn_on:
                views.append(View(token, encode_call("balanceOf(address)", of)))
        return views


def _is_enabled(answer: bytes | None) -> bool:
    """Whether the Safe has enabled the module; one that does not answer has not."""
    try:
        return number_of(answer, "isModuleEnabled") == 1
    except ValueError:
        return False


def _drawable(limit: bytes | None, held: bytes | None, is_enabled: bool) -> TokenAmount | None:
    """What may be drawn by the module's limit and the Safe's balance; None where the token is not pinned.

    Raises ValueError where one of them was not told.
    """
    words = present(limit, "limitOf")
    is_pinned, most = number_at(words, 0), number_at(words, _WORD)
    if not is_pinned:
        return None
    return min(most, number_of(held, "balanceOf")) if is_enabled else 0
