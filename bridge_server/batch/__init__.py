# SPDX-License-Identifier: Apache-2.0
"""A table of shots performed by Blenders without a window, several at a time, over one bridge."""
