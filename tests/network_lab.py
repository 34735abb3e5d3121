"""Hosts in network namespaces of this machine, on one switch: cables that can be unplugged, and nothing shared.

A namespace has its own interfaces, addresses and routes. Where the system does not let us make one, `lab` skips the
test and says why. What is made is removed in the end; names carry our process id, so that runs do not meet. pyroute2
runs an event loop of its own: where one runs already, call it in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

PREFIX_LENGTH: Final = 24


class Lab:
    """A switch, a cable and a namespace for each host; and for hosts behind a proxy a cable to this process instead."""

    def __init__(self, pyroute2: Any) -> None:
        self._pyroute2 = pyroute2
        self._switch = self._namespace("switch")
        self._hosts: list[str] = []
        self._near: list[str] = []
        with self._in(self._switch) as inside:
            inside.link("add", ifname="switch", kind="bridge")
            self._up(inside, "switch")

    def plug_in(self, name: str) -> str:
        """Put a host onto the switch; return its address."""
        host = self._namespace(name)
        address = f"10.77.0.{len(self._hosts) + 1}"
        self._hosts.append(host)
        with self._in(self._switch) as inside:
            inside.link("add", ifname=name, kind="veth", peer={"ifname": "cable", "net_ns_fd": host})
            master = inside.link_lookup(ifname="switch")[0]
            inside.link("set", index=inside.link_lookup(ifname=name)[0], master=master)
            self._up(inside, name)
        self._dress(host, address)
        return address

    def connect_to_us(self, name: str) -> tuple[str, str]:
        """Give a host a cable that ends here, and no other way; return its address, and ours on that cable."""
        host = self._namespace(name)
        net, near = 100 + len(self._near), f"hn{os.getpid() % 100_000}x{len(self._near)}"
        with self._pyroute2.IPRoute() as here:
            here.link("add", ifname=near, kind="veth", peer={"ifname": "cable", "net_ns_fd": host})
            self._near.append(near)
            index = here.link_lookup(ifname=near)[0]
            here.addr("add", index=index, address=f"10.77.{net}.1", prefixlen=PREFIX_LENGTH)
            self._up(here, near)
        self._hosts.append(host)
        self._dress(host, f"10.77.{net}.2")
        return f"10.77.{net}.2", f"10.77.{net}.1"

    def entering(self, name: str) -> Callable[[], None]:
        """Return what a child process calls before it runs its program, so that it is that host."""
        namespace, enter = self._name(name), self._pyroute2.netns.setns

        def enter_namespace() -> None:
            enter(namespace)

        return enter_namespace

    def unplug(self, name: str) -> None:
        """Pull a host's cable out of the switch."""
        self._set(name, "down")

    def plug_back(self, name: str) -> None:
        """Put it back."""
        self._set(name, "up")

    def remove(self) -> None:
        """Remove everything that was made."""
        with self._pyroute2.IPRoute() as here:
            for near in self._near:
                for index in here.link_lookup(ifname=near):
                    here.link("del", index=index)
        for namespace in (*self._hosts, self._switch):
            self._pyroute2.netns.remove(namespace)

    def _name(self, name: str) -> str:
        return f"hftnode-{os.getpid()}-{name}"

    def _namespace(self, name: str) -> str:
        made = self._name(name)
        self._pyroute2.netns.create(made)
        return made

    def _in(self, namespace: str) -> Any:
        return self._pyroute2.NetNS(namespace)

    def _dress(self, host: str, address: str) -> None:
        with self._in(host) as inside:
            inside.addr("add", index=inside.link_lookup(ifname="cable")[0], address=address, prefixlen=PREFIX_LENGTH)
            self._up(inside, "cable")
            self._up(inside, "lo")

    def _set(self, name: str, state: str) -> None:
        with self._in(self._switch) as inside:
            inside.link("set", index=inside.link_lookup(ifname=name)[0], state=state)

    @staticmethod
    def _up(inside: Any, name: str) -> None:
        inside.link("set", index=inside.link_lookup(ifname=name)[0], state="up")


@contextmanager
def lab() -> Iterator[Lab]:
    """Make a lab, or skip the test where the system does not let us."""
    pyroute2 = pytest.importorskip("pyroute2", reason="no network namespaces: pyroute2 is for Linux only")
    try:
        made = Lab(pyroute2)
    except (OSError, pyroute2.NetlinkError) as error:
        pytest.skip(f"no network namespaces: the system forbids them ({error})")
    try:
        yield made
    finally:
        made.remove()
