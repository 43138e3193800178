"""The benchmark: a throwaway installation, a million made-up people, load, and one JSON line a figure.

``dabai bench`` (``make bench``) runs it; ``docs/howto/bench.md`` says what each figure means and how to repeat it.
"""
