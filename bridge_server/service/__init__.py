# SPDX-License-Identifier: Apache-2.0
"""The bridge as a service: sockets, jobs, workers, life cycle. Imports ``shared`` and pyzmq, never torch."""
