"""Everything that is checked, by subject. Importing this fills the list."""

from . import access, each, messages, session  # noqa: F401 - they fill the list
