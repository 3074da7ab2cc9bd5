"""Click training by cross-fitting: a network learns to obey clicks from its own errors.

docs/click-training.md says how, and where the idea is from. This lies above `finetune` and
evaluation.
"""
