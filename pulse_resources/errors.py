"""Every error that Pulse raises on purpose.

::

    PulseError
    ├── ConfigError          (ValueError)    a setting or file that the user wrote is wrong
    ├── ContractError        (ValueError)    rows do not match the contract of their table
    ├── PartitionError       (ValueError)    rows or keys outside the partitions that were asked for
    ├── TableMissingError    (LookupError)   a table that was never written, or a version that is gone
    ├── WriteConflictError   (RuntimeError)  concurrent writers won every attempt
    ├── RegistryError        (RuntimeError)  the model registry is down, or lacks what was asked for
    ├── PermanentFailure     (RuntimeError)  trying again cannot help; never retried
    └── TransientFailure     (RuntimeError)  trying again may help; retried a bounded number of times

A message says what was expected, what came, and what to do next.
"""


class PulseError(Exception):
    """Root of the tree: ``except PulseError`` catches everything that Pulse raises on purpose."""


class ConfigError(PulseError, ValueError):
    """A setting, command-line value or configuration file is wrong."""


class ContractError(PulseError, ValueError):
    """Rows do not match the contract of the table they were meant for."""


class PartitionError(PulseError, ValueError):
    """Rows or keys lie outside the partitions that were asked for."""


class TableMissingError(PulseError, LookupError):
    """A table was never written, or the version asked for is gone."""


class WriteConflictError(PulseError, RuntimeError):
    """Concurrent writers won every attempt of a write."""


class RegistryError(PulseError, RuntimeError):
    """The model registry does not answer, lacks a model or alias, or keeps an artefact that is gone or damaged."""


class PermanentFailure(PulseError, RuntimeError):  # noqa: N818 - the field's word for it
    """Trying again cannot help: a wrong key, a page that is gone, an answer that is no data."""


class TransientFailure(PulseError, RuntimeError):  # noqa: N818 - the field's word for it
    """Trying again may help: a time-out, a busy server, a dropped connection."""
