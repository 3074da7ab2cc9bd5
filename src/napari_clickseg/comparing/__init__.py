"""Comparing trainings: the same images and the same budget, and one setting or several that vary.

docs/comparing.md says how. This lies above `finetune`.
"""
