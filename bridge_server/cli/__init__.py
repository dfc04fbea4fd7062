# SPDX-License-Identifier: Apache-2.0
"""The command line ``understudy``, also run as ``python -m bridge_server``."""
