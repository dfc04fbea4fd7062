# SPDX-License-Identifier: Apache-2.0
"""The motion generator: tokenizer, text branch, audio branch, sampler, clean-up."""
