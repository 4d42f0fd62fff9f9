"""The unsupervised scores, one family in each file.

Importing this package imports all of its files, and the scores register themselves. To add a score, write a function
with ``@register`` in one of the files or in a new one; nothing else changes. The optional ``ORDER`` of a file is its
place in ``SCORES``.
"""

from sgpu_lightning.answers.discovery import import_submodules
from sgpu_lightning.baselines.registry import sort_scores

sort_scores([module.__name__ for module in import_submodules(__name__)])
