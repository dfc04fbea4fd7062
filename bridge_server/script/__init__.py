# SPDX-License-Identifier: Apache-2.0
"""From a script to directions."""

from bridge_server.script.suggest import Suggestion, Word, suggest, words_with_times

__all__ = ["Suggestion", "Word", "suggest", "words_with_times"]
