"""The garbage collector, set so that no pause of it shows: everything loaded is frozen, the young are looked at often.

Most of what the engine makes per transaction is freed by its count of references. What is left over is looked at in
small portions (300 objects, then about a thousand); the whole of what has grown old since is not looked at while
the market runs. Between blocks there is time for that: `tidy`.
"""

from __future__ import annotations

import gc
from typing import Final

_YOUNG: Final = 200
_MIDDLE_EVERY: Final = 3
_OLD_EVERY: Final = 1_000_000
TIDY_EVERY: Final = 50
"""Looks at the portions of middle age between two tidyings, at least."""
TIDY_LATEST: Final = 400
"""After so many it is tidied however little has grown old: a few objects may hold much."""
TIDY_ABOVE: Final = 20_000
"""Tracked objects since the last freezing that are worth a look before."""


def settle() -> None:
    """Call once everything is loaded: collect, take what there is out of all later collections, set the portions."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE_EVERY, _OLD_EVERY)


def tidy() -> bool:
    """Call where a pause does no harm: collect what has grown old, if it is much or long ago; return whether it was."""
    looks = gc.get_count()[2]
    if looks < TIDY_EVERY or (looks < TIDY_LATEST and len(gc.get_objects(generation=2)) < TIDY_ABOVE):
        return False
    gc.collect()
    return True
