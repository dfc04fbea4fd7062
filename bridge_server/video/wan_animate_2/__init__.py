# SPDX-License-Identifier: Apache-2.0
"""Wan-Animate-2: a photograph and a film of the performing character, no skeleton, through diffusers' modular pipeline."""
