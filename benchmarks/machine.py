# machine.py - What the reader of a figure must know of the machine.
# SPDX-License-Identifier: Apache-2.0

import os
import platform


def machine():
    facts = {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(),
             "kernel": platform.release().split("-")[0], "load_before": os.getloadavg()[0]}
    for path, key, name in (("/proc/cpuinfo", "model name", "cpu"),
                            ("/proc/meminfo", "MemTotal", "memory")):
        try:
            with open(path) as lines:
                facts[name] = next(line.split(":", 1)[1].strip() for line in lines
                                   if line.startswith(key))
        except (OSError, StopIteration):
            pass
    return facts
