"""File formats: NIfTI, NRRD, MetaImage, DICOM and MINC, and the sandbox that parses the last two."""
