"""File formats: NIfTI, NRRD, MetaImage, DICOM and MINC, and the sandbox in which the complicated ones are parsed."""
