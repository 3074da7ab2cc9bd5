"""Objects told apart: what a network learns of them, and how its answer becomes objects again."""
