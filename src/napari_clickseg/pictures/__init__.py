"""Pictures of a project or a run, for papers and talks: what was found beside what is there."""
