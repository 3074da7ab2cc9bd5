"""Files of images, read by what is in them: one module for each family of formats.

Other programs' libraries read files that anybody may have made, so each module here looks at what
a file promises before anything is allocated, and says what it leaves out. `data.images` is what
the rest of the house uses.
"""
