# SPDX-License-Identifier: Apache-2.0
"""Long runs against real bridges: load, soak, fuzz, kills, latencies. Not collected by pytest; see ``__main__``."""
