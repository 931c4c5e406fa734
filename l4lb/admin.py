"""The module that scripts import to control a running balancer.

    from l4lb.admin import AdminClient

    with AdminClient("/run/l4lb/admin.sock") as admin:
        admin.call("drain", backend="web/a")
        admin.call("wait", condition="backend-drained", operand="web/a", timeout_ms=60_000)

docs/admin.md describes the commands, their arguments and results. The module imports only the
standard library and msgpack.
"""

from l4lb.config.defaults import default_admin_path
from l4lb.control.serving.client import AdminClient
from l4lb.errors import AdminError, NoBalancerError

__all__ = ["AdminClient", "AdminError", "NoBalancerError", "default_admin_path"]
