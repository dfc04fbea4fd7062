# SPDX-License-Identifier: Apache-2.0
"""Reading data sets and training the generator's parts."""
