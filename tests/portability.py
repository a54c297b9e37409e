"""Runs the suite as other processors would: with other vector instructions, and with one and two threads.

``python tests/portability.py`` runs all of it under each setting, one after the other, and prints which have passed;
``python tests/portability.py avx2-1 generic-2 -- tests/reference`` some of it under some. Each changes the order in
which products and sums are made, and so the last bits of nearly every number.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

PROCESSORS: dict[str, dict[str, str]] = {
    "own": {},
    "generic": {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "avx2": {"MKL_CBWR": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "avx512": {"MKL_CBWR": "AVX512"},
}
"""What MKL, torch's own kernels and oneDNN may use; a processor that has less takes what it has."""
THREADS = (1, 2)
SETTINGS = {
    f"{name}-{threads}": {**limits, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    for name, limits in PROCESSORS.items()
    for threads in THREADS
}
# Two processes of two threads each would wait for one another in a busy loop.
COMMON = {"OMP_WAIT_POLICY": "PASSIVE"}
ROOT = Path(__file__).parents[1]


def main() -> int:
    """The exit code: 0 if the suite has passed under every setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="SETTING", help=f"of {', '.join(SETTINGS)}; all if left out")
    words = sys.argv[1:]
    own, tests = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    chosen = parser.parse_args(own).settings or list(SETTINGS)
    if unknown := [name for name in chosen if name not in SETTINGS]:
        parser.error(f"unknown setting '{unknown[0]}'; allowed: {', '.join(SETTINGS)}")
    failed = []
    for name in chosen:
        print(f"--- {name}: {' '.join(f'{key}={value}' for key, value in SETTINGS[name].items())}", flush=True)
        command = [sys.executable, "-m", "pytest", "-n", "2", *tests]
        if subprocess.run(command, cwd=ROOT, env={**os.environ, **COMMON, **SETTINGS[name]}, check=False).returncode:
            failed.append(name)
    for name in chosen:
        print(f"{name}: {'failed' if name in failed else 'passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
