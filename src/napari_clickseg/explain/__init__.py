"""What a network sees: activations, heat maps, and what a mask rests on."""
