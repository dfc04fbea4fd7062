# SPDX-License-Identifier: Apache-2.0
"""Where the work of a worker is done when it is not done in the worker's own process."""
