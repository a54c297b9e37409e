"""What can be chosen by name: the tables, the fields that take a name out of them, and what plugins add to them."""

from dagrow.registry.choice import OneOf, one_of
from dagrow.registry.plugins import GROUP, load_plugins, plugins_are_loaded
from dagrow.registry.table import Registry, registries, registry, rollback_on_error, unknown

__all__ = [
    "GROUP",
    "OneOf",
    "Registry",
    "load_plugins",
    "one_of",
    "plugins_are_loaded",
    "registries",
    "registry",
    "rollback_on_error",
    "unknown",
]
