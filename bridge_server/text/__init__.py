# SPDX-License-Identifier: Apache-2.0
"""Directions as embeddings."""
