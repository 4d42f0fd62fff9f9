"""The files in a predictor's folder: config, tensors and model card; reading, writing and uploading them."""
