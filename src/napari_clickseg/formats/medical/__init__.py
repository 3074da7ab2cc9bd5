"""NIfTI labels and DICOM segmentations, which need optional packages."""
