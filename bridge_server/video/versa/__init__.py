# SPDX-License-Identifier: Apache-2.0
"""The paper's renderer: pose-guided image-to-video diffusion on Stable Video Diffusion, with speech, emotion and blinks.

The architecture up to the pose is MimicMotion's (Zhang et al., arXiv 2406.19680), whose published weights are loaded by their own
names; what the paper adds for the face (arXiv 2503.08714) are further layers that do nothing until they are trained.
"""
