"""Files to scans: DICOM, volumes, pictures and archives of them, told apart by content."""
