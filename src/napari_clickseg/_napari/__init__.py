"""What napari-clickseg does in napari: layers, clicks and results, without any Qt."""
