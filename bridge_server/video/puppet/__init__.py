# SPDX-License-Identifier: Apache-2.0
"""The embedded renderer: the photograph itself, moved like a puppet. Made to judge timing and framing, not to look real."""
