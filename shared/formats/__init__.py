# SPDX-License-Identifier: Apache-2.0
"""Files that other programs read and write, as Motion; numpy only, so both sides can use them."""
