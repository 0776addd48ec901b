"""Everything that is checked, by subject. Importing this fills the list."""

from . import each  # noqa: F401
