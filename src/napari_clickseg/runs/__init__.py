"""Long work in a process of its own: told, followed, stopped, gone on with."""
