"""One file each: a transform that may have gone wrong between training and inference."""
