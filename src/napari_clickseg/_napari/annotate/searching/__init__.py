"""All objects of a plane at once: looked for, shown, divided by other rules, kept."""
