# SPDX-License-Identifier: Apache-2.0
"""Measurements with a target: ``make bench`` prints the table and writes ``results.json``."""
