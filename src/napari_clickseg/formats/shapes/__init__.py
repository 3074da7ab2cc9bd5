"""Objects of a label map as outlines and runs, and back, exact to the pixel.

Corners count from the image's top left corner: the first pixel covers 0 to 1 along x and y, as in
the files of other programs. Everywhere else in the house the first pixel's centre is (0, 0).
"""
