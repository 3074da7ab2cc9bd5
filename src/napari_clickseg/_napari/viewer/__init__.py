"""Common ground of all widgets: the layers, planes, keys and settings of a viewer."""
