# SPDX-License-Identifier: Apache-2.0
"""Training of the viseme recogniser on synthetic speech."""
