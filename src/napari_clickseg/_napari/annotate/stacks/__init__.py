"""Objects that go through the planes of a stack."""
