"""What each ATen operator does to dimensions: one file per family, one line per operator."""

from dagrow.capture.rules.context import Context, Findings, NoRule, Rule, fresh, op_name, owner_path, sizes
from dagrow.capture.rules.registry import find_rule

__all__ = ["Context", "Findings", "NoRule", "Rule", "find_rule", "fresh", "op_name", "owner_path", "sizes"]
