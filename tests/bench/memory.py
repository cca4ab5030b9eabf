"""Peak memory of a process."""

import re
import subprocess
import time
from pathlib import Path

_LOOK_SECONDS = 0.02  # between two looks at a process that is waited for


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


def wait(process: subprocess.Popen[bytes]) -> float:
    """Wait until a process has ended.

    Returns
    -------
    float
        Its peak memory, in MiB.

    Raises
    ------
    subprocess.CalledProcessError
        It has failed.
    """
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, peak_mib(process.pid))
        time.sleep(_LOOK_SECONDS)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return peak
