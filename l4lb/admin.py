"""What a script imports to steer a running balancer.

    from l4lb.admin import AdminClient

    with AdminClient("/run/l4lb/admin.sock") as admin:
        admin.call("drain", backend="web/a")
        admin.call("wait", condition="backend-drained", operand="web/a", timeout_ms=60_000)

Commands, arguments and results are those of docs/admin.md. Only the standard library and msgpack
are imported.
"""

from l4lb.config.defaults import default_admin_path
from l4lb.control.serving.client import AdminClient
from l4lb.errors import AdminError, NoBalancerError

__all__ = ["AdminClient", "AdminError", "NoBalancerError", "default_admin_path"]
