"""The error that every package raises for a config that cannot be used."""


class ConfigError(ValueError):
    """A config that cannot be used; the message says where and what is valid."""
