"""l4lb: a TCP and UDP load balancer."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("l4lb")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
