# SPDX-License-Identifier: Apache-2.0
"""Speech in: decoding, and the features that the audio branch listens to."""
