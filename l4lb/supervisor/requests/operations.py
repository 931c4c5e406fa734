"""Binds every name of OPERATIONS to the function that carries the operation out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from l4lb.clock import monotonic_ms
from l4lb.config.model import Config
from l4lb.control.commands import OPERATIONS
from l4lb.errors import AdminError
from l4lb.supervisor.reload.overlay import differences
from l4lb.supervisor.reload.reload import Reloads, Reply
from l4lb.supervisor.requests import policy
from l4lb.supervisor.requests.backends import BackendRequests
from l4lb.supervisor.requests.caches import CacheRequests
from l4lb.supervisor.requests.change_record import Record
from l4lb.supervisor.requests.checker import CheckerRequests
from l4lb.supervisor.requests.requests import Operation, at_once
from l4lb.supervisor.service import Service
from l4lb.supervisor.table import sticky
from l4lb.supervisor.upgrade.old_program import Departure

Operations = dict[str, Operation]


def operations(
    service: Service, reloads: Reloads, record: Record, serve: Callable[[], None]
) -> Operations:
    """Returns the function for each operation, by its name. serve: starts to take clients, if the
    service has only waited for the first answers of discovery."""
    backends = BackendRequests(service.table, service.workers.send, reloads)
    checker = CheckerRequests(service.reactor, service.table, backends, record)

    def all_answered(args: Mapping[str, Any]) -> None:
        """Each source that the control process follows has answered or failed once."""
        serve()
        pools = map(str, args.get("pools") or ())
        reloads.first_answers.answered(pools, int(args.get("number") or 0))

    bound = {
        **_of_backends(backends),
        **_of_clients(service),
        "records": at_once(
            lambda _: service.membership.policy.records_shown(reloads.source.running)
        ),
        "packets": at_once(lambda _: service.helpers.packets.shown(reloads.source.running)),
        "shield": at_once(lambda _: service.shield.shown(reloads.source.running)),
        **_of_caches(service, reloads),
        **_of_forward_proxies(service),
        **_of_configuration(reloads),
        **_of_program(service, reloads),
        **_of_checker(checker),
        "all_answered": at_once(all_answered),
    }
    assert bound.keys() == OPERATIONS.keys()
    return bound


def _of_backends(backends: BackendRequests) -> Operations:
    """Operations on one backend or one session."""
    return {
        "state": at_once(backends.state),
        "weight": at_once(backends.weight),
        "kill": at_once(backends.kill),
        "kill_backend": at_once(backends.kill_backend),
    }


def _of_clients(service: Service) -> Operations:
    """Operations on access lists, blocks and sticky clients."""
    table, policy = service.table, service.membership.policy
    return {
        "block": at_once(lambda args: policy.blocks.block(args, monotonic_ms())),
        "unblock": at_once(policy.blocks.unblock),
        "allow": at_once(lambda args: policy.rules.change("allow", args, monotonic_ms())),
        "deny": at_once(lambda args: policy.rules.change("deny", args, monotonic_ms())),
        "forget": at_once(policy.rules.forget),
        "access": at_once(lambda args: policy.shown(args, monotonic_ms())),
        "routes": at_once(policy.routes_shown),
        "filters": at_once(policy.filters_shown),
        "inspections": at_once(policy.inspections_shown),
        "sticky_set": at_once(lambda args: sticky.put(table, args)),
        "sticky_clear": at_once(lambda args: sticky.clear(table, args)),
    }


def _of_caches(service: Service, reloads: Reloads) -> Operations:
    caches = CacheRequests(service.membership.policy.caches, lambda: reloads.source.running.cache)
    return {"cache_keys": at_once(caches.keys), "cache_purge": at_once(caches.purge)}


def _of_forward_proxies(service: Service) -> Operations:
    """Questions to the policy process."""
    return {
        "forward": lambda args, reply: policy.forward(service.helpers.policy, args, reply),
        "lists": lambda args, reply: policy.lists(service.helpers.policy, args, reply),
        "users": lambda args, reply: policy.users(service.helpers.policy, args, reply),
        "flush": lambda args, reply: policy.flush(service.helpers.policy, args, reply),
    }


def _of_configuration(reloads: Reloads) -> Operations:
    return {
        "reload": reloads.reload,
        "plan": reloads.plan,
        "confirm": reloads.confirm,
        "rollback": reloads.rollback,
        "add": reloads.add,
        "remove": reloads.remove,
        "discovered": reloads.discovered,
        "diff": at_once(lambda _: list(differences(reloads.source.file, reloads.source.overlay))),
        "save": at_once(lambda _: reloads.source.saved()),
        "checks": at_once(lambda args: _checks_of(reloads.source.running, args)),
    }


def _of_program(service: Service, reloads: Reloads) -> Operations:
    """Operations on the program and its workers, and questions that only the supervisor can
    answer."""

    def upgrade(args: Mapping[str, Any], reply: Reply) -> None:
        Departure(service, reloads).begin(args.get("request"), args.get("cause"), reply)

    def rebalance(_: Mapping[str, Any], reply: Reply) -> None:
        def done(moved: int) -> None:
            reply({"moved": moved})

        service.worker_changes.rebalance(service.table, done)

    return {
        "upgrade": upgrade,
        "rebalance": rebalance,
        "certificates": at_once(service.secrets.certificates),
        "refused": at_once(_already_refused),
    }


def _of_checker(checker: CheckerRequests) -> Operations:
    return {
        "publish": at_once(checker.publish),
        "close": at_once(checker.close),
        "agent_state": at_once(checker.agent_state),
        "agent_max_connections": at_once(checker.agent_max_connections),
    }


def _checks_of(config: Config, args: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the settings of a pool's health check for `admin why`; None: the pool has none."""
    pool = config.pools.get(str(args.get("pool")))
    if pool is None or pool.health is None:
        return None
    told = ("type", "interval_ms", "timeout_ms", "rise", "fall")
    return {key: value for key, value in dict(pool.health).items() if key in told}


def _already_refused(args: Mapping[str, Any]) -> Any:
    """Raises the refusal of a command that the control process refused itself, so that it is
    recorded."""
    raise AdminError(str(args.get("code")), str(args.get("message")))
