"""Peak memory of a process."""

import re
from pathlib import Path


def peak_mib(process: int | str = "self") -> float:
    """Return the most resident memory that a process has had since it began its program.

    Unlike ``ru_maxrss``, which a program inherits from the process that started it.

    Parameters
    ----------
    process : int or str, default="self"
        Its number.

    Returns
    -------
    float
        MiB; 0 once it has ended.
    """
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
