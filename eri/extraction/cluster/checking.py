"""A process of its own that connects to a Ray cluster once, and says why where it cannot.

Usage: python -m eri.extraction.cluster.checking ADDRESS
"""

from __future__ import annotations

import logging
import sys


def main(address: str) -> int:
    """Connect; what is wrong goes to the standard output.

    Returns:
        The exit code: 0 where the cluster answered.
    """
    import ray
    from ray.exceptions import RayError

    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        sys.stdout.write(str(error))
        return 1
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
