"""De-identified copies of DICOM files: PS3.15 profile, burned-in text, audit, verifier."""
