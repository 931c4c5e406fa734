"""The overlay: run-time changes that are not in the configuration file (weights, states, backends).
Pure.

The overlay lies over the file's configuration and survives a reload. The new file overrides a
run-time change only where it differs from the old file: a three-way merge of old file, new file and
run-time changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from l4lb.config.model import Backend, Config, Pool
from l4lb.config.plain import backend_plain, to_plain

Id = tuple[str, str]  # pool and name


@dataclass(frozen=True)
class Overlay:
    """Run-time changes. states: drain or maint. added: backends that are not in the file. removed:
    backends of the file that operators removed. discovered: by pool, the backends that discovery
    found beside the file's."""

    states: Mapping[Id, str] = field(default_factory=dict)
    weights: Mapping[Id, int] = field(default_factory=dict)
    added: Mapping[Id, Backend] = field(default_factory=dict)
    removed: frozenset[Id] = frozenset()
    discovered: Mapping[str, tuple[Backend, ...]] = field(default_factory=dict)

    # ---- run-time changes --------------------------------------------------------------------

    def with_state(self, key: Id, state: str) -> Overlay:
        states = {one: word for one, word in self.states.items() if one != key}
        return replace(self, states=states | ({key: state} if state != "ready" else {}))

    def with_weight(self, key: Id, weight: int) -> Overlay:
        return replace(self, weights={**self.weights, key: weight})

    def with_added(self, pool: str, backend: Backend) -> Overlay:
        return replace(
            self,
            added={**self.added, (pool, backend.name): backend},
            removed=self.removed - {(pool, backend.name)},
        )

    def with_removed(self, key: Id) -> Overlay:
        """Removes a backend with its state and weight. A later backend of that name is a new
        one."""
        return replace(
            self,
            states={one: word for one, word in self.states.items() if one != key},
            weights={one: weight for one, weight in self.weights.items() if one != key},
            added={one: backend for one, backend in self.added.items() if one != key},
            removed=self.removed if key in self.added else self.removed | {key},
        )

    def with_discovered(self, pool: str, backends: tuple[Backend, ...]) -> Overlay:
        return replace(self, discovered={**self.discovered, pool: backends})

    def is_found(self, key: Id) -> bool:
        """Returns whether the backend is there only because discovery found it."""
        return key not in self.added and any(
            one.name == key[1] for one in self.discovered.get(key[0], ())
        )

    def followed(
        self, began: Overlay, now: Overlay, config: Config, same: Collection[str]
    ) -> Overlay:
        """Returns this overlay with the states and weights that were set between `began` and `now`,
        for backends that it knows, and with what was discovered meanwhile. config: the
        configuration under it. same: the pools whose source is the same in `now`. A reload that is
        rolled back thus keeps what operators set meanwhile."""
        found = {name: one for name, one in now.discovered.items() if name in same}
        result = replace(self, discovered={**self.discovered, **found})
        known = {*_members(config), *self.added, *result._discovered_ids(config)}  # noqa: SLF001
        for key in known & {*began.states, *now.states}:
            if began.states.get(key) != now.states.get(key):
                result = result.with_state(key, now.states.get(key, "ready"))
        for key in known & now.weights.keys():
            if began.weights.get(key) != now.weights[key]:
                result = result.with_weight(key, now.weights[key])
        return result

    # ---- over a file -------------------------------------------------------------------------

    def over(self, config: Config) -> Config:
        """Returns the configuration in force: the file's with all changes of this overlay."""
        pools = {name: self._pool(name, pool) for name, pool in config.pools.items()}
        return config.model_copy(update={"pools": pools})

    def _pool(self, name: str, pool: Pool) -> Pool:
        members = {one.name: one for one in pool.backends if (name, one.name) not in self.removed}
        for one in self.discovered.get(name, ()) if pool.discovery else ():
            members.setdefault(one.name, one)
        members.update({key[1]: one for key, one in self.added.items() if key[0] == name})
        backends = tuple(
            one.model_copy(update={"weight": self.weights.get((name, one.name), one.weight)})
            for one in members.values()
        )
        return pool.model_copy(update={"backends": backends})

    def unsayable(self, lasting: Config) -> Iterator[str]:
        """Yields, in words, the changes that no file can express. lasting: the configuration
        without discovered backends."""
        for key, state in self.states.items():
            yield f"{'/'.join(key)} is in {state}"
        known = _members(lasting)
        for key, weight in self.weights.items():
            if key not in known:
                yield f"{'/'.join(key)}, which was discovered, has weight {weight}"

    def rebased(self, before: Config, after: Config) -> tuple[Overlay, list[str]]:
        """Returns the run-time changes that survive a reload, and messages about those that do
        not."""
        old, new = _members(before), _members(after)
        said: list[str] = []

        def stands(key: Id, what: str) -> bool:
            """Returns whether the backend's pool is still there. Notes the change as lost if
            not."""
            if key[0] not in after.pools:
                said.append(f"{'/'.join(key)}: {what} is gone with its pool")
                return False
            return True

        added = {
            key: one for key, one in self.added.items() if stands(key, "added") and key not in new
        }
        removed = {key for key in self.removed if key in new and old.get(key) == new[key]}
        said += [
            f"{'/'.join(key)}: the file changed it, so it is back"
            for key in self.removed - removed
            if key in new
        ]
        known = new.keys() | added.keys() | self._discovered_ids(after)
        weights = {}
        for key, weight in self.weights.items():
            if key in new and (key not in old or old[key].weight != new[key].weight):
                if new[key].weight != weight:
                    said.append(
                        f"{'/'.join(key)}: weight {new[key].weight} of the file replaces {weight}"
                    )
            elif key in known:
                weights[key] = weight
        states = {key: state for key, state in self.states.items() if key in known}
        discovered = {name: self.discovered[name] for name in self._followed_pools(after)}
        return Overlay(states, weights, added, frozenset(removed), discovered), said

    def _followed_pools(self, config: Config) -> list[str]:
        """The pools of the configuration that have a source, of which something was discovered."""
        pools = config.pools
        return [name for name in self.discovered if name in pools and pools[name].discovery]

    def _discovered_ids(self, config: Config) -> set[Id]:
        return {
            (name, one.name)
            for name in self._followed_pools(config)
            for one in self.discovered[name]
        }

    # ---- as plain data -----------------------------------------------------------------------

    def to_plain(self) -> dict[str, Any]:
        """Returns the overlay as plain data, for the next program."""
        return {
            "states": [[*key, state] for key, state in self.states.items()],
            "weights": [[*key, weight] for key, weight in self.weights.items()],
            "added": [[key[0], backend_plain(one)] for key, one in self.added.items()],
            "asked": [[*key, one.address.asked] for key, one in self.added.items()],
            "removed": [[*key] for key in self.removed],
            "discovered": {
                pool: [backend_plain(one) for one in found]
                for pool, found in self.discovered.items()
            },
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Overlay:
        """Returns the overlay that to_plain has written, perhaps in another version."""
        asked = {(pool, name): host for pool, name, host in plain.get("asked", ())}
        added = [
            (pool, _asked(backend, asked.get((pool, backend.name), "")))
            for pool, one in plain.get("added", ())
            for backend in [Backend.model_validate(one)]
        ]
        return cls(
            {(pool, name): state for pool, name, state in plain.get("states", ())},
            {(pool, name): weight for pool, name, weight in plain.get("weights", ())},
            {(pool, one.name): one for pool, one in added},
            frozenset((pool, name) for pool, name in plain.get("removed", ())),
            {
                pool: tuple(Backend.model_validate(one) for one in found)
                for pool, found in plain.get("discovered", {}).items()
            },
        )


def _asked(backend: Backend, host: str) -> Backend:
    """Returns the backend with the host name by which its address was found."""
    return backend.model_copy(update={"address": replace(backend.address, asked=host)})


def _members(config: Config) -> dict[Id, Backend]:
    return {
        (name, backend.name): backend
        for name, pool in config.pools.items()
        for backend in pool.backends
    }


def differences(file: Config, overlay: Overlay) -> Iterator[dict[str, Any]]:
    """Yields one map for each difference between the file and the configuration in force, for
    `diff`."""
    from l4lb.config.diff import compare

    for change in compare(to_plain(file), to_plain(overlay.over(file))):
        yield change.plain()
    for key, state in overlay.states.items():
        yield {
            "kind": "backend",
            "name": "/".join(key),
            "action": "changed",
            "keys": {"state": ["ready", state]},
        }
