"""What the operator decides: defaults, under `config.toml`, under the environment.

settings (beside the code they configure)
    → schema     every setting there is, and what it looks like
    → source     the file and where in it each key stands
    → environment  variables laid over the file
    → problems   what pydantic refuses, in words for people
    → checks     what no section can know alone
    → loading    all of it, in order
"""

from opencraw.config.files import write_atomically
from opencraw.config.loading import Loaded, load
from opencraw.config.model import Configuration

__all__ = ["Configuration", "Loaded", "load", "write_atomically"]
