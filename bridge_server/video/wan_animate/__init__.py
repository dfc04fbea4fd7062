# SPDX-License-Identifier: Apache-2.0
"""Wan2.2-Animate: a photograph, a film of drawn poses and a film of a face, through diffusers' ``WanAnimatePipeline``."""
