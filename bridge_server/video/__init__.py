# SPDX-License-Identifier: Apache-2.0
"""Films: renderers that turn a pose track, a photograph and speech into pictures, and what writes them to a file."""
