# SPDX-License-Identifier: Apache-2.0
"""Measuring and looking at what the generator makes."""
