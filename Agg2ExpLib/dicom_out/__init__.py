"""Results as DICOM objects beside the CT's series: segmentation, attribution maps, report."""
