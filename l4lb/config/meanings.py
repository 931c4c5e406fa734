"""What each key means: the docstrings under the fields of the tables.

pydantic can read them itself, when a class is made. It then reads and parses the source of each
table at each start of the service, which needs them only to say what keys there are.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from l4lb.config.tables.base import Model


def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Returns the docstrings in a module's source: {class: {field: text}}."""
    return {
        node.name: {
            one.target.id: inspect.cleandoc(said.value.value)
            for one, said in zip(node.body, node.body[1:], strict=False)
            if isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and isinstance(said, ast.Expr)
            and isinstance(said.value, ast.Constant)
            and isinstance(said.value.value, str)
        }
        for node in ast.parse(inspect.getsource(sys.modules[module])).body
        if isinstance(node, ast.ClassDef)
    }


def _below(model: type[Model]) -> Iterator[type[Model]]:
    for one in model.__subclasses__():
        yield one
        yield from _below(one)


def add(schema: dict[str, Any]) -> None:
    """Adds the meanings to the tables of a JSON Schema: those in its `$defs`, and itself."""
    known: dict[str, dict[str, dict[str, str]]] = {}
    tables = {schema.get("title"): schema, **schema.get("$defs", {})}
    for model in _below(Model):
        keys = tables.get(model.__name__, {}).get("properties", {})
        for base in reversed(model.__mro__):
            if not issubclass(base, Model):
                continue
            if base.__module__ not in known:
                known[base.__module__] = _docstrings(base.__module__)
            for name, text in known[base.__module__].get(base.__name__, {}).items():
                field = model.model_fields.get(name)
                key = keys.get((field.alias or name) if field else name)
                if key is not None:
                    key["description"] = text
