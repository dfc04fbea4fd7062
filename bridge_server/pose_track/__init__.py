# SPDX-License-Identifier: Apache-2.0
"""2D key points of a performance: projection, composite, alignment, drawing and files."""
