"""Connections to servers on this machine that bypass the proxy of the environment."""

from collections.abc import Mapping


def without_proxy(environment: Mapping[str, str]) -> str:
    """Value for `no_grpc_proxy`: the hosts that the environment already exempts from its proxy, and this machine.

    Without it, gRPC reaches servers on loopback through the proxy.
    """
    named = environment.get("no_grpc_proxy") or environment.get("no_proxy")
    return ",".join([*([named] if named else []), "127.0.0.1", "localhost"])
