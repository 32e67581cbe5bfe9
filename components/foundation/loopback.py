"""Speaking to servers on this machine where the environment names a proxy for everything else."""

from collections.abc import Mapping


def without_proxy(environment: Mapping[str, str]) -> str:
    """What `no_grpc_proxy` must be: gRPC would ask a proxy for servers on loopback too.

    Hosts that gRPC reaches without a proxy: those the environment names, and this machine.
    """
    named = environment.get("no_grpc_proxy") or environment.get("no_proxy")
    return ",".join([*([named] if named else []), "127.0.0.1", "localhost"])
