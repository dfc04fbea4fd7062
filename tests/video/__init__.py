# SPDX-License-Identifier: Apache-2.0
"""Renderers that draw with diffusion models, on tiny models of the published classes."""
