"""Results as DICOM objects in the study of the scan, each read back before it counts."""
