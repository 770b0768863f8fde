"""What one application compiles and the next test's need not: its templates and its addresses."""

from collections.abc import Callable
from typing import Any

from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.routing import Rule


class Templates(BytecodeCache):
    """Keeps compiled templates in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.kept[bucket.key] = bucket.bytecode_to_string()


class Address(Rule):
    """A rule that builds its addresses as an equal one of an earlier application does."""

    builders: dict[tuple[str, bool], Callable[..., Any]] = {}

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., Any]:
        if self.defaults:
            return super()._compile_builder(append_unknown)
        # The function knows nothing but the parts of the address: the rule is its first argument.
        key = repr(self._trace), append_unknown
        if key not in self.builders:
            self.builders[key] = super()._compile_builder(append_unknown)
        return self.builders[key]
