"""The base classes of all tables."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, PrivateAttr


class Model(BaseModel):
    """Base class of all tables."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        defer_build=True,  # the configuration is built as a whole; tables are not built beside it
        validate_default=False,
    )


class Named(Model):
    """A table whose name is its key in the table above it."""

    _name: str = PrivateAttr("")

    @property
    def name(self) -> str:
        """The key of this table: web in [pools.web]."""
        return self._name

    def called(self, name: str) -> None:
        """Sets the name. Only the configuration that has this table calls it."""
        self._name = name
