"""A folder of images, annotated one after the other; what is made is saved as they are left."""
