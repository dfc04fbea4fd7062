# SPDX-License-Identifier: Apache-2.0
"""Synthetic performances: made speech with gestures made after the literature, to train the audio branch on."""
